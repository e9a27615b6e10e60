"""Streams of training text: what each reads next, what it is asked, and what else is in the prefix.

Everything random about a run is drawn here, from each stream's own generator, so a run is the same
however its streams are divided among processes. Works on text and ids; handles no tensors.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from models.prompts import REFUSAL
from models.training.chunks import ChunkMaker, ChunkText
from models.training.config import TrainingConfig
from models.training.data import Encoder, Question
from models.training.rows import Example


@dataclass(frozen=True, slots=True)
class Wording:
    """How questions and answers look as ids."""

    encode: Encoder
    prompt: Callable[[str], tuple[list[int], list[int]]]
    """A question to the ids of its prompt and of the bare question."""
    end: int
    """The id that ends an answer."""
    reread: Callable[[str, str], list[int]]
    """A question and passages to the ids of a prompt that shows them."""
    passages: Callable[[str, Sequence[tuple[int, ...]]], str] | None = None
    """A question and the ids of chunks to their passages that a prompt shows; None: it shows none."""


@dataclass(frozen=True, slots=True)
class Draw:
    """One stream's part of a step. Chunks are numbered: 0 is the new one, the candidates follow from
    1."""

    ids: tuple[int, ...]
    """The chunk to write."""
    candidates: tuple[int, ...]
    """Slots of the earlier chunks that are looked up or are in the prefix."""
    order: tuple[int, ...]
    """The chunks in the prefix, first to last."""
    examples: tuple[Example, ...]
    """The examples: answers, then continuations of text that was read and of text that was not."""
    questions: tuple[tuple[tuple[int, ...], int], ...]
    """Bare questions, those of the answers first, with the chunk to find; -1: none."""
    answered: int
    """How many examples are answers."""


@dataclass(frozen=True, slots=True)
class _StreamQuestion:
    """A question about chunk `about`; None if nothing answers it."""

    question: str
    answer: str
    about: int | None


@dataclass(frozen=True, slots=True)
class PastChunk:
    """A chunk that was read: its number in the stream, its ids, and the questions it answers."""

    number: int
    ids: tuple[int, ...]
    questions: tuple[Question, ...]


class Stream:
    """One stream of text, and what it has read recently."""

    def __init__(self, config: TrainingConfig, maker: ChunkMaker, wording: Wording, seed: int):
        self._config, self._maker, self._wording = config, maker, wording
        self._random = random.Random(seed)
        self._past: deque[PastChunk] = deque(maxlen=config.pool)
        self._read = 0

    def state(self) -> dict[str, Any]:
        """What `restore` needs to continue from here, as JSON values; the past starts empty."""
        version, internal, gauss = self._random.getstate()
        return {"maker": self._maker.state(), "random": [version, list(internal), gauss]}

    def restore(self, state: dict[str, Any]) -> None:
        version, internal, gauss = state["random"]
        self._random.setstate((version, tuple(internal), gauss))
        self._maker.restore(state["maker"])

    def draw(self) -> Draw:
        """The next step's part."""
        config, draw = self._config, self._random
        text = self._maker.chunk()
        others = self._some(draw.randint(0, config.distractors))
        place = draw.randint(0, len(others))
        candidates = list(others)
        if config.train_retriever:
            more = (chunk for chunk in self._some(config.negatives) if chunk not in others)
            candidates += list(more)[: max(config.negatives - len(others), 0)]
        number = {chunk.number: at for at, chunk in enumerate(candidates, 1)} | {self._read: 0}
        asked = self._ask(text, others)
        present = [text.ids, *(chunk.ids for chunk in others)]
        examples = [self._example(one, present) for one in asked]
        if config.train_retriever:
            asked += self._looked_up(candidates)
        order = [number[chunk.number] for chunk in others]
        order.insert(place, 0)
        done = Draw(
            ids=text.ids,
            candidates=tuple(chunk.number % config.pool for chunk in candidates),
            order=tuple(order),
            examples=(
                *examples,
                *(self._continuation(text) for _ in range(config.continuations)),
                *self._going_on(text),
            ),
            questions=tuple(
                (
                    tuple(self._wording.prompt(one.question)[1]),
                    -1 if one.about is None else number[one.about],
                )
                for one in asked
            ),
            answered=len(examples),
        )
        self._keep(text)
        return done

    def _keep(self, text: ChunkText) -> None:
        """Remember a chunk that was read."""
        self._past.append(PastChunk(self._read, text.ids, text.questions))
        self._read += 1

    def _some(self, count: int) -> list[PastChunk]:
        """Up to `count` different chunks of the past, in random order."""
        return self._random.sample(list(self._past), min(count, len(self._past)))

    def _ask(self, text: ChunkText, others: Sequence[PastChunk]) -> list[_StreamQuestion]:
        """Questions about the new chunk, about others in the prefix, and about none of them."""
        draw, config = self._random, self._config
        own = list(text.questions)
        past = [(question, chunk.number) for chunk in others for question in chunk.questions]
        draw.shuffle(own)
        draw.shuffle(past)
        asked: list[_StreamQuestion] = []
        while len(asked) < config.questions and (own or past):
            chance = draw.random()
            stray = self._maker.stray_question() if chance < config.unanswerable else None
            if stray is not None:
                asked.append(_StreamQuestion(stray.text, REFUSAL, None))
            elif past and (not own or chance > 1 - config.past):
                asked.append(self._worded(*past.pop()))
            else:
                asked.append(self._worded(own.pop(), self._read))
        return asked

    def _looked_up(self, candidates: Sequence[PastChunk]) -> list[_StreamQuestion]:
        """Questions about the candidates, for the retriever alone."""
        past = [(question, chunk.number) for chunk in candidates for question in chunk.questions]
        count = min(self._config.recall_questions, len(past))
        return [self._worded(*entry) for entry in self._random.sample(past, count)]

    def _worded(self, question: Question, about: int) -> _StreamQuestion:
        return _StreamQuestion(question.text, self._random.choice(question.answers), about)

    def _example(self, asked: _StreamQuestion, present: Sequence[tuple[int, ...]]) -> Example:
        wording = self._wording
        if wording.passages and self._random.random() < self._config.reread_share:
            prompt = wording.reread(asked.question, wording.passages(asked.question, present))
        else:
            prompt = wording.prompt(asked.question)[0]
        answer = wording.encode(asked.answer)
        return Example(tuple(prompt), (*answer, wording.end), "answer")

    def _continuation(self, text: ChunkText) -> Example:
        """A passage of the new chunk, to repeat word for word."""
        ids, config = text.ids, self._config
        length = min(config.continuation_tokens, len(ids))
        start = self._random.randint(0, len(ids) - length)
        part = ids[start : start + length]
        return Example(part[: config.cue_tokens], part[config.cue_tokens :], "continuation")

    def _going_on(self, text: ChunkText) -> tuple[Example, ...]:
        """The text that follows the new chunk's book text and was not read, as running text."""
        ids = text.following[: self._config.continuation_tokens]
        if not self._config.new_text or len(ids) < self._config.cue_tokens:
            return ()
        return (Example(ids[:1], ids[1:], "continuation"),)
