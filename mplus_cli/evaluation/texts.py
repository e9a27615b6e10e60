"""Putting a question to a reader that keeps nothing of what was read: it comes with a text of its own.

The text (the right passage, the last tokens, BM25's best chunks) stands in the prompt, or it is first
written into a memory that holds nothing else. The base is told to answer briefly; the trained reader
is asked as `mplus ask` asks it. Greedy, timed: what it takes to choose and to write the text counts.
Knows nothing of experiments.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from mplus_cli.evaluation.arms import Arm, Reader
from mplus_cli.evaluation.asking import RANKED, Spoken, answer_limit, collect
from mplus_cli.evaluation.bench import Bench
from mplus_cli.evaluation.bm25 import Index
from mplus_cli.evaluation.values import Question, Said

if TYPE_CHECKING:
    from models.memory import Memory

INSTRUCTION = "Answer with a few words."
"""What the base is told after the question; M+ learned it in training."""


@dataclass(frozen=True, slots=True)
class Text:
    """What was read so far, as text: what these readers have in place of a memory."""

    ids: Sequence[int]
    """Of what was read, as far back as a prompt may go."""
    index: Index | None
    """None where no arm searches."""
    count: int
    """Chunks read, which are the first in the index."""
    chunk: Callable[[int], str]
    """The text of a chunk that was read."""


class Put(NamedTuple):
    """What is put to a reader."""

    prompt: tuple[int, ...]
    """BOS, and the text of arms that show it."""
    remembered: tuple[int, ...]
    """The text of arms that write it into a memory."""


Known = dict[Put, Spoken]
"""What a reader said to what was put to it. It would say the same again: after other text BM25 often
chooses the same chunk."""


class TextInquiry:
    """One question to one reader. What was put to it before is not answered anew."""

    def __init__(
        self,
        bench: Bench,
        reader: Reader,
        question: Question,
        text: Text | None,
        known: Known | None = None,
    ) -> None:
        """Take what the reader said already, to be added to."""
        self._bench, self._reader = bench, reader
        self._question, self._text = question, text
        self._known: Known = {} if known is None else known

    def ask(self, arm: Arm) -> Said:
        """Ask with the text that an arm brings."""
        text = self._text
        if arm.context == "bm25" and text is not None and text.index is not None:
            text.index.prepare(text.count)  # indexing is reading, not answering
        started = time.perf_counter()
        ranked, context, present = self._choose(arm)
        put = self._put(arm, context)
        made = time.perf_counter() - started
        if put not in self._known:
            self._known[put] = self._speak(put)
        said = self._known[put]
        first, seconds = made + said.first, made + said.seconds
        return Said(said.answer, ranked[:RANKED], present, len(put.prompt), first, seconds)

    def _choose(self, arm: Arm) -> tuple[tuple[int, ...], str, frozenset[int] | None]:
        """How an arm ranks the chunks, the text it brings, and which chunks are in that."""
        bench, question, text = self._bench, self._question, self._text
        if arm.context == "gold":
            return (), question.passage or "", None
        if arm.context == "window" and text is not None:
            return (), bench.decode(text.ids[-bench.budget :]), None
        if arm.context == "bm25" and text is not None and text.index is not None:
            ranked = tuple(text.index.rank(question.text, text.count))
            chosen, context = _best_chunks(bench, arm, ranked, text)
            return ranked, context, frozenset(chosen)
        return (), "", None

    def _put(self, arm: Arm, context: str) -> Put:
        bench, reader, question = self._bench, self._reader, self._question
        if arm.form == "memory":
            prompt = text_prompt(bench, reader, question.text, "")
            return Put(tuple(prompt), tuple(bench.encode(context)[: bench.budget]))
        keep_end = arm.context != "gold"
        return Put(tuple(_fit(bench, reader, question, context, keep_end=keep_end)), ())

    def _speak(self, put: Put) -> Spoken:
        from models.evaluation import answer_ids, recall_as
        from models.prompts import encode_plain

        bench, reader = self._bench, self._reader
        network, limit = bench.network(reader), answer_limit(self._question)
        started = time.perf_counter()
        memory = self._remember(put.remembered)
        query = encode_plain(bench.session.tokenizer, self._question.text.strip())
        _, recall = recall_as(network, memory, query, "learned" if put.remembered else "none")
        # The network puts BOS in front by itself.
        ids = answer_ids(
            network,
            memory,
            recall,
            put.prompt[1:],
            limit=limit,
            stop_ids=bench.stop_ids(reader),
        )
        return collect(bench, ids, started)

    def _remember(self, ids: Sequence[int]) -> Memory:
        """A memory of these ids and nothing else."""
        from models.update import read_chunk

        bench, size = self._bench, self._bench.chunk_tokens
        memory = bench.start(self._reader)
        for at in range(0, len(ids), size):
            memory = read_chunk(bench.network(self._reader), memory, ids[at : at + size])
        return memory


def text_prompt(bench: Bench, reader: Reader, question: str, context: str) -> list[int]:
    """The ids of BOS and a question behind a text.

    The base has its own chat template (or a plain form), the trained reader the checkpoint's prompt.
    """
    from models.prompts import PromptFormat

    shown = context or None
    if reader != "base":
        loaded = bench.session.loaded
        prompt, _ = loaded.prompt.render(bench.session.tokenizer, question, context=shown)
        return [bench.session.model.bos_id, *prompt]
    asked = f"{question.strip()} {INSTRUCTION}"
    prompt, _ = PromptFormat().render(bench.base.tokenizer, asked, context=shown)
    bos = bench.base.bos_id
    return prompt if prompt[:1] == [bos] else [bos, *prompt]


def _fit(
    bench: Bench, reader: Reader, question: Question, context: str, *, keep_end: bool
) -> list[int]:
    """The prompt, its text cut at one end to what fits."""
    bare = text_prompt(bench, reader, question.text, "")
    positions = bench.network(reader).generate.positions - len(bench.start(reader).stm)
    room = min(positions - answer_limit(question), bench.budget + len(bare))
    ids = bench.encode(context)
    excess = 0
    while True:
        kept = len(ids) - excess
        if kept <= 0:
            return bare
        part = context if not excess else bench.decode(ids[-kept:] if keep_end else ids[:kept])
        prompt = text_prompt(bench, reader, question.text, part)
        if len(prompt) <= room:
            return prompt
        excess += len(prompt) - room


def _best_chunks(
    bench: Bench, arm: Arm, ranked: Sequence[int], text: Text
) -> tuple[list[int], str]:
    """The best chunks within the budget, the best of them last, next to the question."""
    chosen: list[int] = []
    texts: list[str] = []
    left = bench.budget
    for number in ranked[: arm.top or None]:
        part = text.chunk(number)
        left -= len(bench.encode(part))
        if left < 0 and chosen:
            break
        chosen.append(number)
        texts.append(part.strip())
    return chosen, "\n\n".join(reversed(texts))
