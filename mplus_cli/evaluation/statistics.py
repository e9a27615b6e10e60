"""How sure a figure is: Wilson's interval for shares, the bootstrap for means. Deterministic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_Z = 1.959963984540054
"""Of 95 %, two-sided."""
_ROUNDS = 2000
_SEED = 0


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean of `count` values with its 95 % interval."""

    value: float
    low: float
    high: float
    count: int


def share(values: Sequence[bool | float]) -> Figure:
    """The share of values that are true (or 1), with Wilson's interval (Wilson 1927)."""
    count = len(values)
    if not count:
        return Figure(math.nan, math.nan, math.nan, 0)
    part = sum(map(float, values)) / count
    square = _Z**2 / count
    middle = (part + square / 2) / (1 + square)
    half = _Z * math.sqrt(part * (1 - part) / count + square / (4 * count)) / (1 + square)
    return Figure(part, max(middle - half, 0.0), min(middle + half, 1.0), count)


def mean(values: Sequence[float]) -> Figure:
    """The mean of values, with the percentile interval of 2,000 bootstrap samples of a fixed seed."""
    import numpy as np

    count = len(values)
    if not count:
        return Figure(math.nan, math.nan, math.nan, 0)
    data = np.asarray(values, dtype=np.float64)
    drawn = np.random.default_rng(_SEED).integers(0, count, size=(_ROUNDS, count))
    low, high = np.percentile(data[drawn].mean(axis=1), [2.5, 97.5])
    return Figure(float(data.mean()), float(low), float(high), count)


def median(values: Sequence[float]) -> float:
    """The median; NaN of nothing."""
    ordered = sorted(values)
    if not ordered:
        return math.nan
    middle = len(ordered) // 2
    return (
        (ordered[middle] + ordered[-middle - 1]) / 2 if len(ordered) % 2 == 0 else ordered[middle]
    )
