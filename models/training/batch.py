"""What a training step takes and gives, as values.

Shapes: S streams, T text tokens, K memory tokens a chunk, L layers, M layers with memory, D hidden
size, H key/value heads, d head size, R retriever layers, Q questions a stream, q question tokens,
N chunks a stream looks up besides its new one, C places in the prefix.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from models.training.pool import Remembered
from models.training.rows import Rows


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step reads and is asked; streams with less than others are padded."""

    chunks: Tensor
    """(S, T) ids to write."""
    tails: Tensor
    """(L, S, k, D) what each stream's update pass sees before its chunk, detached."""
    past: Remembered
    """The streams' earlier chunks, a ring of slots each."""
    crowd: Tensor
    """(S, N) slots of the chunks that are looked up or stand in the prefix; -1: none."""
    order: Tensor
    """(S, C) what stands at each place in the prefix: 0 the new chunk, i the crowd's i-th, counted
    from 1; -1: nothing (on the right)."""
    rows: Rows
    questions: Tensor
    """(S, Q, q) bare questions; the first ones are those of the row's answers, in order."""
    real: Tensor
    """(S, Q, q) which of their tokens are no padding."""
    answered: Tensor
    """(S,) how many pieces of the row are answers: the first ones."""
    gold: Tensor
    """(S, Q) which chunk answers, numbered as in `order`; -1: none does, or it is not to be learned."""


@dataclass(frozen=True, slots=True)
class Losses:
    """Mean losses of one step in nats; a kind the batch lacks is 0."""

    answer: Tensor
    continuation: Tensor
    retriever: Tensor
    recall_at_1: Tensor


@dataclass(frozen=True, slots=True)
class Written:
    """The new memory of every stream, detached, for the streams' tails and the pool."""

    states: Tensor
    """(L, S, K, D)."""
    keys: Tensor
    """(M, S, K, H, d), unrotated."""
    values: Tensor
    normed: Tensor
    """(R, S, K, D): the states as the retriever's layers see them."""
