"""Memories of recent steps, detached: distractors for the readers, negatives for the retriever.

Shapes: L layers, R retriever layers, K memory tokens, D hidden size, H key/value heads, d head size.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass

from torch import Tensor

from models.training.data import Question


@dataclass(frozen=True, slots=True)
class Remembered:
    """One chunk that was written in this run."""

    number: int
    """Which chunk of its stream."""
    keys: Tensor
    """(L, K, H, d), unrotated, detached."""
    values: Tensor
    normed: Tensor
    """(R, K, D): memory states as the retriever sees them, detached."""
    questions: tuple[Question, ...]


class Pool:
    """The newest `size` chunks of a stream."""

    def __init__(self, size: int) -> None:
        self._chunks: deque[Remembered] = deque(maxlen=size)

    def __len__(self) -> int:
        return len(self._chunks)

    def add(self, chunk: Remembered) -> None:
        self._chunks.append(chunk)

    def sample(self, count: int, draw: random.Random) -> list[Remembered]:
        """Up to `count` different chunks, in random order."""
        return draw.sample(list(self._chunks), min(count, len(self._chunks)))
