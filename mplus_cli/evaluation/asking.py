"""Putting a question to an arm: to a memory, or to the base with a prompt. Greedy, timed.

Knows networks and tokenizers through the bench; nothing of experiments.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mplus_cli.errors import UsageError
from mplus_cli.evaluation.arms import Arm
from mplus_cli.evaluation.bench import Bench
from mplus_cli.evaluation.bm25 import Index
from mplus_cli.evaluation.values import Question, Said

if TYPE_CHECKING:
    from models.memory import Memory
    from models.network import MPlusModel

LIMIT = 32
"""Tokens of an answer at most."""
RANKED = 10
"""Chunks whose ranks are kept of an answer."""
INSTRUCTION = "Answer with a few words."
"""What the base is told after the question; M+ learned it in training."""


@dataclass(frozen=True, slots=True)
class Text:
    """What was read so far, as text: what the base's arms have in place of a memory."""

    ids: Sequence[int]
    """Of what was read, as far back as a prompt may go."""
    index: Index | None
    """None where no arm searches."""
    count: int
    """Chunks read whole, which are the first in the index."""
    last: str
    """The text of a chunk that was read in part, or nothing."""
    chunk: Callable[[int], str]
    """The text of a chunk that was read whole."""


def ask_memory(
    bench: Bench,
    network: MPlusModel,
    memory: Memory,
    arm: Arm,
    question: Question,
    gold: frozenset[int],
    chunk: Callable[[int], str],
) -> Said:
    """Ask a memory.

    Args:
        gold: the chunks that answer it, for the arm that is told.
        chunk: the text of a chunk, for the arms that reread.

    Raises:
        UsageError: the question does not fit behind the memory.
    """
    from models.evaluation import answer_ids, reached, recall_as

    started = time.perf_counter()
    config = network.config
    prompt, query = bench.session.loaded.prompt.render(bench.session.tokenizer, question.text)
    if arm.reread:
        prompt = _with_chunks(bench, network, memory, arm, question, query, chunk)
    if len(prompt) + LIMIT > network.generate.positions - config.prefix_tokens:
        raise UsageError(f"question {question.id} is too long for this model: leave it out")
    ranked, recall = recall_as(network, memory, query, arm.how, gold=gold, seed=question.id)
    ids = answer_ids(
        network, memory, recall, prompt, limit=LIMIT, stop_ids=bench.session.loaded.stop_ids
    )
    answer, first = _collect(bench, ids, started)
    seconds = time.perf_counter() - started
    budget = 0 if arm.how == "none" else config.recalled_tokens
    drawn = reached(memory, ranked, recall, budget)
    return Said(answer, drawn.ranked[:RANKED], drawn.present, len(prompt), first, seconds)


def ask_base(bench: Bench, arm: Arm, question: Question, text: Text | None) -> Said:
    """Ask the base, with what its arm puts into the prompt."""
    from models.evaluation import base_answer_ids

    index = text.index if text is not None and arm.context == "bm25" else None
    if index is not None and text is not None:
        index.prepare(text.count, text.last)  # indexing is reading, not answering
    started = time.perf_counter()
    context, ranked = "", []
    present: frozenset[int] | None = None
    if arm.context == "gold":
        context = question.passage or ""
    elif arm.context == "window" and text is not None:
        context = bench.decode(text.ids[-bench.budget :])
    elif index is not None and text is not None:
        ranked = index.rank(question.text, text.count, text.last)
        chosen, context = _best_chunks(bench, arm, ranked, text)
        present = frozenset(chosen)
    prompt = _fit_base(bench, question.text, context, keep_end=arm.context != "gold")
    ids = base_answer_ids(bench.base.llama, prompt, limit=LIMIT, stop_ids=bench.base.stop_ids)
    answer, first = _collect(bench, ids, started)
    seconds = time.perf_counter() - started
    return Said(answer, tuple(ranked[:RANKED]), present, len(prompt), first, seconds)


def base_prompt(bench: Bench, question: str, context: str) -> list[int]:
    """The ids of the base's own chat template (or its BOS and a plain form) around a question."""
    from models.prompts import PromptFormat

    asked = f"{question.strip()} {INSTRUCTION}"
    tokenizer, bos = bench.base.tokenizer, bench.base.bos_id
    prompt, _ = PromptFormat().render(tokenizer, asked, context=context or None)
    return prompt if prompt[:1] == [bos] else [bos, *prompt]


def _fit_base(bench: Bench, question: str, context: str, *, keep_end: bool) -> list[int]:
    """The base's prompt, its context cut at one end to what fits."""
    room = min(bench.base.llama.config.max_position_embeddings - LIMIT, _free(bench, question))
    ids = bench.encode(context)
    excess = 0
    while True:
        kept = len(ids) - excess
        if kept <= 0:
            return base_prompt(bench, question, "")
        part = context if not excess else bench.decode(ids[-kept:] if keep_end else ids[:kept])
        prompt = base_prompt(bench, question, part)
        if len(prompt) <= room:
            return prompt
        excess += len(prompt) - room


def _free(bench: Bench, question: str) -> int:
    """Tokens of a prompt whose text is within the budget."""
    return bench.budget + len(base_prompt(bench, question, ""))


def _best_chunks(
    bench: Bench, arm: Arm, ranked: Sequence[int], text: Text
) -> tuple[list[int], str]:
    """The best chunks within the budget, the best of them last, next to the question."""
    chosen: list[int] = []
    texts: list[str] = []
    left = bench.budget
    for number in ranked[: arm.top or None]:
        part = text.chunk(number) if number < text.count else text.last
        left -= len(bench.encode(part))
        if left < 0 and chosen:
            break
        chosen.append(number)
        texts.append(part.strip())
    return chosen, "\n\n".join(reversed(texts))


def _with_chunks(
    bench: Bench,
    network: MPlusModel,
    memory: Memory,
    arm: Arm,
    question: Question,
    query: Sequence[int],
    chunk: Callable[[int], str],
) -> list[int]:
    """The prompt with the text of the best chunks in front, its end cut to what fits."""
    best = _rank(network, memory, query)[: arm.reread]
    ids = bench.encode("\n\n".join(chunk(number).strip() for number in best))
    prompt_format, tokenizer = bench.session.loaded.prompt, bench.session.tokenizer
    config = network.config
    room = network.generate.positions - config.prefix_tokens - LIMIT
    room = min(config.max_prompt_tokens, room)
    while ids:
        context = bench.decode(ids)
        prompt, _ = prompt_format.render(tokenizer, question.text, context=context)
        if len(prompt) <= room:
            return prompt
        ids = ids[: room - len(prompt)]
    return prompt_format.render(tokenizer, question.text)[0]


def _rank(network: MPlusModel, memory: Memory, query: Sequence[int]) -> list[int]:
    from models.generate import Recalled, look_up, stream

    if network.config.recall == "chunks":
        return [score.chunk for score in look_up(network, memory, query)[0]]
    for event in stream(network, memory, query, query, max_new_tokens=1):
        if isinstance(event, Recalled):
            return [score.chunk for score in event.ranked]
    return []


def _collect(bench: Bench, ids: Iterator[int], started: float) -> tuple[str, float]:
    """The answer of ids as they come, and the seconds to the first."""
    said: list[int] = []
    first: float | None = None
    for token in ids:
        first = first if first is not None else time.perf_counter() - started
        said.append(token)
    return bench.decode(said).strip(), first if first is not None else time.perf_counter() - started
