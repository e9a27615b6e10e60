"""What attention to a chunk says of how well it answers a question, and where.

Shapes: M layers with memory, A attention heads, S statistics, F figures of the heads that tell places, n
memory tokens of a chunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

STATISTICS = ("odds", "last_odds", "logit", "last_logit")
"""Of a head: the log odds of attending to memory rather than to the rest of the prefix and the prompt, and
the largest attention logit of a memory token: each the mean over the prompt's tokens, and of the last."""
LEAST_SHARE = 1e-4
"""Added to shares of attention before their logarithm is taken."""


@dataclass(frozen=True, slots=True)
class Reranker:
    """What attention to a chunk, and to a passage in it, says of how well they answer a question."""

    weights: Tensor
    """(M, A, S) float32: what a chunk gains by each statistic, in units of the retriever's scores."""
    places: Tensor
    """(M, A, 2) float32: what a passage gains where more of a head's attention goes to its tokens than to
    those of the chunk's other passages: that of the whole prompt, and of its last token."""

    @property
    def depth(self) -> int:
        """Layers with memory that have to be run: those behind the last one that counts are not."""
        counting = self.weights.flatten(1).any(dim=1) | self.places.flatten(1).any(dim=1)
        return int(counting.nonzero().max()) + 1 if counting.any() else 0


@dataclass(frozen=True, slots=True)
class Attended:
    """How the heads that tell places attend to the n memory tokens of a chunk."""

    shares: Tensor
    """(F, n): of the attention of a head."""
    weights: Tensor
    """(F,)."""

    def of_runs(self, runs: Sequence[tuple[int, int]]) -> list[float]:
        """How much more attention each run of memory tokens (start, stop) gets than the others: of the
        logarithm of its share, in standard deviations, times the weight of each head."""
        if len(runs) < 2:
            return [0.0] * len(runs)
        ends = functional.pad(self.shares.cumsum(dim=1), (1, 0))  # (F, n + 1)
        starts, stops = torch.tensor(runs).T
        logs = (ends[:, stops] - ends[:, starts] + LEAST_SHARE).log()  # (F, runs)
        apart = logs - logs.mean(dim=1, keepdim=True)
        found: list[float] = (
            self.weights @ (apart / (logs.std(dim=1, keepdim=True) + 1e-3))
        ).tolist()
        return found
