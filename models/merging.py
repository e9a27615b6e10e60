"""LoRA adapters apart from any model, and weights with one merged in.

Shapes: r rank, I inputs and O outputs of a projection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

UPDATE = "update_lora"
GENERATE = "generate_lora"
TEXT = "text_lora"


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter apart from any model: W + scale * B A."""

    rank: int
    alpha: float
    weights: Mapping[str, tuple[Tensor, Tensor]]
    """Projection (`model.layers.0.self_attn.q_proj`) to A (r, I) and B (O, r)."""
    give_back: Callable[[], object] = field(default=bool, compare=False)
    """Releases the bytes in memory of what is mapped from a file: they are read again when they are used."""

    @property
    def scale(self) -> float:
        """What the product B A is multiplied by (LoRA, arXiv 2106.09685)."""
        return self.alpha / self.rank

    @property
    def targets(self) -> tuple[str, ...]:
        """The kinds of projections it adapts, sorted."""
        return tuple(sorted({name.rpartition(".")[2] for name in self.weights}))

    def merged(self, names: Sequence[str], weights: Sequence[Tensor]) -> Tensor:
        """The weights (O, I) of projections one under the other, each with what is for it merged in."""
        sizes = [len(weight) for weight in weights]
        total = weights[0].new_empty(sum(sizes), weights[0].shape[1])
        for name, weight, part in zip(names, weights, total.split(sizes), strict=True):
            if name in self.weights:
                merge(weight, *self.weights[name], self.scale, out=part)
            else:
                part.copy_(weight)
        return total


@torch.no_grad()
def merge(weight: Tensor, a: Tensor, b: Tensor, scale: float, out: Tensor | None = None) -> Tensor:
    """W + scale * B A (O, I), in the type of W (O, I), where sums are float32 all the same.

    Args:
        a: (r, I).
        b: (O, r).
        out: (O, I), to write it to.
    """
    return torch.addmm(weight, b.to(weight), a.to(weight), alpha=scale, out=out)
