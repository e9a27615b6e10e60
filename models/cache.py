"""Keys and values that a pass stands behind: of one layer, or of all of them as they grow.

Shapes: B batch, T text tokens, n tokens held, H key/value heads, d head size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor


class Prefix:
    """Keys and values of one layer in front of the text; keeps nothing, so gradients flow."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        self.keys = keys  # (B, H, n, d), rotated
        self.values = values

    def update(self, keys: Tensor, values: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Keys and values (B, H, n + T, d): the prefix with those of the text (B, H, T, d) behind it."""
        return torch.cat([self.keys, keys], dim=2), torch.cat([self.values, values], dim=2)

    def held(self, layer: int) -> int:
        """Tokens n of the prefix."""
        return self.keys.shape[2]


@dataclass(frozen=True, slots=True)
class Paths:
    """What T tokens side by side see of the newest tokens in a cache; all see what is before these."""

    newest: int
    """How many tokens these are."""
    seen: tuple[tuple[int, ...], ...]
    """For each of the T tokens, which of them it stands behind, by their number and in order."""

    @classmethod
    def apart(cls, tokens: int) -> Paths:
        """For tokens that each stand next behind everything."""
        return cls(0, ((),) * tokens)


class KeyValueCache:
    """Keys and values of every layer in buffers of fixed size, filled from the left.

    Layers may hold a prefix of different lengths; the longest says where the next token stands.
    """

    def __init__(
        self,
        shapes: Sequence[tuple[int, int, int, int]],
        dtype: torch.dtype,
        device: Any,
        bias: Tensor | None = None,
        forks: int = 1,
        windows: Sequence[int | None] = (),
    ) -> None:
        """Buffers of a shape (B, H, capacity, d) for each layer.

        Args:
            bias: added to the attention logits of the first n tokens (n,) by all that come later, in
                the layers of the longest prefix.
            forks: tokens that stand side by side at most; there is room for them at the end too.
            windows: of each layer, how many tokens, itself included, a token sees back; none: all.
        """
        wide = [(*shape[:2], shape[2] + forks - 1, shape[3]) for shape in shapes]
        self._keys = [torch.empty(shape, dtype=dtype, device=device) for shape in wide]
        self._values = [torch.empty(shape, dtype=dtype, device=device) for shape in wide]
        self._lengths = [0] * len(shapes)
        self.capacity = max(shape[2] for shape in shapes)
        self._bias = None if bias is None else bias.to(dtype)
        self._windows = windows or [None] * len(shapes)

    def held(self, layer: int) -> int:
        """Tokens that a layer holds."""
        return self._lengths[layer]

    def positions(self, paths: Paths) -> list[int]:
        """Where tokens side by side stand, in the layers with the longest prefix."""
        return [len(self) - paths.newest + len(seen) for seen in paths.seen]

    def masks(self, paths: Paths) -> list[Tensor | None]:
        """For each layer the additive mask (1, 1, T, n + T) for T tokens, of which none sees another,
        behind the n held; None: none needed."""
        kinds = list(zip(self._lengths, self._windows, strict=True))
        masks = {kind: self._mask(*kind, paths) for kind in set(kinds)}
        return [masks[kind] for kind in kinds]

    def _mask(self, length: int, window: int | None, paths: Paths) -> Tensor | None:
        """The mask of one layer, by the number of tokens that it holds."""
        bias, tokens = self._bias if length == len(self) else None, len(paths.seen)
        if (
            bias is None
            and tokens == 1
            and len(paths.seen[0]) == paths.newest
            and (window or length + 1) > length
        ):
            return None
        like, shared = self._keys[0], length - paths.newest
        least = torch.finfo(like.dtype).min
        mask = like.new_full((tokens, length + tokens), least)
        for row, seen in enumerate(paths.seen):
            hidden = 0 if window is None else max(shared + len(seen) + 1 - window, 0)
            mask[row, hidden:shared] = 0
            mask[row, [shared + number for number in seen[max(hidden - shared, 0) :]]] = 0
            mask[row, length + row] = 0
        if bias is not None:
            mask[:, : len(bias)] += bias
        return mask[None, None]

    def __len__(self) -> int:
        """Tokens the layers with the longest prefix hold, between passes."""
        return max(self._lengths)

    def keep(self, index: int, tokens: int) -> None:
        """Of the last `tokens` tokens, which stood side by side, keep the index-th."""
        for layer, length in enumerate(self._lengths):
            first = length - tokens
            for rows in (self._keys[layer], self._values[layer]):
                rows[:, :, first] = rows[:, :, first + index]
            self._lengths[layer] = first + 1

    def mark(self) -> tuple[int, ...]:
        """Where the cache ends now, to come back to."""
        return tuple(self._lengths)

    def rewind(self, mark: Sequence[int]) -> None:
        """Forget what came after a mark."""
        self._lengths = list(mark)

    def update(self, keys: Tensor, values: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Add a layer's keys and values of T tokens (B, H, T, d): those of all it holds now, as views.

        Raises:
            ValueError: there is no room for them.
        """
        start = self._lengths[layer]
        stop = start + keys.shape[2]
        if stop > (capacity := self._keys[layer].shape[2]):
            raise ValueError(f"the cache holds {capacity} tokens, {stop} were given")
        count, self._lengths[layer] = stop - start, stop
        all_keys, all_values = self._keys[layer], self._values[layer]
        all_keys.narrow(2, start, count).copy_(keys)
        all_values.narrow(2, start, count).copy_(values)
        return all_keys.narrow(2, 0, stop), all_values.narrow(2, 0, stop)


class StepDecoder(Protocol):
    """Decodes step by step: reads one token at a time behind a cache."""

    def step(self, token: int, cache: KeyValueCache) -> Tensor:
        """Read one token behind the cache: logits (1, V) in float32."""

    def fork(
        self, tokens: Sequence[int], cache: KeyValueCache, paths: Paths | None = None
    ) -> Tensor:
        """Read T tokens side by side, none of which sees another: logits (T, V) in float32.

        The cache holds all of them until it is told which one to `keep`, or to `rewind`.

        Args:
            paths: what each stands behind; None: each is the next one behind the cache.
        """

    def prepare(self) -> None:
        """Begin what the first step needs, if it takes time, while other work is done."""

    def release(self) -> None:
        """Give back the memory of what steps need; the next one makes it again."""
