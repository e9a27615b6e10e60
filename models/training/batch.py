"""The inputs and outputs of a training step, as values.

Shapes: S streams, T text tokens, K memory tokens a chunk, L layers, M layers with memory, D hidden
size, H key/value heads, d head size, R retriever layers, Q questions a stream, q question tokens,
N chunks a stream looks up besides its new one, C places in the prefix.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from models.training.pool import ChunkPool
from models.training.rows import Rows


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step reads and is asked; shorter streams are padded."""

    chunks: Tensor
    """(S, T) ids to write."""
    tails: Tensor
    """(L, S, k, D) the tail that each stream's update pass reads before its chunk, detached."""
    past: ChunkPool
    """The streams' earlier chunks, in a ring buffer each."""
    candidates: Tensor
    """(S, N) slots of the chunks that are looked up or are in the prefix; -1: none."""
    order: Tensor
    """(S, C) the chunk at each place in the prefix: 0 for the new chunk, i for the i-th of `candidates`,
    from 1; -1 for none (on the right)."""
    rows: Rows
    questions: Tensor
    """(S, Q, q) bare questions; the first ones are those of the row's answers, in order."""
    real: Tensor
    """(S, Q, q) which of their tokens are not padding."""
    answered: Tensor
    """(S,) how many examples of the row are answers: the first ones."""
    gold: Tensor
    """(S, Q) the chunk that answers, numbered as in `order`; -1: none, or not trained on."""


@dataclass(frozen=True, slots=True)
class Losses:
    """Mean losses of one step in nats; 0 for a kind that the batch lacks."""

    answer: Tensor
    continuation: Tensor
    retriever: Tensor
    recall_at_1: Tensor


@dataclass(frozen=True, slots=True)
class NewMemory:
    """The new memory of every stream, detached, for the streams' tails and the pool."""

    states: Tensor
    """(L, S, K, D)."""
    keys: Tensor
    """(M, S, K, H, d), unrotated."""
    values: Tensor
    normed: Tensor
    """(R, S, K, D): the normed states that the retriever's layers take."""
