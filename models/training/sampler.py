"""Makes the batches of a run from what its streams draw, and keeps what was written.

`state` and `restore` let a run resume (a stream's past starts empty, as at the start of a document).
Shapes: as in `models.training.batch`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from models.network import MPlusModel
from models.training.batch import Batch, NewMemory
from models.training.config import TrainingConfig
from models.training.pool import ChunkPool
from models.training.rows import pack
from models.training.stream import Draw, Stream

ROUND = 8
"""Questions are padded to a multiple of this: kernels are set up again for every new length."""


class DrawSource(Protocol):
    """Where the streams' parts of each step come from."""

    def next(self) -> list[Draw]:
        """The parts of the next step, in the order of the streams."""

    def states(self) -> list[dict[str, Any]]:
        """The streams' states after the last step drawn."""

    def restore(self, states: Sequence[dict[str, Any]]) -> None:
        """Continue from these states of the streams."""

    def close(self) -> None:
        """Stop drawing."""


class Inline:
    """Draws in this process, when a step needs it."""

    def __init__(self, streams: Sequence[Stream]) -> None:
        self._streams = list(streams)

    def next(self) -> list[Draw]:
        return [stream.draw() for stream in self._streams]

    def states(self) -> list[dict[str, Any]]:
        return [stream.state() for stream in self._streams]

    def restore(self, states: Sequence[dict[str, Any]]) -> None:
        for stream, own in zip(self._streams, states, strict=True):
            stream.restore(own)

    def close(self) -> None:
        self._streams = []


class Sampler:
    """Batches, one after the other, of the streams that this process trains on."""

    def __init__(
        self, config: TrainingConfig, model: MPlusModel, drawing: DrawSource, *, pad: int
    ) -> None:
        self._config, self._model, self._drawing, self._pad = config, model, drawing, pad
        self._tails: Tensor | None = None
        self._past: ChunkPool | None = None
        self._read = 0
        """Chunks of each stream that were read since the past began."""
        self._drawn = 0

    def state(self) -> dict[str, Any]:
        """What `restore` needs to continue from here, as JSON values."""
        return {"drawn": self._drawn, "streams": self._drawing.states()}

    def restore(self, state: dict[str, Any]) -> None:
        self._drawn = state["drawn"]
        self._drawing.restore(state["streams"])

    def close(self) -> None:
        """Stop drawing."""
        self._drawing.close()

    def batch(self) -> Batch:
        """The next batch, on the model's device."""
        drawn = self._drawing.next()
        self._drawn += 1
        # Seeded by the step alone, so that all streams of a run draw the same in any process.
        if random.Random(f"{self._config.seed} {self._drawn}").random() < self._config.fresh:
            self._tails = None
        device, streams = self._model.device, len(drawn)
        longest = max((len(ids) for draw in drawn for ids, _ in draw.questions), default=1)
        longest += -(longest + 1) % ROUND
        most = max(max(len(draw.questions) for draw in drawn), 1)
        questions = torch.full((streams, most, longest), self._pad)
        lengths, gold = torch.zeros(streams, most), torch.full((streams, most), -1)
        for stream, draw in enumerate(drawn):
            for number, (ids, about) in enumerate(draw.questions):
                questions[stream, number, : len(ids)] = torch.tensor(ids)
                lengths[stream, number], gold[stream, number] = len(ids), about
        return Batch(
            chunks=torch.tensor([draw.ids for draw in drawn]).to(device),
            tails=self._tail(streams),
            past=self._remembered(streams),
            candidates=_table([draw.candidates for draw in drawn]).to(device),
            order=_table([draw.order for draw in drawn]).to(device),
            rows=pack([draw.examples for draw in drawn], self._pad).to(device),
            questions=questions.to(device),
            real=(torch.arange(longest) < lengths[:, :, None]).to(device),
            answered=torch.tensor([draw.answered for draw in drawn]).to(device),
            gold=gold.to(device),
        )

    def remember(self, written: NewMemory) -> None:
        """Keep what a step wrote, as the streams' past and as distractors for later steps."""
        self._tails = written.states
        past = self._remembered(written.keys.shape[1])
        past.put(self._read % self._config.pool, written.keys, written.values, written.normed)
        self._read += 1

    def _remembered(self, streams: int) -> ChunkPool:
        if self._past is None:
            model, size = self._model, self._config.mplus.new_tokens
            decoder, rows = model.generate, len(model.retriever.layers)
            like = torch.empty(0, dtype=decoder.dtype, device=decoder.device)
            shape = (len(model.memory_layers), streams, size, decoder.kv_heads, decoder.head_size)
            self._past = ChunkPool.empty(
                self._config.pool,
                like.new_empty(shape),
                like.new_empty(rows, streams, size, decoder.hidden),
            )
        return self._past

    def _tail(self, streams: int) -> Tensor:
        if self._tails is not None:
            return self._tails
        decoder = self._model.generate
        shape = (decoder.layers, streams, 0, decoder.hidden)
        return torch.zeros(shape, dtype=decoder.dtype, device=decoder.device)


def _table(rows: Sequence[Sequence[int]]) -> Tensor:
    """Rows of numbers, padded on the right with -1."""
    longest = max(len(row) for row in rows)
    return torch.tensor([[*row, *[-1] * (longest - len(row))] for row in rows]).long()
