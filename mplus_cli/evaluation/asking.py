"""Putting a question to a memory of what was read, as an arm does. Greedy, timed.

Knows networks and tokenizers through the bench; nothing of experiments.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from mplus_cli.asking.quoting import Quote, quotable
from mplus_cli.errors import UsageError
from mplus_cli.evaluation.arms import Arm
from mplus_cli.evaluation.bench import Bench
from mplus_cli.evaluation.values import Question, Said

if TYPE_CHECKING:
    from models.memory import Memory
    from models.network import MPlusModel
    from models.recall import Recall
    from models.scan import ChunkScore

LIMIT = 32
"""Tokens of an answer at most, unless its data set asks for longer ones."""
RANKED = 10
"""Chunks whose ranks are kept of an answer."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """An answer with the seconds it took, from the prompt on."""

    answer: str
    first: float
    seconds: float


class Inquiry:
    """One question to one memory. What its arms have in common is worked out once.

    Two arms that recall the same tokens for the same prompt cannot answer differently: the second
    gets the first one's answer, and its times.
    """

    def __init__(
        self,
        bench: Bench,
        network: MPlusModel,
        memory: Memory,
        question: Question,
        *,
        gold: frozenset[int],
        chunk: Callable[[int], str],
    ) -> None:
        """Take the chunks that answer the question (for the arm that is told), and the text of each
        chunk (for the arms that reread)."""
        self._bench, self._network, self._memory = bench, network, memory
        self._question, self._gold, self._chunk = question, gold, chunk
        rendered = bench.session.loaded.prompt.render(bench.session.tokenizer, question.text)
        self._prompt, self._query = rendered
        self._known: dict[Hashable, Spoken] = {}

    def ask(self, arm: Arm) -> Said:
        """Ask as an arm does.

        Raises:
            UsageError: the question does not fit behind the memory.
        """
        from models.evaluation import reached, recall_as, same_recall
        from models.recall import present_chunks

        network, memory = self._network, self._memory
        needs_scores = arm.how in ("learned", "oracle", "none") or arm.reread
        learned, scanned = self._learned if needs_scores else ((), 0.0)
        started = time.perf_counter()
        prompt = self._with_chunks(learned, arm.reread) if arm.reread else self._prompt
        _check_length(network, prompt, self._question)
        ranked, recall = recall_as(
            network,
            memory,
            self._query,
            arm.how,
            gold=self._gold,
            seed=self._question.id,
            learned=learned,
        )
        recalled = scanned + time.perf_counter() - started
        same = same_recall(recall)
        key = None if same is None else (tuple(prompt), same, arm.quote)
        said = self._known.get(key) if key is not None else None
        if said is None:
            said = self._speak(
                recall, prompt, present_chunks(memory, ranked, recall) if arm.quote else ()
            )
            if key is not None:
                self._known[key] = said
        drawn = reached(memory, ranked, recall)
        first, seconds = recalled + said.first, recalled + said.seconds
        return Said(said.answer, drawn.ranked[:RANKED], drawn.present, len(prompt), first, seconds)

    def _speak(self, recall: Recall, prompt: Sequence[int], quoted: Sequence[int]) -> Spoken:
        """Answer a prompt along the text of the chunks to quote."""
        from models.evaluation import answer_ids

        limit, stop_ids = answer_limit(self._question), self._bench.stop_ids("mplus")
        started = time.perf_counter()
        texts = [self._chunk(number) for number in quoted]
        source = quotable(self._bench.session, texts) if texts else None
        ids = answer_ids(
            self._network,
            self._memory,
            recall,
            prompt,
            limit=limit,
            stop_ids=stop_ids,
            guide=None if source is None else Quote(source),
        )
        return collect(self._bench, ids, started)

    @cached_property
    def _learned(self) -> tuple[Sequence[ChunkScore], float]:
        """How the retriever ranks the chunks, and the seconds that took."""
        from models.scan import score_chunks

        started = time.perf_counter()
        ranked: Sequence[ChunkScore] = ()
        if self._network.config.recall == "chunks":
            ranked = score_chunks(self._network, self._memory, self._query)
        return ranked, time.perf_counter() - started

    def _with_chunks(self, learned: Sequence[ChunkScore], count: int) -> list[int]:
        """The prompt with the text of the best chunks in front, its end cut to what fits."""
        from models.generate import rank_by_prefill

        bench, network = self._bench, self._network
        ranked = learned or rank_by_prefill(network, self._memory, self._query)
        best = [score.chunk for score in ranked[:count]]
        ids = bench.encode("\n\n".join(self._chunk(number).strip() for number in best))
        prompt_format, tokenizer = bench.session.loaded.prompt, bench.session.tokenizer
        config = network.config
        room = network.generate.positions - config.prefix_tokens - answer_limit(self._question)
        room = min(config.max_prompt_tokens, room)
        while ids:
            context = bench.decode(ids)
            prompt, _ = prompt_format.render(tokenizer, self._question.text, context=context)
            if len(prompt) <= room:
                return prompt
            ids = ids[: room - len(prompt)]
        return self._prompt


def answer_limit(question: Question) -> int:
    """Tokens of its answer at most."""
    return question.new_tokens or LIMIT


def _check_length(network: MPlusModel, prompt: Sequence[int], question: Question) -> None:
    room = network.generate.positions - network.config.prefix_tokens
    if len(prompt) + answer_limit(question) > room:
        raise UsageError(f"question {question.id} is too long for this model: leave it out")


def collect(bench: Bench, ids: Iterator[int], started: float) -> Spoken:
    """The answer of ids as they come, with its times."""
    said: list[int] = []
    first: float | None = None
    for token in ids:
        first = first if first is not None else time.perf_counter() - started
        said.append(token)
    seconds = time.perf_counter() - started
    return Spoken(bench.decode(said).strip(), seconds if first is None else first, seconds)
