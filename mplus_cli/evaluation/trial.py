"""One question put to one reader, as each arm does: to its memory, or with a text of its own.

That text (the right passage, the last tokens, BM25's best chunks) stands in the prompt, or is first
written into an empty memory. Greedy and timed: choosing and writing the text counts.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from mplus_cli.asking.choosing import Chosen, Prompted
from mplus_cli.asking.prompting import Draft, measure
from mplus_cli.asking.question import Question
from mplus_cli.asking.replying import reply
from mplus_cli.asking.rereading import compose_with_text
from mplus_cli.asking.words import Words, word_weights
from mplus_cli.errors import UsageError
from mplus_cli.evaluation.arms import Arm, Reader
from mplus_cli.evaluation.bench import Bench
from mplus_cli.evaluation.bm25 import Index
from mplus_cli.evaluation.values import Probe, Reply, Stream
from mplus_cli.runtime.session import Session

if TYPE_CHECKING:
    from models.memory import Memory

LIMIT = 32
"""Tokens of an answer at most."""
INSTRUCTION = "Answer with a few words."
"""What the base is told after the question; M+ learned it in training."""
RANKED = 10
"""Chunks whose ranks are kept of an answer."""


class Timed(NamedTuple):
    """An answer, with the seconds from the question to its first token and to its end."""

    answer: str
    first: float
    seconds: float


@dataclass(frozen=True)
class Trial:
    """A question and a reader, ready to be asked as any of the reader's arms does."""

    bench: Bench
    reader: Reader
    stream: Stream
    probe: Probe
    memory: Memory | None = None
    """Of what was read; None for a reader without one."""
    index: Index | None = None
    """Of the stream, where a reader without memory searches."""
    known: dict[bytes, Timed] = field(default_factory=dict)
    """Answers of such a reader by the digest of its prompt; added to."""

    def ask(self, arm: Arm) -> Reply:
        """Ask as an arm does.

        Raises:
            UsageError: the question does not fit behind the memory.
        """
        from models.generate import PromptTooLong

        try:
            if self.memory is None:
                return self._with_text(arm)
            return self._from_memory(arm, self.memory)
        except (UsageError, PromptTooLong) as error:
            raise UsageError(f"question {self.probe.question.id}: {error}") from error

    def _from_memory(self, arm: Arm, memory: Memory) -> Reply:
        from models.recall import look_up
        from mplus_cli.evaluation.network import PriorityRecall, recall_as

        started = time.perf_counter()
        session, draft, probe = self._session, self._draft, self.probe
        draft = replace(draft, question=replace(draft.question, reread=arm.reread, quote=arm.quote))
        words = self._words if arm.quote else Words()
        learned = look_up(session.model, memory, draft.query_ids, words.prior, draft.bare_ids)
        prompt = compose_with_text(session, memory, draft, learned, self._texts)
        gold, seed = probe.gold or frozenset(), probe.question.id
        found = recall_as(session.model, memory, learned, arm.recall, gold=gold, seed=seed)
        prompted = Prompted(session, memory, draft, words, found, prompt, self._texts)
        told = _answer(prompted, started)
        if not isinstance(found.recall, PriorityRecall):
            found = found.settled()
        best = [score.chunk for score in found.ranked[:RANKED]]
        present = frozenset(found.present(memory))
        return Reply(told.answer, best, present, len(prompt), told.first, told.seconds)

    def _with_text(self, arm: Arm) -> Reply:
        if arm.context == "bm25" and self.index is not None:
            self.index.prepare(self.probe.chunks)  # indexing is reading, not answering
        started = time.perf_counter()
        ranked, text, present = self._choose_text(arm)
        ids = self.bench.encode(text)[: self.bench.budget] if arm.as_memory else []
        prompt = self._fit("" if arm.as_memory else text, keep_end=arm.context != "gold")
        # A digest, since there are many prompts of thousands of ids each.
        key = hashlib.sha256(repr((self.reader, prompt, ids)).encode()).digest()
        if key not in self.known:
            self.known[key] = self._answer_text(prompt, ids, started)
        told = self.known[key]
        return Reply(told.answer, ranked[:RANKED], present, len(prompt), told.first, told.seconds)

    def _answer_text(self, prompt: Sequence[int], ids: Sequence[int], started: float) -> Timed:
        """Answer from a memory of some ids and nothing else."""
        from models.recall import look_up
        from models.update import read_chunk
        from mplus_cli.evaluation.network import recall_as

        session, memory = self._session, self.bench.start(self.reader)
        size = self.bench.chunk_tokens
        for at in range(0, len(ids), size):
            memory = read_chunk(session.model, memory, ids[at : at + size])
        found = look_up(session.model, memory, self._draft.query_ids if ids else ())
        found = recall_as(session.model, memory, found, "learned" if ids else "none")
        behind = prompt[1:]  # the network adds BOS
        prompted = Prompted(session, memory, self._draft, Words(), found, behind, self._texts)
        return _answer(prompted, started)

    def _choose_text(self, arm: Arm) -> tuple[Sequence[int], str, frozenset[int] | None]:
        """How an arm ranks the chunks, the text it brings, and which chunks are in that."""
        budget, count = self.bench.budget, self.probe.chunks
        if arm.context == "gold":
            return (), self.probe.question.passage or "", None
        if arm.context == "window":
            near = self.stream.chunks[max(count - budget, 0) : count]
            return (), self.bench.decode(list(chain(*near))[-budget:]), None
        if arm.context == "none" or self.index is None:
            return (), "", None
        ranked = self.index.rank(self.probe.question.text, count)
        chosen: list[int] = []
        for number in ranked[: arm.top or None]:
            budget -= len(self.bench.encode(self.stream.texts[number]))
            if budget < 0 and chosen:
                break
            chosen.append(number)
        # The best stands last, next to the question.
        texts = [self.stream.texts[number].strip() for number in reversed(chosen)]
        return ranked, "\n\n".join(texts), frozenset(chosen)

    def _fit(self, context: str, *, keep_end: bool) -> list[int]:
        """The prompt of `text_prompt`, its text cut at one end so that an answer fits behind it."""
        bench, network, question = self.bench, self._session.model, self.probe.question.text
        bare = text_prompt(bench, self.reader, question, "")
        positions = network.generate.positions - len(bench.start(self.reader).stm)
        positions -= (
            network.config.recalled_tokens
        )  # these positions are kept free, recalled or not
        room = min(positions - LIMIT, bench.budget + len(bare))
        ids, excess = bench.encode(context), 0
        while (kept := len(ids) - excess) > 0:
            part = context if not excess else bench.decode(ids[-kept:] if keep_end else ids[:kept])
            prompt = text_prompt(bench, self.reader, question, part)
            if len(prompt) <= room:
                return prompt
            excess += len(prompt) - room
        return bare

    @property
    def _session(self) -> Session:
        return self.bench.session_of(self.reader)

    @cached_property
    def _draft(self) -> Draft:
        """The question, measured as `mplus ask` does."""
        wanted = Question(self.probe.question.text, max_new_tokens=LIMIT, quote=False)
        return measure(self.bench.session, wanted)

    def _texts(self, chunks: Sequence[int]) -> list[str]:
        return [self.stream.texts[number] for number in chunks]

    @cached_property
    def _words(self) -> Words:
        """The matches of the question's words in the text that was read."""
        texts = self.stream.texts[: self.memory.chunks] if self.memory else ()
        calibration = self.bench.calibration
        weights = word_weights(self.bench.session, calibration)
        return Words.find(weights, self._draft.question, texts, calibration)


def _answer(prompted: Prompted, started: float) -> Timed:
    """The reply to a prompt, as `mplus ask` gets it."""
    answer, first = "", 0.0
    for event in reply(prompted):
        if isinstance(event, str):
            first = first or time.perf_counter() - started
        elif isinstance(event, Chosen):
            answer = event.text
    seconds = time.perf_counter() - started
    return Timed(answer, first or seconds, seconds)


def text_prompt(bench: Bench, reader: Reader, question: str, context: str) -> list[int]:
    """The ids of BOS and a question behind a text, in the reader's prompt format."""
    session = bench.session_of(reader)
    asked = f"{question.strip()} {INSTRUCTION}" if reader == "base" else question
    prompt, _ = session.loaded.prompt.render(session.tokenizer, asked, context=context or None)
    lead = [*session.model.lead]
    return prompt if reader == "base" and prompt[:1] == lead else [*lead, *prompt]
