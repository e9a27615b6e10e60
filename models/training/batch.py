"""What a training step takes and gives, as values.

Shapes: S streams, T text tokens, K memory tokens a chunk, L layers, D hidden size, H key/value heads,
d head size, R retriever layers, q question tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from models.training.pool import Remembered
from models.training.rows import Rows


@dataclass(frozen=True, slots=True)
class Query:
    """A question for the retriever."""

    ids: Tensor
    """(q,)."""
    stream: int
    gold: int
    """Its chunk among the stream's candidates: 0 the new one, then the negatives."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step reads and is asked. Everything but the tensors of `rows` is per stream."""

    chunks: Tensor
    """(S, T) ids to write."""
    whole: bool
    """Whether these chunks are written uncompressed."""
    tails: Tensor
    """(L, S, k, D) what each stream's update pass sees before its chunk, detached."""
    distractors: tuple[tuple[Remembered, ...], ...]
    """Chunks in front of the new one, in prefix order."""
    places: tuple[int, ...]
    """How many of the distractors come before the stream's own chunk."""
    rows: Rows
    asked: tuple[tuple[Tensor, ...], ...]
    """The bare questions (q,) of each stream's answers, which are the first pieces of its row."""
    queries: tuple[Query, ...]
    negatives: tuple[tuple[Remembered, ...], ...]
    """Other chunks of the stream the retriever chooses among."""


@dataclass(frozen=True, slots=True)
class Losses:
    """Mean losses of one step in nats; a kind the batch lacks is 0."""

    answer: Tensor
    continuation: Tensor
    retriever: Tensor
    recall_at_1: float


@dataclass(frozen=True, slots=True)
class Written:
    """The new memory of every stream, detached, for the streams' tails and the pool."""

    states: Tensor
    """(L, S, K, D)."""
    keys: Tensor
    """(L, S, K, H, d)."""
    values: Tensor
    normed: Tensor
    """(R, S, K, D)."""
