"""Draws the batches of a run: streams of chunks, what is asked of them, and what stands around them.

Every stream has its own text, random numbers and past, so a run gives the same gradients however
its streams are spread over processes. Deterministic for a seed; `state` and `restore` carry it over
a pause (a stream's past starts anew, as at the start of a document).

Shapes: S streams, L layers, K memory tokens a chunk, D hidden size.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from models.network import MPlusModel
from models.prompts import REFUSAL
from models.training.batch import Batch, Query, Written
from models.training.config import TrainingConfig
from models.training.data import ChunkMaker, ChunkText, Encoder, Question
from models.training.pool import Pool, Remembered
from models.training.rows import Piece, pack


@dataclass(frozen=True, slots=True)
class Wording:
    """How questions and answers look as ids."""

    encode: Encoder
    prompt: Callable[[str], tuple[list[int], list[int]]]
    """A question to the ids of its prompt and of the bare question."""
    end: int
    """The id that ends an answer."""

    def piece(self, question: str, answer: str) -> Piece:
        return Piece(tuple(self.prompt(question)[0]), (*self.encode(answer), self.end), "answer")


@dataclass(frozen=True, slots=True)
class Asked:
    """One question of a step."""

    question: str
    answer: str
    about: int | None
    """Number of the chunk that answers it, None where nothing does."""


class Stream:
    """One stream of text: what it reads next, and what it remembers."""

    def __init__(self, config: TrainingConfig, maker: ChunkMaker, wording: Wording, seed: int):
        self._config, self._maker, self._wording = config, maker, wording
        self._random = random.Random(seed)
        self.pool = Pool(config.pool)
        self.text = ChunkText((), ())
        self.count = 0
        """Chunks read; the number of the current one."""

    def state(self) -> dict[str, Any]:
        version, internal, gauss = self._random.getstate()
        return {"maker": self._maker.state(), "random": [version, list(internal), gauss]}

    def restore(self, state: dict[str, Any]) -> None:
        version, internal, gauss = state["random"]
        self._random.setstate((version, tuple(internal), gauss))
        self._maker.restore(state["maker"])

    def advance(self) -> None:
        """Draw the next chunk."""
        self.text = self._maker.chunk()
        self.count += 1

    def surroundings(self) -> tuple[tuple[Remembered, ...], int, tuple[Remembered, ...]]:
        """Distractors in prefix order, the new chunk's place among them, and the negatives."""
        config, draw = self._config, self._random
        others = self.pool.sample(draw.randint(0, config.distractors), draw)
        place = draw.randint(0, len(others))
        crowd = {part.number: part for part in others}
        for part in self.pool.sample(config.negatives, draw):
            if len(crowd) < max(config.negatives, len(others)):
                crowd.setdefault(part.number, part)
        return tuple(others), place, tuple(crowd.values())

    def asked(self, others: Sequence[Remembered]) -> list[Asked]:
        """Questions about the new chunk, about others in the prefix, and about none of them."""
        draw, config = self._random, self._config
        own = list(self.text.questions)
        past = [(question, part.number) for part in others for question in part.questions]
        draw.shuffle(own)
        draw.shuffle(past)
        asked: list[Asked] = []
        while len(asked) < config.questions and (own or past):
            chance = draw.random()
            stray = self._maker.stray_question() if chance < config.unanswerable else None
            if stray is not None:
                asked.append(Asked(stray.text, REFUSAL, None))
            elif past and (not own or chance > 1 - config.past):
                asked.append(self._worded(*past.pop()))
            else:
                asked.append(self._worded(own.pop(), self.count))
        return asked

    def looked_up(self, crowd: Sequence[Remembered]) -> list[Asked]:
        """Questions about the retriever's candidates, to be looked up and not answered."""
        past = [(question, part.number) for part in crowd for question in part.questions]
        count = min(self._config.recall_questions, len(past))
        return [self._worded(*entry) for entry in self._random.sample(past, count)]

    def continuation(self) -> Piece:
        """A passage of the new chunk, to go on with word for word."""
        ids, config = self.text.ids, self._config
        length = min(config.continuation_tokens, len(ids))
        start = self._random.randint(0, len(ids) - length)
        part = ids[start : start + length]
        return Piece(part[: config.cue_tokens], part[config.cue_tokens :], "continuation")

    def _worded(self, question: Question, about: int) -> Asked:
        return Asked(question.text, self._random.choice(question.answers), about)


class Sampler:
    """Batches, one after the other, of the streams that this process trains on.

    Args:
        streams: the streams, in the order of their numbers.
    """

    def __init__(
        self,
        config: TrainingConfig,
        model: MPlusModel,
        streams: Sequence[Stream],
        wording: Wording,
    ) -> None:
        self._config, self._model, self._wording = config, model, wording
        self._streams = list(streams)
        self._tails: Tensor | None = None
        self._drawn = 0

    def state(self) -> dict[str, Any]:
        """What `restore` needs to go on from here, as JSON values."""
        return {"drawn": self._drawn, "streams": [stream.state() for stream in self._streams]}

    def restore(self, state: dict[str, Any]) -> None:
        self._drawn = state["drawn"]
        for stream, own in zip(self._streams, state["streams"], strict=True):
            stream.restore(own)

    def batch(self) -> Batch:
        """The next batch, on the model's device."""
        self._drawn += 1
        # Of the step alone: all streams of a run draw the same, whatever process they are in.
        draw = random.Random(f"{self._config.seed} {self._drawn}")
        if draw.random() < self._config.fresh:
            self._tails = None
        whole = draw.random() < self._config.whole
        device = self._model.device
        distractors, places, rows, queries, negatives = [], [], [], [], []
        bare: list[tuple[Tensor, ...]] = []
        for number, stream in enumerate(self._streams):
            stream.advance()
            others, place, crowd = stream.surroundings()
            asked = stream.asked(others)
            index = {part.number: at + 1 for at, part in enumerate(crowd)} | {stream.count: 0}
            distractors.append(others)
            places.append(place)
            negatives.append(crowd)
            pieces = [self._wording.piece(one.question, one.answer) for one in asked]
            pieces += [stream.continuation() for _ in range(self._config.continuations)]
            rows.append(pieces)
            bare.append(tuple(self._query_ids(one.question) for one in asked))
            if self._config.train_retriever:
                asked += stream.looked_up(crowd)
                queries += [
                    Query(self._query_ids(one.question), number, index[one.about])
                    for one in asked
                    if one.about is not None
                ]
        texts = [stream.text.ids for stream in self._streams]
        return Batch(
            chunks=torch.tensor(texts, device=device),
            whole=whole,
            tails=self._tail(),
            distractors=tuple(distractors),
            places=tuple(places),
            rows=pack(rows, self._wording.end).to(device),
            asked=tuple(bare),
            queries=tuple(queries),
            negatives=tuple(negatives),
        )

    def remember(self, written: Written) -> None:
        """Keep what a step wrote, as the streams' past and as distractors of steps to come."""
        self._tails = written.states
        for number, stream in enumerate(self._streams):
            stream.pool.add(
                Remembered(
                    stream.count,
                    written.keys[:, number].clone(),
                    written.values[:, number].clone(),
                    written.normed[:, number].clone(),
                    stream.text.questions,
                )
            )

    def _query_ids(self, question: str) -> Tensor:
        return torch.tensor(self._wording.prompt(question)[1], device=self._model.device)

    def _tail(self) -> Tensor:
        if self._tails is not None:
            return self._tails
        decoder = self._model.generate
        shape = (decoder.layers, len(self._streams), 0, decoder.hidden)
        return torch.zeros(shape, dtype=decoder.dtype, device=decoder.device)
