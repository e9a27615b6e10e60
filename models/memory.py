"""The latent memory as values: short-term memory, segments of long-term memory, and the two together
(theta and Theta in M+, arXiv 2502.00592, section 3.2).

Pure tensors, passed in and returned: nothing here knows a model, a file or a device policy. The paper keeps
hidden states. Here a memory token is kept as what the generate pass makes of its state, once: in every
layer its key and its value before rotation, and its retriever key.

Shapes: L layers with memory, R layers with a retriever, n or m memory tokens, H key/value heads, d head size,
D hidden size, P retriever width. A leading 1 instead of L (`ages`, `born`, `chunks`) means that all
layers hold the same memory tokens, as they do unless tokens are dropped at random.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self, TypeVar

import torch
from torch import Tensor


class TokenRows(ABC):
    """Memory tokens of every layer, oldest first, in some form: a dataclass of tensors (G, n, ...).

    G is L, R or 1. `Tokens` holds them exactly, `models.packing.Packed` in fewer bits.
    """

    __slots__ = ()
    chunks: Tensor
    """(L or 1, n) int64: the chunk each token was written from, -1 if it came with the checkpoint."""

    @property
    @abstractmethod
    def layout(self) -> tuple[int, int, int]:
        """Layers, heads and head size: L, H, d."""

    @abstractmethod
    def unpack(self) -> Tokens:
        """The tokens as the generate pass takes them."""

    @abstractmethod
    def lookup(self, row: int, start: int, stop: int) -> Tensor:
        """Retriever keys (stop - start, P) of the row-th retriever layer."""

    @abstractmethod
    def of_layers(self, layers: slice) -> Self:
        """The tokens of some layers, as views, without retriever keys."""

    def __len__(self) -> int:
        return self.chunks.shape[1]

    def each(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The same tokens with a function applied to every tensor."""
        return type(self)(*(change(tensor) for tensor in self.tensors().values()))

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by its name."""
        whole: Any = self
        return {one.name: getattr(self, one.name) for one in fields(whole)}

    def slice(self, start: int, stop: int) -> Self:
        """Tokens start..stop of every layer, as views."""
        return self.each(lambda rows: rows[:, start:stop])

    def take(self, index: Tensor) -> Self:
        """The tokens `index` (L or 1, k) names in each layer."""
        return self.each(lambda rows: take_rows(rows, index))

    def to(self, device: torch.device | str) -> Self:
        """The same tokens on a device."""
        return self.each(lambda rows: rows.to(device))


@dataclass(frozen=True, slots=True)
class Tokens(TokenRows):
    """Memory tokens of every layer, oldest first, ready for the generate pass."""

    keys: Tensor
    """(L, n, H, d), under the generate adapter, before rotation."""
    values: Tensor
    """(L, n, H, d)."""
    retriever_keys: Tensor
    """(R, n, P)."""
    chunks: Tensor
    """As in `TokenRows`."""

    @property
    def layout(self) -> tuple[int, int, int]:
        layers, _, heads, size = self.keys.shape
        return layers, heads, size

    def unpack(self) -> Tokens:
        return self

    def lookup(self, row: int, start: int, stop: int) -> Tensor:
        return self.retriever_keys[row, start:stop]

    def of_layers(self, layers: slice) -> Tokens:
        chunks = self.chunks if self.chunks.shape[0] == 1 else self.chunks[layers]
        return Tokens(self.keys[layers], self.values[layers], self.retriever_keys[:0], chunks)


@dataclass(frozen=True, slots=True)
class ShortTermMemory:
    """The newest memory tokens, N at most, on the compute device."""

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

    tokens: TokenRows
    born: Tensor
    """(L or 1, m) int64: the memory's clock when each was written; its age is clock - 1 - born."""
    give_back: Callable[[], object] = field(default=bool, compare=False)
    """Releases the bytes in memory of what is mapped from a file: they are read again when they are used."""

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True, slots=True)
class Memory:
    """A whole memory. A value: an update returns another one that shares the segments."""

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
        """Whether it holds no memory token at all."""
        return len(self.stm) == 0 and not self.segments

    def give_back(self) -> None:
        """Release the bytes in memory of what is mapped from files, as of each segment."""
        for segment in self.segments:
            segment.give_back()

    def with_segments(self, segments: Sequence[Segment]) -> Memory:
        """The same memory with its long-term memory held by other segments."""
        return replace(self, segments=tuple(segments))


Rows = TypeVar("Rows", bound=TokenRows)


def take_rows(rows: Tensor, index: Tensor) -> Tensor:
    """Rows (G, n, ...) at `index` (1 or G, k), layer by layer: (G, k, ...).

    G is the number of layers, or 1 where all layers hold the same.
    """
    if index.shape[0] == 1:
        return rows[:, index[0]]
    if not rows.shape[0]:
        return rows.new_empty(0, index.shape[1], *rows.shape[2:])
    if rows.shape[0] == 1:
        rows = rows.expand(index.shape[0], *rows.shape[1:])
    layer = torch.arange(rows.shape[0], device=rows.device)[:, None]
    return rows[layer, index]


def concatenate(parts: Sequence[Rows]) -> Rows:
    """Tokens of several parts, all of one kind, one after the other."""
    columns = zip(*(part.tensors().values() for part in parts), strict=True)
    return type(parts[0])(*(cat_layers(column) for column in columns))


def cat_layers(parts: Sequence[Tensor]) -> Tensor:
    """Concatenate (L or 1, n, ...) tensors along n, expanding what all layers share where needed."""
    layers = max(part.shape[0] for part in parts)
    return torch.cat([part.expand(layers, *part.shape[1:]) for part in parts], dim=1)


def merge(segments: Sequence[Segment]) -> Segment:
    """Several segments as one, in order; all of one form (`Tokens`, or `Packed` in the same format)."""
    return Segment(
        concatenate([segment.tokens for segment in segments]),
        cat_layers([segment.born for segment in segments]),
    )
