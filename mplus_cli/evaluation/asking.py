"""Putting a question to a reader as an arm does: to a memory of what was read, or with a text of its own.

That text (the right passage, the last tokens, BM25's best chunks) stands in the prompt, or it is first
written into a memory that holds nothing else. The base is told to answer briefly; the trained reader
is asked as `mplus ask` asks it. Greedy, timed: choosing and writing the text counts.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Hashable, Sequence
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from mplus_cli.asking import events as asked
from mplus_cli.asking.choosing import Words, answer_form, choose
from mplus_cli.asking.prompting import Draft, compose, measure
from mplus_cli.asking.quoting import Quote, quotable
from mplus_cli.errors import UsageError
from mplus_cli.evaluation.arms import Arm, Reader
from mplus_cli.evaluation.bench import Bench
from mplus_cli.evaluation.bm25 import Index
from mplus_cli.evaluation.text_prompts import fit
from mplus_cli.evaluation.values import Ask, Said, Stretch

if TYPE_CHECKING:
    from models.generate import Guide
    from models.memory import Memory
    from models.recall import Found

LIMIT = 32
"""Tokens of an answer at most, unless its data set asks for longer ones."""
RANKED = 10
"""Chunks whose ranks are kept of an answer."""


class Spoken(NamedTuple):
    """An answer with the seconds it took, from the prompt on."""

    answer: str
    first: float
    seconds: float


Known = dict[Hashable, Spoken]
"""What a reader said to what was put to it: it would say the same again."""


class Inquiry:
    """One question to one reader. What its arms have in common is worked out once.

    Args:
        memory: of what was read; None for a reader without one.
        index: of the stretch, where such a reader searches.
        known: what such a reader said already, to be added to.
    """

    def __init__(
        self,
        bench: Bench,
        reader: Reader,
        stretch: Stretch,
        ask: Ask,
        *,
        memory: Memory | None = None,
        index: Index | None = None,
        known: Known | None = None,
    ) -> None:
        self._bench, self._reader, self._network = bench, reader, bench.network(reader)
        self._stretch, self._ask, self._memory, self._index = stretch, ask, memory, index
        self._known: Known = {} if known is None else known
        self._limit = ask.question.new_tokens or LIMIT

    def ask(self, arm: Arm) -> Said:
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
            raise UsageError(f"question {self._ask.question.id}: {error}") from error

    def _from_memory(self, arm: Arm, memory: Memory) -> Said:
        from models.generate import rank_by_prefill
        from mplus_cli.evaluation.network import PriorityRecall, recall_as

        ask, learned, looking = self._ask, *self._looked_up
        words = self._words if arm.quote else Words()
        if words.prior is not None:
            learned, looking = self._found_by_words
        started = time.perf_counter()
        texts: list[str] = []
        if arm.reread:
            query = self._draft.query_ids
            ranked = learned.ranked or rank_by_prefill(self._network, memory, query)
            texts = [self._stretch.texts[score.chunk] for score in ranked[: arm.reread]]
        prompt = compose(self._bench.session, self._draft, texts)
        gold, seed = ask.gold or frozenset(), ask.question.id
        found = recall_as(self._network, memory, learned, arm.how, gold=gold, seed=seed)
        recalled = looking + time.perf_counter() - started
        key = self._same(arm, prompt, found)
        if key is None or key not in self._known:
            self._known[key] = self._speak(memory, found, prompt, words, quote=arm.quote)
        said = self._known[key]
        if not isinstance(found.recall, PriorityRecall):
            found = found.settled()
        best = [score.chunk for score in found.ranked[:RANKED]]
        present = frozenset(found.present(memory))
        first, seconds = recalled + said.first, recalled + said.seconds
        return Said(said.answer, best, present, len(prompt), first, seconds)

    def _same(self, arm: Arm, prompt: Sequence[int], found: Found) -> Hashable | None:
        """What is equal for arms that cannot answer differently: they recall the same tokens, weighed
        alike, for the same prompt. None where layers choose the tokens in the prefill."""
        from models.recall import TokenRecall

        if isinstance(found.recall, TokenRecall) and len(found.recall):
            return None
        reading = self._network.config.reading
        weighs = bool(reading.relevance_weight or reading.window_weight)
        weights = frozenset(found.ranked if weighs and arm.how in ("learned", "oracle") else ())
        return tuple(prompt), arm.quote, found.recall.recalled_chunks(), weights

    def _with_text(self, arm: Arm) -> Said:
        if arm.context == "bm25" and self._index is not None:
            self._index.prepare(self._ask.chunks)  # indexing is reading, not answering
        started = time.perf_counter()
        ranked, context, present = self._choose(arm)
        remembered = tuple[int, ...]()
        if arm.remembers:
            remembered = tuple(self._bench.encode(context)[: self._bench.budget])
            context = ""
        keeps_end = arm.context != "gold"
        question = self._ask.question.text
        prompt = fit(self._bench, self._reader, question, context, self._limit, keep_end=keeps_end)
        made = time.perf_counter() - started
        put = (self._reader, prompt, remembered)
        key = hashlib.sha256(repr(put).encode()).digest()  # of many prompts, thousands of ids each
        if key not in self._known:
            self._known[key] = self._speak_of(prompt, remembered)
        said = self._known[key]
        first, seconds = made + said.first, made + said.seconds
        return Said(said.answer, ranked[:RANKED], present, len(prompt), first, seconds)

    def _choose(self, arm: Arm) -> tuple[Sequence[int], str, frozenset[int] | None]:
        """How an arm ranks the chunks, the text it brings, and which chunks are in that."""
        budget, count = self._bench.budget, self._ask.chunks
        if arm.context == "gold":
            return (), self._ask.question.passage or "", None
        if arm.context == "window":
            near = self._stretch.chunks[max(count - budget, 0) : count]
            return (), self._bench.decode(list(chain(*near))[-budget:]), None
        if arm.context == "none" or self._index is None:
            return (), "", None
        ranked = self._index.rank(self._ask.question.text, count)
        chosen: list[int] = []
        for number in ranked[: arm.top or None]:
            budget -= len(self._bench.encode(self._stretch.texts[number]))
            if budget < 0 and chosen:
                break
            chosen.append(number)
        # The best stands last, next to the question.
        texts = [self._stretch.texts[number].strip() for number in reversed(chosen)]
        return ranked, "\n\n".join(texts), frozenset(chosen)

    def _speak_of(self, prompt: Sequence[int], remembered: Sequence[int]) -> Spoken:
        """Answer from a memory of some ids and nothing else; what writing it takes counts."""
        from models.recall import look_up
        from models.update import read_chunk
        from mplus_cli.evaluation.network import recall_as

        started = time.perf_counter()
        network, memory = self._network, self._bench.start(self._reader)
        for at in range(0, len(remembered), self._bench.chunk_tokens):
            part = remembered[at : at + self._bench.chunk_tokens]
            memory = read_chunk(network, memory, part)
        found = look_up(network, memory, self._draft.query_ids if remembered else ())
        found = recall_as(network, memory, found, "learned" if remembered else "none")
        made = time.perf_counter() - started
        said = self._speak(memory, found, prompt[1:])  # the network puts BOS in front by itself
        return Spoken(said.answer, made + said.first, made + said.seconds)

    def _speak(
        self,
        memory: Memory,
        found: Found,
        prompt: Sequence[int],
        words: Words | None = None,
        *,
        quote: bool = False,
    ) -> Spoken:
        """Answer a prompt; from the text of the chunks in the prefix, where that is wanted."""
        from models.generate import Generated, stream

        own = self._network is self._bench.session.model
        if quote and own and answer_form(self._bench.session, self._draft.question) == "span":
            return self._choose_span(memory, found, prompt, words or Words())

        def guide(chunks: Sequence[int]) -> Guide | None:
            texts = [self._stretch.texts[number] for number in chunks]
            source = quotable(self._bench.session, texts) if texts else None
            return None if source is None else Quote(source)

        started, first, said = time.perf_counter(), 0.0, list[int]()
        for event in stream(
            self._network,
            memory,
            found,
            prompt,
            max_new_tokens=self._limit,
            stop_ids=self._bench.stop_ids(self._reader),
            guide=guide if quote else None,
        ):
            if isinstance(event, Generated):
                first = first or time.perf_counter() - started
                said.append(event.id)
        seconds = time.perf_counter() - started
        return Spoken(self._bench.decode(said).strip(), first or seconds, seconds)

    def _choose_span(
        self, memory: Memory, found: Found, prompt: Sequence[int], words: Words
    ) -> Spoken:
        """Answer with a span of the text, as `mplus ask` does."""
        from models.generate import read
        from models.spans import LONGEST

        started, longest = time.perf_counter(), min(self._limit, LONGEST)
        chosen = choose(
            self._bench.session,
            memory,
            self._draft.question,
            read(self._network, memory, found, prompt, spare=longest),
            words,
            texts=lambda chunks: [self._stretch.texts[number] for number in chunks],
            longest=longest,
        )
        seconds = time.perf_counter() - started
        return Spoken(chosen.text, seconds, seconds)

    @cached_property
    def _words(self) -> Words:
        """What the question's words find in the text that was read."""
        assert self._memory is not None
        calibration = self._bench.calibration if self._reader == "mplus" else None
        texts = self._stretch.texts[: self._memory.chunks]
        return Words.find(calibration, self._draft.question, texts)

    @cached_property
    def _found_by_words(self) -> tuple[Found, float]:
        """What it finds by the retriever and by its words, and the seconds that took."""
        from models.recall import look_up

        assert self._memory is not None
        started = time.perf_counter()
        prior = self._words.prior
        found = look_up(self._network, self._memory, self._draft.query_ids, prior)
        return found, time.perf_counter() - started

    @cached_property
    def _draft(self) -> Draft:
        """The question, measured as `mplus ask` does."""
        wanted = asked.Question(self._ask.question.text, max_new_tokens=self._limit)
        return measure(self._bench.session, wanted)

    @cached_property
    def _looked_up(self) -> tuple[Found, float]:
        """What the question finds in memory by the retriever, and the seconds that took."""
        from models.recall import look_up

        assert self._memory is not None
        started = time.perf_counter()
        found = look_up(self._network, self._memory, self._draft.query_ids)
        return found, time.perf_counter() - started
