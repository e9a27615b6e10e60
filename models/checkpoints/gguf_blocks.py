"""The kinds of 4 bits in GGUF files, as codes with steps: what is unpacked in full stays in 4 bits here.

Layouts as of ggml's `block_q4_0`, `block_q4_1` and `block_q4_K`; tests compare with `gguf`'s unpacking.

Shapes: O outputs, I inputs of a projection, b bytes of a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.blocks import BLOCK, Blocks4


def unpack_blocks(rows: Any, kind: str, permute: Callable[[Tensor], Tensor]) -> Blocks4:
    """The blocks of a tensor of one of `KINDS`.

    Args:
        rows: as stored (O, b), uint8.
        permute: puts what is there for each row (O, ...) into the order of the Hub.
    """
    size, read = KINDS[kind]
    blocks = np.asarray(rows).reshape(len(rows), -1, size)
    codes, steps, middles = (
        permute(torch.from_numpy(np.ascontiguousarray(part).reshape(len(rows), -1)))
        for part in read(blocks)
    )
    return Blocks4(codes, steps, middles)


Parts = tuple[Any, Any, Any]
"""Codes, steps and middles (O, ...)."""


def _q4_0(blocks: Any) -> Parts:
    steps = _halfs(blocks[..., :2])
    return _nibbles(blocks[..., 2:], BLOCK), steps, np.zeros_like(steps)


def _q4_1(blocks: Any) -> Parts:
    steps, least = _halfs(blocks[..., :2]), _halfs(blocks[..., 2:4])
    return _nibbles(blocks[..., 4:], BLOCK), steps, least + 8 * steps


def _q4_k(blocks: Any) -> Parts:
    """256 weights, whose eight blocks have steps and least values of 6 bits each."""
    step, least = _halfs(blocks[..., :2]), _halfs(blocks[..., 2:4])
    packed = blocks[..., 4:16]
    low, mid, high = packed[..., :4], packed[..., 4:8], packed[..., 8:]
    sixes = np.concatenate([low & 63, high & 15 | low >> 6 << 4], axis=-1)
    offsets = np.concatenate([mid & 63, high >> 4 | mid >> 6 << 4], axis=-1)
    steps = step * sixes.astype(np.float32)
    return _nibbles(blocks[..., 16:], 64), steps, 8 * steps - least * offsets.astype(np.float32)


def _halfs(pairs: Any) -> Any:
    """Numbers of 16 bits, in float32."""
    return np.ascontiguousarray(pairs).view(np.float16).astype(np.float32)


def _nibbles(bytes_: Any, together: int) -> Any:
    """Codes whose low halves of bytes stand in front of the high ones, in so many at a time."""
    runs = bytes_.reshape(*bytes_.shape[:-1], -1, 1, together // 2)
    return np.concatenate([runs & 15, runs >> 4], axis=-2)


KINDS: Mapping[str, tuple[int, Callable[[Any], Parts]]] = {
    "Q4_0": (18, _q4_0),
    "Q4_1": (20, _q4_1),
    "Q4_K": (144, _q4_k),
}
"""Bytes of a block as stored, and what takes such blocks (O, n, bytes) apart."""
