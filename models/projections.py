"""Projections other than torch's own modules: of several weights as one, exact, prepacked, or in 8 or 4 bits.

Shapes: O outputs, I inputs of a projection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models import compat
from models.blocks import BLOCK, Blocks4
from models.merging import Adapter

Projection = Callable[[Tensor], Tensor]
"""Inputs (..., I) to outputs (..., O)."""
LayOut = Callable[[Sequence[Tensor], Tensor | None], Projection]
"""Makes one projection of weights (O, I) that read the same input, and of their bias (O,)."""

PACKED_AT_ONCE = 1 << 18
"""Weights that `pack8` packs at a time: in float32 they stay in a core's cache."""


@dataclass(frozen=True, slots=True)
class Joined:
    """Projections of the same input, as one."""

    weight: Tensor
    """(O, I)."""
    bias: Tensor | None = None
    """(O,)."""

    def __call__(self, inputs: Tensor) -> Tensor:
        """Inputs (..., I) to outputs (..., O)."""
        return functional.linear(inputs, self.weight, self.bias)


@dataclass(frozen=True, slots=True)
class Prepacked:
    """Projections of the same input, as one, in the layout in which the CPU multiplies them."""

    weight: Tensor
    """As of `compat.pack_linear`."""
    bias: Tensor | None = None
    """(O,)."""

    def __call__(self, inputs: Tensor) -> Tensor:
        """Inputs (..., I) to outputs (..., O)."""
        return compat.packed_linear(inputs, self.weight, self.bias)


@dataclass(frozen=True, slots=True)
class Packed8:
    """A projection in 8 bits, symmetric, with a scale a row."""

    codes: Tensor
    """(O, I) int8."""
    scales: Tensor
    """(O,), in the type of what is projected."""
    bias: Tensor | None = None
    """(O,)."""

    def __call__(self, inputs: Tensor) -> Tensor:
        """Inputs (..., I) to outputs (..., O)."""
        rows = compat.int8_linear(inputs.flatten(0, -2), self.codes, self.scales)
        outputs = rows.view(*inputs.shape[:-1], -1)
        return outputs if self.bias is None else outputs + self.bias


@dataclass(frozen=True, slots=True)
class Packed4:
    """A projection in the 4 bits that a file has it in; steps and middles in bfloat16."""

    packed: Tensor
    """As of `compat.pack_int4`."""
    scales: Tensor
    """(I / BLOCK, O, 2)."""
    bias: Tensor | None = None
    """(O,)."""

    def __call__(self, inputs: Tensor) -> Tensor:
        """Inputs (..., I) to outputs (..., O)."""
        rows = compat.int4_linear(inputs.flatten(0, -2), self.packed, BLOCK, self.scales)
        outputs = rows.view(*inputs.shape[:-1], -1)
        return outputs if self.bias is None else outputs + self.bias


def join(weights: Sequence[Tensor], bias: Tensor | None = None) -> Joined:
    """Weights (O, I), one under the other; a single one is not copied."""
    return Joined(weights[0] if len(weights) == 1 else torch.cat(list(weights)), bias)


def prepack(weights: Sequence[Tensor], bias: Tensor | None = None) -> Joined | Prepacked:
    """Weights (O, I), one under the other, for many passes: prepacked where that gives the same bits
    sooner."""
    joined = join(weights, bias)
    weight = joined.weight
    is_alike = weight.device.type == "cpu" and weight.dtype == torch.bfloat16
    if not is_alike or weight.requires_grad or not compat.has_packed_linear():
        return joined
    return Prepacked(compat.pack_linear(weight), bias)


def pack8(weights: Sequence[Tensor], bias: Tensor | None = None) -> Packed8:
    """Weights (O, I), one under the other, in 8 bits."""
    count, inputs = sum(len(weight) for weight in weights), weights[0].shape[1]
    codes = torch.empty((count, inputs), dtype=torch.int8, device=weights[0].device)
    scales = torch.empty(count, dtype=weights[0].dtype, device=weights[0].device)
    done, at_once = 0, max(PACKED_AT_ONCE // inputs, 1)
    for rows in (part for weight in weights for part in weight.split(at_once)):
        exact = rows.to(torch.float32, copy=True)
        scale = (exact.abs().amax(dim=1) / 127).to(rows.dtype)
        steps = torch.where(scale > 0, scale, 1).float()[:, None]
        codes[done : done + len(rows)] = exact.div_(steps).round_().clamp_(-127, 127)
        scales[done : done + len(rows)] = scale
        done += len(rows)
    return Packed8(codes, scales, bias)


def pack4(parts: Sequence[Blocks4], bias: Tensor | None = None) -> Packed4:
    """Weights in 4 bits, one under the other; rows a multiple of 16 altogether."""
    packed = compat.pack_int4(torch.cat([part.codes for part in parts]))
    steps, middles = (
        torch.cat([getattr(part, name) for part in parts]).T for name in ("steps", "middles")
    )
    return Packed4(packed, torch.stack([steps, middles], dim=-1).bfloat16(), bias)


def bias_of(linears: Sequence[nn.Linear]) -> Tensor | None:
    """Those of several, one after the other; None if they have none."""
    biases: list[Tensor] = [linear.bias for linear in linears if linear.bias is not None]
    return torch.cat(biases) if biases else None


def merged(
    linears: Sequence[nn.Linear],
    names: Sequence[str],
    adapter: Adapter | None,
    lay_out: LayOut,
    give_back: Callable[[str], object],
) -> Projection:
    """One projection of several that read the same input, with an adapter merged in.

    Args:
        names: what the adapter calls them; if it has nothing for any of them, their weights are not copied.
        give_back: told the name of each weight that was copied.
    """
    weights: list[Tensor] = [linear.weight for linear in linears]
    bias = bias_of(linears)
    if adapter is None or not any(name in adapter.weights for name in names):
        return lay_out(weights, bias)
    copied = adapter.merged(names, weights)
    for name in names:
        give_back(f"{name}.weight")
    return lay_out([copied], bias)
