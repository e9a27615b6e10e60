"""Rotary positions (RoFormer, arXiv 2104.09864) with every scaling that the supported families use.

The formulas of scaled frequencies are those of the papers and of `transformers`, which tests compare.

Shapes: d head size, r <= d turned part of it, T tokens, h heads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from models.architecture import RotarySpec

Turn = tuple[Tensor, Tensor]
"""Cosines and sines (B or 1, T, 1, r) of some positions, for every head; the first half of the sines is
negative."""


def frequencies(spec: RotarySpec, head_size: int, positions: int) -> tuple[Tensor, float]:
    """Radians a position (r / 2,) in float32, and what cosines and sines are multiplied by.

    Args:
        positions: that the base was made for.
    """
    size = int(head_size * spec.share)
    exponents = torch.arange(0, size, 2, dtype=torch.int64).float() / size
    return _KINDS[spec.kind](spec, spec.theta**exponents, size, positions)


def turn(table: tuple[Tensor, float], positions: Tensor, dtype: torch.dtype) -> Turn:
    """The turn of positions (B or 1, T).

    Args:
        table: of `frequencies`, on the device of the positions.
    """
    radians, factor = table
    angles = positions[..., None, None].float() * radians
    angles = torch.cat([angles, angles], dim=-1)
    cosines, sines = angles.cos() * factor, angles.sin() * factor
    half = radians.shape[0]
    sines = torch.cat([-sines[..., :half], sines[..., half:]], dim=-1)
    return cosines.to(dtype), sines.to(dtype)


def turned(vectors: Tensor, by: Turn) -> Tensor:
    """Vectors (B, T, h, d), each turned to its position; rounded as in training, product by product."""
    cosines, sines, part, rest = _parts(vectors, by)
    rotated = part * cosines + _swapped(part) * sines
    return rotated if rest is None else torch.cat([rotated, rest], dim=-1)


def turned_at_once(vectors: Tensor, by: Turn) -> Tensor:
    """As `turned`, in fewer steps, rounded once less."""
    cosines, sines, part, rest = _parts(vectors, by)
    rotated = torch.addcmul(part * cosines, _swapped(part), sines)
    return rotated if rest is None else torch.cat([rotated, rest], dim=-1)


def rotate(keys: Tensor, by: Turn | None) -> Tensor:
    """Keys (B, n, h, d) turned to the first n of the positions given, laid out for attention: (B, h, n, d).

    Args:
        by: of n positions or more; None where a layer knows no positions.
    """
    if by is None:
        return keys.transpose(1, 2)
    count = keys.shape[1]
    return turned(keys, (by[0][:, :count], by[1][:, :count])).transpose(1, 2)


def _parts(vectors: Tensor, by: Turn) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Cosines and sines, the part of vectors that is turned, and the rest."""
    cosines, sines = by
    size = cosines.shape[-1]
    if size == vectors.shape[-1]:
        return cosines, sines, vectors, None
    return cosines, sines, vectors[..., :size], vectors[..., size:]


def _swapped(part: Tensor) -> Tensor:
    return part.roll(part.shape[-1] // 2, dims=-1)


_Kind = Callable[[RotarySpec, Tensor, int, int], tuple[Tensor, float]]


def _default(
    spec: RotarySpec, wavelengths: Tensor, size: int, positions: int
) -> tuple[Tensor, float]:
    return 1.0 / wavelengths, 1.0


def _linear(
    spec: RotarySpec, wavelengths: Tensor, size: int, positions: int
) -> tuple[Tensor, float]:
    return 1.0 / wavelengths / spec.scaling["factor"], 1.0


def _llama3(
    spec: RotarySpec, wavelengths: Tensor, size: int, positions: int
) -> tuple[Tensor, float]:
    given, radians = spec.scaling, 1.0 / wavelengths
    low, high = given["low_freq_factor"], given["high_freq_factor"]
    original = given["original_max_position_embeddings"]
    lengths = 2 * math.pi / radians
    slow = torch.where(lengths > original / low, radians / given["factor"], radians)
    smooth = (original / lengths - low) / (high - low)
    between = (1 - smooth) * slow / given["factor"] + smooth * slow
    is_between = ~(lengths < original / high) & ~(lengths > original / low)
    return torch.where(is_between, between, slow), 1.0


def _yarn(spec: RotarySpec, wavelengths: Tensor, size: int, positions: int) -> tuple[Tensor, float]:
    given = spec.scaling
    original = given.get("original_max_position_embeddings") or positions
    factor = given.get("factor") or positions / original
    ends = [
        size * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(spec.theta))
        for turns in (given.get("beta_fast") or 32, given.get("beta_slow") or 1)
    ]
    if given.get("truncate", True):
        ends = [math.floor(ends[0]), math.ceil(ends[1])]
    low, high = max(ends[0], 0), min(ends[1], size - 1)
    high = high + 0.001 if low == high else high
    ramp = ((torch.arange(size // 2, dtype=torch.float32) - low) / (high - low)).clamp(0, 1)
    kept = 1 - ramp
    radians = 1.0 / (factor * wavelengths) * (1 - kept) + 1.0 / wavelengths * kept
    return radians, _yarn_factor(given, factor)


def _yarn_factor(given: Mapping[str, Any], factor: float) -> float:
    def scale(weight: float) -> float:
        return 0.1 * weight * math.log(factor) + 1.0 if factor > 1 else 1.0

    if given.get("attention_factor") is not None:
        return float(given["attention_factor"])
    one, all_dims = given.get("mscale"), given.get("mscale_all_dim")
    return scale(one) / scale(all_dims) if one and all_dims else scale(1.0)


def _longrope(
    spec: RotarySpec, wavelengths: Tensor, size: int, positions: int
) -> tuple[Tensor, float]:
    """With the factors for short texts: `Architecture.positions` are those that these hold for."""
    given = spec.scaling
    original = given["original_max_position_embeddings"]
    factor, attention = given.get("factor") or 1.0, given.get("attention_factor")
    if attention is None:
        attention = math.sqrt(1 + math.log(factor) / math.log(original)) if factor > 1 else 1.0
    short = torch.tensor(given["short_factor"], dtype=torch.float32)
    return 1.0 / (short * wavelengths), float(attention)


def _divided(
    spec: RotarySpec, wavelengths: Tensor, size: int, positions: int
) -> tuple[Tensor, float]:
    """As GGUF files give the frequencies of Llama 3."""
    return 1.0 / wavelengths / torch.tensor(spec.scaling["divisors"], dtype=torch.float32), 1.0


_KINDS: Mapping[str, _Kind] = {
    "default": _default,
    "linear": _linear,
    "dynamic": _default,  # scaled beyond the positions of the base alone, where nothing is read
    "llama3": _llama3,
    "yarn": _yarn,
    "longrope": _longrope,
    "divided": _divided,
}
KINDS = frozenset(_KINDS)
