"""Putting a question to a reader as an arm does: to a memory of what was read, or with a text of its own.

That text (the right passage, the last tokens, BM25's best chunks) stands in the prompt, or it is first
written into a memory that holds nothing else. The base is told to answer briefly; the trained reader
is asked as `mplus ask` asks it. Greedy, timed: choosing and writing the text counts.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Sequence
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from mplus_cli.asking.quoting import Quote
from mplus_cli.errors import UsageError
from mplus_cli.evaluation.arms import Arm, Reader
from mplus_cli.evaluation.bench import Bench
from mplus_cli.evaluation.bm25 import Index
from mplus_cli.evaluation.values import Ask, Said, Stretch

if TYPE_CHECKING:
    from models.memory import Memory
    from models.recall import Recall
    from models.scan import ChunkScore

LIMIT = 32
"""Tokens of an answer at most, unless its data set asks for longer ones."""
RANKED = 10
"""Chunks whose ranks are kept of an answer."""
INSTRUCTION = "Answer with a few words."
"""What the base is told after the question; M+ learned it in training."""


class Spoken(NamedTuple):
    """An answer with the seconds it took, from the prompt on."""

    answer: str
    first: float
    seconds: float


Known = dict[Hashable, Spoken]
"""What a reader said to what was put to it: it would say the same again."""


class Inquiry:
    """One question to one reader. What its arms have in common is worked out once."""

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
        """Take the memory of what was read, or for a reader without one the index of the stretch
        (None: no arm searches) and what it said already, to be added to."""
        self._bench, self._reader, self._network = bench, reader, bench.network(reader)
        self._stretch, self._ask, self._memory, self._index = stretch, ask, memory, index
        self._known: Known = {} if known is None else known
        self._limit = ask.question.new_tokens or LIMIT

    def ask(self, arm: Arm) -> Said:
        """Ask as an arm does.

        Raises:
            UsageError: the question does not fit behind the memory.
        """
        if self._memory is None:
            return self._with_text(arm)
        return self._from_memory(arm, self._memory)

    def _from_memory(self, arm: Arm, memory: Memory) -> Said:
        from models.prompts import REFUSAL
        from models.recall import TokenRecall, at_hand, is_covered
        from mplus_cli.evaluation.network import PriorityRecall, recall_as

        network, question, gold = self._network, self._ask.question, self._ask.gold or frozenset()
        needs_scores = arm.how in ("learned", "oracle", "none") or arm.reread
        scores, scanned = self._scores if needs_scores else ((), 0.0)
        started = time.perf_counter()
        prompt, query = self._rendered
        if arm.reread:
            prompt = self._with_chunks(scores, arm.reread, memory)
        room = network.generate.positions - network.config.prefix_tokens
        if len(prompt) + self._limit > room:
            raise UsageError(f"question {question.id} is too long for this model: leave it out")
        ranked, recall = recall_as(
            network, memory, query, arm.how, ranked=scores, gold=gold, seed=question.id
        )
        recalled = scanned + time.perf_counter() - started
        key = self._same(arm, prompt, ranked, recall)
        if arm.how == "learned" and not is_covered(network, ranked):
            said = Spoken(REFUSAL, 0.0, 0.0)
        elif key is not None and key in self._known:
            said = self._known[key]
        else:
            quoted = at_hand(memory, ranked, recall) if arm.quote else ()
            said = self._known[key] = self._speak(memory, recall, prompt, quoted)
        if isinstance(recall, TokenRecall) and not isinstance(recall, PriorityRecall):
            ranked = recall.chunk_scores()
        present = frozenset(at_hand(memory, ranked, recall))
        best = tuple(score.chunk for score in ranked[:RANKED])
        first, seconds = recalled + said.first, recalled + said.seconds
        return Said(said.answer, best, present, len(prompt), first, seconds)

    def _same(
        self, arm: Arm, prompt: Sequence[int], ranked: Sequence[ChunkScore], recall: Recall
    ) -> Hashable | None:
        """What is equal for arms that cannot answer differently: they recall the same tokens, weighed
        alike, for the same prompt. None where that is not known before the prefill."""
        from models.recall import TokenRecall

        if isinstance(recall, TokenRecall) and len(recall):
            return None
        config = self._network.config
        weighs = arm.how in ("learned", "oracle") and config.recall == "chunks"
        weighs = weighs and bool(config.relevance_weight or config.window_weight)
        weights = frozenset(ranked if weighs else ())
        return tuple(prompt), arm.quote, recall.recalled_chunks(), weights

    def _with_text(self, arm: Arm) -> Said:
        if arm.context == "bm25" and self._index is not None:
            self._index.prepare(self._ask.chunks)  # indexing is reading, not answering
        started = time.perf_counter()
        ranked, context, present = self._choose(arm)
        question, remembered = self._ask.question.text, tuple[int, ...]()
        if arm.remembers:
            prompt = text_prompt(self._bench, self._reader, question, "")
            remembered = tuple(self._bench.encode(context)[: self._bench.budget])
        else:
            prompt = self._fit(context, keep_end=arm.context != "gold")
        made = time.perf_counter() - started
        key = (self._reader, tuple(prompt), remembered)
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
        from models.prompts import encode_plain
        from models.update import read_chunk
        from mplus_cli.evaluation.network import recall_as

        started = time.perf_counter()
        network, memory = self._network, self._bench.start(self._reader)
        for at in range(0, len(remembered), self._bench.chunk_tokens):
            part = remembered[at : at + self._bench.chunk_tokens]
            memory = read_chunk(network, memory, part)
        query = encode_plain(self._bench.session.tokenizer, self._ask.question.text.strip())
        _, recall = recall_as(network, memory, query, "learned" if remembered else "none")
        made = time.perf_counter() - started
        said = self._speak(memory, recall, prompt[1:])  # the network puts BOS in front by itself
        return Spoken(said.answer, made + said.first, made + said.seconds)

    def _speak(
        self, memory: Memory, recall: Recall, prompt: Sequence[int], quoted: Sequence[int] = ()
    ) -> Spoken:
        """Answer a prompt, along the text of the chunks to quote."""
        from mplus_cli.evaluation.network import answer_ids

        started, first, said = time.perf_counter(), 0.0, list[int]()
        texts = [self._stretch.texts[number] for number in quoted]
        source = self._bench.session.quotable(texts) if texts else None
        for token in answer_ids(
            self._network,
            memory,
            recall,
            prompt,
            limit=self._limit,
            stop_ids=self._bench.stop_ids(self._reader),
            guide=None if source is None else Quote(source),
        ):
            first = first or time.perf_counter() - started
            said.append(token)
        seconds = time.perf_counter() - started
        return Spoken(self._bench.decode(said).strip(), first or seconds, seconds)

    @cached_property
    def _rendered(self) -> tuple[list[int], list[int]]:
        """The ids of the bare prompt, and of what is looked up in memory."""
        session = self._bench.session
        return session.loaded.prompt.render(session.tokenizer, self._ask.question.text)

    @cached_property
    def _scores(self) -> tuple[Sequence[ChunkScore], float]:
        """How the retriever ranks the chunks, and the seconds that took."""
        from models.scan import score_chunks

        started = time.perf_counter()
        ranked: Sequence[ChunkScore] = ()
        if self._network.config.recall == "chunks" and self._memory is not None:
            ranked = score_chunks(self._network, self._memory, self._rendered[1])
        return ranked, time.perf_counter() - started

    def _with_chunks(self, ranked: Sequence[ChunkScore], count: int, memory: Memory) -> list[int]:
        """The prompt with the text of the best chunks in front, its end cut to what fits."""
        from models.generate import Recalled, stream

        bench, network, (bare, query) = self._bench, self._network, self._rendered
        config, session = network.config, bench.session
        if config.recall == "tokens":  # each layer ranks in the prefill
            events = stream(network, memory, query, query, max_new_tokens=1)
            ranked = next((e.ranked for e in events if isinstance(e, Recalled)), ())
        texts = [self._stretch.texts[score.chunk].strip() for score in ranked[:count]]
        room = network.generate.positions - config.prefix_tokens - self._limit
        room = min(config.max_prompt_tokens, room)
        ids, question = bench.encode("\n\n".join(texts)), self._ask.question.text
        while ids:
            context = bench.decode(ids)
            prompt, _ = session.loaded.prompt.render(session.tokenizer, question, context=context)
            if len(prompt) <= room:
                return prompt
            ids = ids[: room - len(prompt)]
        return bare

    def _fit(self, context: str, *, keep_end: bool) -> list[int]:
        """The prompt behind a text that is cut at one end to what fits."""
        bench, reader, question = self._bench, self._reader, self._ask.question.text
        bare = text_prompt(bench, reader, question, "")
        positions = self._network.generate.positions - len(bench.start(reader).stm)
        room = min(positions - self._limit, bench.budget + len(bare))
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
        return [session.model.bos_id, *prompt]
    asked = f"{question.strip()} {INSTRUCTION}"
    prompt, _ = PromptFormat().render(bench.base.tokenizer, asked, context=shown)
    bos = bench.base.bos_id
    return prompt if prompt[:1] == [bos] else [bos, *prompt]
