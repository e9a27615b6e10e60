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

from mplus_cli.asking import events as asking
from mplus_cli.asking.choosing import Words, answer_form, choose, likeliest_verdict
from mplus_cli.asking.prompting import Draft, measure
from mplus_cli.asking.rereading import compose_with_text
from mplus_cli.errors import UsageError
from mplus_cli.evaluation.arms import Arm, Reader
from mplus_cli.evaluation.bench import Bench
from mplus_cli.evaluation.bm25 import Index
from mplus_cli.evaluation.values import Probe, Reply, Stream

if TYPE_CHECKING:
    from models.memory import Memory
    from models.network import MPlusModel
    from models.recall import Found

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
        network, probe, draft = self._network, self.probe, self._draft
        learned = look_up(
            network, memory, draft.query_ids, self._words.prior if arm.quote else None
        )
        asked = replace(draft.question, reread=arm.reread, quote=arm.quote)
        prompt = compose_with_text(
            self.bench.session, memory, replace(draft, question=asked), learned, self._texts
        )
        gold, seed = probe.gold or frozenset(), probe.question.id
        found = recall_as(network, memory, learned, arm.recall, gold=gold, seed=seed)
        answer = self._quote if arm.quote else self._generate
        told = answer(memory, found, prompt, started)
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

        network, memory = self._network, self.bench.start(self.reader)
        size = self.bench.chunk_tokens
        for at in range(0, len(ids), size):
            memory = read_chunk(network, memory, ids[at : at + size])
        found = look_up(network, memory, self._draft.query_ids if ids else ())
        found = recall_as(network, memory, found, "learned" if ids else "none")
        return self._generate(memory, found, prompt[1:], started)  # the network adds BOS

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
        bench, network, question = self.bench, self._network, self.probe.question.text
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

    def _generate(
        self, memory: Memory, found: Found, prompt: Sequence[int], started: float
    ) -> Timed:
        """Answer in the reader's own words."""
        from models.generate import Generated, stream

        first, ids = 0.0, list[int]()
        stop_ids = self.bench.stop_ids(self.reader)
        events = stream(
            self._network, memory, found, prompt, max_new_tokens=LIMIT, stop_ids=stop_ids
        )
        for event in events:
            if isinstance(event, Generated):
                first = first or time.perf_counter() - started
                ids.append(event.id)
        seconds = time.perf_counter() - started
        return Timed(self.bench.decode(ids).strip(), first or seconds, seconds)

    def _quote(self, memory: Memory, found: Found, prompt: Sequence[int], started: float) -> Timed:
        """Answer with a span of the text, yes, no or a refusal, as `mplus ask` does."""
        from models.generate import read
        from models.spans import BRANCHES, LONGEST

        session, question = self.bench.session, self._draft.question
        form = answer_form(session, question)
        if form == "spoken":
            return self._generate(memory, found, prompt, started)
        longest = min(LIMIT, LONGEST)
        behind = read(self._network, memory, found, prompt, spare=longest, branches=BRANCHES)
        if form == "verdict":
            text = likeliest_verdict(session, behind)
        else:
            text = choose(
                session,
                memory,
                question,
                behind,
                self._words,
                texts=self._texts,
                longest=longest,
            ).text
        seconds = time.perf_counter() - started
        return Timed(text, seconds, seconds)

    @property
    def _network(self) -> MPlusModel:
        return self.bench.network(self.reader)

    @cached_property
    def _draft(self) -> Draft:
        """The question, measured as `mplus ask` does."""
        wanted = asking.Question(self.probe.question.text, max_new_tokens=LIMIT)
        return measure(self.bench.session, wanted)

    def _texts(self, chunks: Sequence[int]) -> list[str]:
        return [self.stream.texts[number] for number in chunks]

    @cached_property
    def _words(self) -> Words:
        """The matches of the question's words in the text that was read."""
        texts = self.stream.texts[: self.memory.chunks] if self.memory else ()
        return Words.find(self.bench.calibration, self._draft.question, texts)


def text_prompt(bench: Bench, reader: Reader, question: str, context: str) -> list[int]:
    """The ids of BOS and a question behind a text.

    The base has its own chat template (or a plain form), the trained reader the checkpoint's prompt.
    """
    from models.prompts import PromptFormat

    shown, session = context or None, bench.session
    if reader != "base":
        prompt, _ = session.loaded.prompt.render(session.tokenizer, question, context=shown)
        return [*session.model.lead, *prompt]
    briefly = f"{question.strip()} {INSTRUCTION}"
    prompt, _ = PromptFormat().render(bench.base.tokenizer, briefly, context=shown)
    bos = bench.base.bos_id
    return prompt if prompt[:1] == [bos] else [bos, *prompt]
