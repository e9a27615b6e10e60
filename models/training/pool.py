"""Memory of recent steps, detached: distractors for the readers, negatives for the retriever.

Shapes: M layers with memory, R retriever layers, S streams, P slots, K memory tokens a chunk,
D hidden size, H key/value heads, d head size.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class ChunkPool:
    """The newest chunks of every stream: chunk n of a stream is in slot n mod P."""

    keys: Tensor
    """(M, S, P, K, H, d), unrotated."""
    values: Tensor
    normed: Tensor
    """(R, S, P, K, D): normed memory states, as the retriever takes them."""

    @classmethod
    def empty(cls, slots: int, keys: Tensor, normed: Tensor) -> ChunkPool:
        """An empty pool for chunks shaped like one step's, with keys (M, S, K, H, d) and states (R, S, K,
        D)."""
        shape = (*keys.shape[:2], slots, *keys.shape[2:])
        states = normed.new_zeros(*normed.shape[:2], slots, *normed.shape[2:])
        return cls(keys.new_zeros(shape), keys.new_zeros(shape), states)

    def put(self, slot: int, keys: Tensor, values: Tensor, normed: Tensor) -> None:
        """Overwrite a slot of every stream."""
        for ring, new in ((self.keys, keys), (self.values, values), (self.normed, normed)):
            ring[:, :, slot] = new
