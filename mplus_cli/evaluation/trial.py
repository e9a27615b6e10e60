"""One question put to one reader, as each arm does: to its memory, or with a text of its own.

That text (the right passage, the last tokens, BM25's best chunks) stands in the prompt, or is first
written into an empty memory. Greedy and timed: choosing and writing the text counts.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace
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
    from models.recall import Found

LIMIT = 32
"""Tokens of an answer at most."""
INSTRUCTION = "Answer with a few words."
"""What the base is told after the question; M+ learned it in training."""
RANKED = 10
"""Chunks whose ranks are kept of an answer."""


class Timed(NamedTuple):
    """An answer with the seconds it took, from the prompt on."""

    answer: str
    first: float
    seconds: float


class Trial:
    """A question and a reader, ready to be asked as any of the reader's arms does.

    Args:
        memory: of what was read; None for a reader without one.
        index: of the stream, where such a reader searches.
        known: prompts that such a reader was given, by digest, with its answers; added to.
    """

    def __init__(
        self,
        bench: Bench,
        reader: Reader,
        stream: Stream,
        probe: Probe,
        *,
        memory: Memory | None = None,
        index: Index | None = None,
        known: dict[bytes, Timed] | None = None,
    ) -> None:
        self._bench, self._reader, self._network = bench, reader, bench.network(reader)
        self._stream, self._probe, self._memory, self._index = stream, probe, memory, index
        self._known = {} if known is None else known

    def ask(self, arm: Arm) -> Reply:
        """Ask as an arm does.

        Raises:
            UsageError: the question does not fit behind the memory.
        """
        from models.generate import PromptTooLong

        try:
            if self._memory is None:
                return self._with_text(arm)
            return self._from_memory(arm, self._memory)
        except (UsageError, PromptTooLong) as error:
            raise UsageError(f"question {self._probe.question.id}: {error}") from error

    def _from_memory(self, arm: Arm, memory: Memory) -> Reply:
        from models.recall import look_up
        from mplus_cli.evaluation.network import PriorityRecall, recall_as

        started = time.perf_counter()
        probe, draft = self._probe, self._draft
        words = self._find_words(memory) if arm.quote else Words()
        learned = look_up(self._network, memory, draft.query_ids, words.prior)
        asked = replace(draft.question, reread=arm.reread, quote=arm.quote)
        prompt = compose_with_text(
            self._bench.session, memory, replace(draft, question=asked), learned, self._texts
        )
        gold, seed = probe.gold or frozenset(), probe.question.id
        found = recall_as(self._network, memory, learned, arm.recall, gold=gold, seed=seed)
        before = time.perf_counter() - started
        if arm.quote:
            said = self._quote(memory, found, prompt, words)
        else:
            said = self._generate(memory, found, prompt)
        if not isinstance(found.recall, PriorityRecall):
            found = found.settled()
        best = [score.chunk for score in found.ranked[:RANKED]]
        present = frozenset(found.present(memory))
        first, seconds = before + said.first, before + said.seconds
        return Reply(said.answer, best, present, len(prompt), first, seconds)

    def _with_text(self, arm: Arm) -> Reply:
        if arm.context == "bm25" and self._index is not None:
            self._index.prepare(self._probe.chunks)  # indexing is reading, not answering
        started = time.perf_counter()
        ranked, context, present = self._choose_text(arm)
        remembered = tuple[int, ...]()
        if arm.as_memory:
            remembered = tuple(self._bench.encode(context)[: self._bench.budget])
            context = ""
        keeps_end = arm.context != "gold"
        question = self._probe.question.text
        prompt = fit(self._bench, self._reader, question, context, LIMIT, keep_end=keeps_end)
        before = time.perf_counter() - started
        # A digest, since there are many prompts of thousands of ids each.
        key = hashlib.sha256(repr((self._reader, prompt, remembered)).encode()).digest()
        if key not in self._known:
            self._known[key] = self._answer_text(prompt, remembered)
        said = self._known[key]
        first, seconds = before + said.first, before + said.seconds
        return Reply(said.answer, ranked[:RANKED], present, len(prompt), first, seconds)

    def _choose_text(self, arm: Arm) -> tuple[Sequence[int], str, frozenset[int] | None]:
        """How an arm ranks the chunks, the text it brings, and which chunks are in that."""
        budget, count = self._bench.budget, self._probe.chunks
        if arm.context == "gold":
            return (), self._probe.question.passage or "", None
        if arm.context == "window":
            near = self._stream.chunks[max(count - budget, 0) : count]
            return (), self._bench.decode(list(chain(*near))[-budget:]), None
        if arm.context == "none" or self._index is None:
            return (), "", None
        ranked = self._index.rank(self._probe.question.text, count)
        chosen: list[int] = []
        for number in ranked[: arm.top or None]:
            budget -= len(self._bench.encode(self._stream.texts[number]))
            if budget < 0 and chosen:
                break
            chosen.append(number)
        # The best stands last, next to the question.
        texts = [self._stream.texts[number].strip() for number in reversed(chosen)]
        return ranked, "\n\n".join(texts), frozenset(chosen)

    def _answer_text(self, prompt: Sequence[int], remembered: Sequence[int]) -> Timed:
        """Answer from a memory of some ids and nothing else; what writing it takes counts."""
        from models.recall import look_up
        from models.update import read_chunk
        from mplus_cli.evaluation.network import recall_as

        started = time.perf_counter()
        network, memory, size = (
            self._network,
            self._bench.start(self._reader),
            self._bench.chunk_tokens,
        )
        for at in range(0, len(remembered), size):
            memory = read_chunk(network, memory, remembered[at : at + size])
        found = look_up(network, memory, self._draft.query_ids if remembered else ())
        found = recall_as(network, memory, found, "learned" if remembered else "none")
        before = time.perf_counter() - started
        said = self._generate(memory, found, prompt[1:])  # the network adds BOS
        return Timed(said.answer, before + said.first, before + said.seconds)

    def _generate(self, memory: Memory, found: Found, prompt: Sequence[int]) -> Timed:
        """Answer in the reader's own words."""
        from models.generate import Generated, stream

        started, first, ids = time.perf_counter(), 0.0, list[int]()
        stop_ids = self._bench.stop_ids(self._reader)
        events = stream(
            self._network, memory, found, prompt, max_new_tokens=LIMIT, stop_ids=stop_ids
        )
        for event in events:
            if isinstance(event, Generated):
                first = first or time.perf_counter() - started
                ids.append(event.id)
        seconds = time.perf_counter() - started
        return Timed(self._bench.decode(ids).strip(), first or seconds, seconds)

    def _quote(self, memory: Memory, found: Found, prompt: Sequence[int], words: Words) -> Timed:
        """Answer with a span of the text, yes, no or a refusal, as `mplus ask` does."""
        from models.generate import read
        from models.spans import LONGEST

        session, question, started = self._bench.session, self._draft.question, time.perf_counter()
        form = answer_form(session, question)
        if form == "spoken":
            return self._generate(memory, found, prompt)
        longest = min(LIMIT, LONGEST)
        behind = read(self._network, memory, found, prompt, spare=longest)
        if form == "verdict":
            text = likeliest_verdict(session, behind)
        else:
            text = choose(
                session,
                memory,
                question,
                behind,
                words,
                texts=self._texts,
                longest=longest,
            ).text
        seconds = time.perf_counter() - started
        return Timed(text, seconds, seconds)

    @cached_property
    def _draft(self) -> Draft:
        """The question, measured as `mplus ask` does."""
        wanted = asking.Question(self._probe.question.text, max_new_tokens=LIMIT)
        return measure(self._bench.session, wanted)

    def _texts(self, chunks: Sequence[int]) -> list[str]:
        return [self._stream.texts[number] for number in chunks]

    def _find_words(self, memory: Memory) -> Words:
        """What the question's words find in the text that was read."""
        texts = self._stream.texts[: memory.chunks]
        return Words.find(self._bench.calibration, self._draft.question, texts)


def fit(
    bench: Bench, reader: Reader, question: str, context: str, limit: int, *, keep_end: bool
) -> list[int]:
    """The prompt of `text_prompt`, its text cut at one end so that an answer of `limit` tokens fits."""
    network = bench.network(reader)
    bare = text_prompt(bench, reader, question, "")
    positions = network.generate.positions - len(bench.start(reader).stm)
    positions -= network.config.recalled_tokens  # these positions are kept free, recalled or not
    room = min(positions - limit, bench.budget + len(bare))
    ids = bench.encode(context)
    excess = 0
    while (kept := len(ids) - excess) > 0:
        part = context if not excess else bench.decode(ids[-kept:] if keep_end else ids[:kept])
        prompt = text_prompt(bench, reader, question, part)
        if len(prompt) <= room:
            return prompt
        excess += len(prompt) - room
    return bare


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
