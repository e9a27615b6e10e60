"""The latent memory as values: short-term memory, segments of long-term memory, and the two together.

Pure tensors, passed in and returned: nothing here knows a model, a file or a device policy.
A memory token is kept as what the generate pass needs of it: its key and value before rotation,
in every layer, with its retriever key.

Shapes: L layers, R layers with a retriever, n or m memory tokens, H key/value heads, d head size,
D hidden size, P retriever width. A leading 1 instead of L (`ages`, `born`, `chunks`) means that all
layers hold the same memory tokens, which is so unless they drop at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Tokens:
    """Memory tokens of every layer, oldest first, ready for the generate pass."""

    keys: Tensor
    """(L, n, H, d), under the generate adapter, before rotation."""
    values: Tensor
    """(L, n, H, d)."""
    retriever_keys: Tensor
    """(R, n, P)."""
    chunks: Tensor
    """(L or 1, n) int64: the chunk each token was written from, -1 if it came with the checkpoint."""

    def __len__(self) -> int:
        return self.keys.shape[1]

    def slice(self, start: int, stop: int) -> Tokens:
        """Tokens start..stop of every layer, as views."""
        return Tokens(
            self.keys[:, start:stop],
            self.values[:, start:stop],
            self.retriever_keys[:, start:stop],
            self.chunks[:, start:stop],
        )

    def take(self, index: Tensor) -> Tokens:
        """The tokens `index` (L or 1, k) names in each layer."""
        return Tokens(
            take_rows(self.keys, index),
            take_rows(self.values, index),
            take_rows(self.retriever_keys, index),
            take_rows(self.chunks, index),
        )

    def to(self, device: torch.device | str) -> Tokens:
        return Tokens(
            self.keys.to(device),
            self.values.to(device),
            self.retriever_keys.to(device),
            self.chunks.to(device),
        )


@dataclass(frozen=True, slots=True)
class ShortTermMemory:
    """The newest memory tokens, on the compute device."""

    tokens: Tokens
    ages: Tensor
    """(L or 1, n) int64: how many memory tokens have been written since each one."""
    tail: Tensor
    """(L, k, D), k <= K: the newest tokens as hidden states, the prefix of the next update pass."""

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True, slots=True)
class Segment:
    """An immutable run of long-term memory, in CPU memory or mapped from a file."""

    tokens: Tokens
    born: Tensor
    """(L or 1, m) int64: the memory's clock when each was written; its age is clock - 1 - born."""

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True, slots=True)
class Memory:
    """Everything that was read. A value: an update returns another one and shares the segments."""

    stm: ShortTermMemory
    segments: tuple[Segment, ...]
    """Long-term memory, oldest segment first."""
    clock: int
    """Memory tokens written so far, per layer."""
    chunks: int
    """Chunks read so far; the next chunk's number."""

    @property
    def ltm_tokens(self) -> int:
        """Memory tokens in long-term memory, per layer."""
        return sum(len(segment) for segment in self.segments)

    @property
    def is_empty(self) -> bool:
        return len(self.stm) == 0 and not self.segments

    def with_segments(self, segments: Sequence[Segment]) -> Memory:
        """The same memory with its long-term memory held by other segments."""
        return replace(self, segments=tuple(segments))


def take_rows(rows: Tensor, index: Tensor) -> Tensor:
    """Rows (G, n, ...) at `index` (1 or G, k), layer by layer: (G, k, ...)."""
    if index.shape[0] == 1:
        return rows[:, index[0]]
    if rows.shape[0] == 1:
        rows = rows.expand(index.shape[0], *rows.shape[1:])
    layer = torch.arange(rows.shape[0], device=rows.device)[:, None]
    return rows[layer, index]


def concatenate(parts: Sequence[Tokens]) -> Tokens:
    """Tokens of several parts one after the other."""
    return Tokens(
        torch.cat([part.keys for part in parts], dim=1),
        torch.cat([part.values for part in parts], dim=1),
        torch.cat([part.retriever_keys for part in parts], dim=1),
        cat_layers([part.chunks for part in parts]),
    )


def cat_layers(parts: Sequence[Tensor]) -> Tensor:
    """Concatenate (L or 1, n) tensors along n, widening the ones all layers share where needed."""
    layers = max(part.shape[0] for part in parts)
    return torch.cat([part.expand(layers, -1) for part in parts], dim=1)


def merge(segments: Sequence[Segment]) -> Segment:
    """One segment that holds what several do, in order."""
    return Segment(
        concatenate([segment.tokens for segment in segments]),
        cat_layers([segment.born for segment in segments]),
    )
