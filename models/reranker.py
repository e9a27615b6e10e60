"""What attention to a chunk says of how well it answers a question: the weights of `models.reranking`.

Shapes: M layers with memory, A attention heads, S statistics.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

STATISTICS = ("odds", "last_odds", "logit", "last_logit")
"""Of a head: the log odds of attending to memory rather than to the rest of the prefix and the prompt, and
the largest attention logit of a memory token: each the mean over the prompt's tokens, and of the last."""


@dataclass(frozen=True, slots=True)
class Reranker:
    """What the heads' statistics say of a chunk: a sum with these weights."""

    weights: Tensor
    """(M, A, S) float32, in units of the retriever's scores."""

    @property
    def depth(self) -> int:
        """Layers with memory that have to be run: those behind the last one that counts are not."""
        counting = self.weights.flatten(1).any(dim=1).nonzero()
        return int(counting.max()) + 1 if len(counting) else 0
