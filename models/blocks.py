"""Weights in 4 bits as files hold them, in blocks along their rows.

Shapes: O outputs, I inputs of a projection.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

BLOCK = 32
"""Neighbouring weights of a row that share a step and a middle."""


@dataclass(frozen=True, slots=True)
class Blocks4:
    """Weights of 4 bits each: (code - 8) * step + middle, with a step and a middle a block."""

    codes: Tensor
    """(O, I) uint8, from 0 to 15."""
    steps: Tensor
    """(O, I / BLOCK) float32."""
    middles: Tensor
    """(O, I / BLOCK) float32."""

    def unpacked(self) -> Tensor:
        """The weights (O, I) in float32."""
        codes = self.codes.unflatten(1, (-1, BLOCK)).float() - 8
        weights: Tensor = codes * self.steps[..., None] + self.middles[..., None]
        return weights.flatten(1)


Unpack = Callable[[], Blocks4]
"""Reads blocks from where they are stored."""
