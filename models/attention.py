"""Attention of grouped heads, four ways that compute the same.

On a CPU matrix products are faster than SDPA's kernel for the shapes of the passes (grouped heads, a few
hundred queries behind a prefix): keys and values are never repeated. `grouped` is for training: its weights
take memory of heads x queries x keys. `grouped_causal` is for reading: a block of queries at a time sees only
the keys it may, in a core's cache. `sdpa` is torch's kernel, and `few` is that kernel for a token or a few.

Shapes: B batch, A attention heads, H key/value heads, T queries, n keys, d head size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

SDPA, GROUPED, CAUSAL = "sdpa", "grouped", "grouped_causal"
BLOCK = 128
"""Queries of a head that `causal_attention` takes at a time."""


class Scoring(NamedTuple):
    """How the products of queries and keys become attention logits."""

    mask: Tensor | None
    """Additive (B or 1, 1, T, n); None: queries are the last T tokens, and see none after them."""
    scale: float
    """What products are multiplied by."""
    cap: float | None = None
    """c, if logits x become c tanh(x / c)."""

    def capped(self, logits: Tensor) -> Tensor:
        """Logits of any shape under the cap, where there is one."""
        return logits if self.cap is None else (logits / self.cap).tanh() * self.cap


Attention = Callable[[Tensor, Tensor, Tensor, Scoring], Tensor]
"""Of query (B, A, T, d) over key and value (B, H, n, d): (B, T, A, d)."""


def sdpa(query: Tensor, key: Tensor, value: Tensor, scoring: Scoring) -> Tensor:
    """By torch's kernel, as `Attention` says."""
    if scoring.cap is not None:
        return grouped_attention(query, key, value, scoring)
    mask, length, before = scoring.mask, query.shape[2], key.shape[2] - query.shape[2]
    if mask is None and before and length > 1:  # the kernel's own causal mask is aligned top-left
        mask = causal_mask(length, before, query)
    times = query.shape[1] // key.shape[1]
    if times > 1:
        key, value = (_repeated(part, times) for part in (key, value))
    causal = mask is None and length > 1
    out = functional.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, is_causal=causal, scale=scoring.scale
    )
    return out.transpose(1, 2)


def grouped_attention(query: Tensor, key: Tensor, value: Tensor, scoring: Scoring) -> Tensor:
    """By matrix products of all queries at once, as `Attention` says."""
    batch, heads, length, size = query.shape
    groups, before, mask = key.shape[1], key.shape[2] - length, scoring.mask
    if mask is None and length > 1:
        mask = causal_mask(length, before, query)
    side_by_side = (query * scoring.scale).reshape(batch, groups, -1, size)  # (B, H, A/H T, d)
    scores = scoring.capped(side_by_side @ key.transpose(2, 3))
    if mask is not None:
        apart = scores.view(batch, groups, heads // groups, length, -1)
        scores = (apart + mask[:, :, None]).view(scores.shape)
    out = (scores.softmax(dim=-1) @ value).view(batch, heads, length, size)
    return out.transpose(1, 2)


def causal_attention(query: Tensor, key: Tensor, value: Tensor, scoring: Scoring) -> Tensor:
    """By matrix products block by block, as `Attention` says."""
    batch, heads, length, size = query.shape
    groups, before, mask = key.shape[1], key.shape[2] - length, scoring.mask
    queries = (query * scoring.scale).unflatten(1, (groups, -1))  # (B, H, A/H, T, d)
    out = query.new_empty(batch, length, heads, size)
    rows = out.unflatten(2, (groups, -1))  # (B, T, H, A/H, d)
    later = query.new_full((min(BLOCK, length),) * 2, -torch.inf).triu(1)
    for start in range(0, length, BLOCK):
        stop = min(start + BLOCK, length)
        seen = before + stop if mask is None else before + length
        block = queries[:, :, :, start:stop].flatten(2, 3)  # (B, H, A/H t, d)
        scores = scoring.capped(block @ key[:, :, :seen].transpose(2, 3))
        apart = scores.unflatten(2, (-1, stop - start))
        if mask is None:
            apart[..., before + start :] += later[: stop - start, : stop - start]
        else:
            apart += mask[:, :, None, start:stop]
        mixed = scores.softmax(dim=-1) @ value[:, :, :seen]
        rows[:, start:stop] = mixed.unflatten(2, (-1, stop - start)).permute(0, 3, 1, 2, 4)
    return out


def few(query: Tensor, key: Tensor, value: Tensor, scoring: Scoring) -> Tensor:
    """By torch's kernel with the heads that share a key head as its queries, so that keys are read once:
    for one query a head, or a few under a mask.

    Args:
        scoring: its mask may have rows for all of these queries already (`for_heads`).
    """
    batch, heads, length, size = query.shape
    groups, mask = key.shape[1], scoring.mask
    if scoring.cap is not None or (mask is None and length > 1):
        return grouped_attention(query, key, value, scoring)
    if mask is not None and mask.shape[2] == length:
        (mask,) = for_heads([mask], heads // groups)
    queries = query.reshape(batch, groups, -1, size)
    out = functional.scaled_dot_product_attention(
        queries, key, value, attn_mask=mask, scale=scoring.scale
    )
    return out.view(batch, heads, length, size).transpose(1, 2)


def for_heads(masks: Sequence[Tensor | None], times: int) -> list[Tensor | None]:
    """Masks (1, 1, T, n) for the queries of so many heads at once (1, 1, times T, n), each made once."""
    several = {id(mask): mask for mask in masks if mask is not None and mask.shape[2] > 1}
    tiled = {key: mask.repeat(1, 1, times, 1) for key, mask in several.items()}
    return [tiled.get(id(mask), mask) for mask in masks]


def causal_mask(length: int, before: int, like: Tensor, window: int | None = None) -> Tensor:
    """The additive mask (1, 1, T, n) of T tokens behind others, each of which sees those up to itself.

    Args:
        window: tokens, itself included, that each sees back at most.
    """
    least = torch.finfo(like.dtype).min
    allowed = torch.ones(length, before + length, dtype=torch.bool, device=like.device)
    allowed = allowed.tril(before)
    if window is not None:
        allowed = allowed.triu(before + 1 - window)
    zeros = torch.zeros((), dtype=like.dtype, device=like.device)
    return torch.where(allowed, zeros, least)[None, None]


def _repeated(part: Tensor, times: int) -> Tensor:
    """Keys or values (B, H, n, d), each head so many times in a row."""
    batch, heads, count, size = part.shape
    return part[:, :, None].expand(batch, heads, times, count, size).reshape(batch, -1, count, size)


KERNELS: Mapping[str, Attention] = {
    SDPA: sdpa,
    "eager": grouped_attention,
    GROUPED: grouped_attention,
    CAUSAL: causal_attention,
}
"""What `attention` of `models.checkpoints.load` may be."""
