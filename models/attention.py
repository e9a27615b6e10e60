"""Attention by plain matrix products, the query heads that share a key head side by side.

Implementations for `transformers`' attention registry. On a CPU they are faster than SDPA's kernel
for the shapes of the passes (grouped heads, a few hundred queries behind a prefix): keys and values
are never repeated. `grouped` is for training: its weights take memory of heads x queries x keys.
`causal` is for reading: a block of queries at a time sees only the keys it may, in a core's cache.

Shapes: B batch, A attention heads, H key/value heads, T queries, n keys, d head size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

GROUPED, CAUSAL = "grouped", "grouped_causal"
BLOCK = 128
"""Queries of a head that `causal_attention` takes at a time."""


def grouped_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Softmax attention of query (B, A, T, d) over key, value (B, H, n, d).

    Args:
        attention_mask: additive, (B or 1, 1, T, n), or None for none.
        scaling: of the products; by default 1 / sqrt(d).

    Returns:
        (B, T, A, d), as the registry asks, and no weights.
    """
    batch, heads, length, size = query.shape
    groups = key.shape[1]
    scaling = size**-0.5 if scaling is None else scaling
    side_by_side = (query * scaling).reshape(batch, groups, -1, size)  # (B, H, A/H T, d)
    scores = side_by_side @ key.transpose(2, 3)
    if attention_mask is not None:
        apart = scores.view(batch, groups, heads // groups, length, -1)
        scores = (apart + attention_mask[:, :, None]).view(scores.shape)
    out = (scores.softmax(dim=-1) @ value).view(batch, heads, length, size)
    return out.transpose(1, 2).contiguous(), None


def causal_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """As `grouped_attention`; without a mask, queries are the last T tokens and see none after them."""
    batch, heads, length, size = query.shape
    groups, before = key.shape[1], key.shape[2] - length
    scaling = size**-0.5 if scaling is None else scaling
    queries = (query * scaling).unflatten(1, (groups, -1))  # (B, H, A/H, T, d)
    out = query.new_empty(batch, length, heads, size)
    rows = out.unflatten(2, (groups, -1))  # (B, T, H, A/H, d)
    later = query.new_full((min(BLOCK, length),) * 2, -torch.inf).triu(1)
    for start in range(0, length, BLOCK):
        stop = min(start + BLOCK, length)
        seen = before + stop if attention_mask is None else before + length
        block = queries[:, :, :, start:stop].flatten(2, 3)  # (B, H, A/H t, d)
        scores = block @ key[:, :, :seen].transpose(2, 3)
        apart = scores.unflatten(2, (-1, stop - start))
        if attention_mask is None:
            apart[..., before + start :] += later[: stop - start, : stop - start]
        else:
            apart += attention_mask[:, :, None, start:stop]
        mixed = scores.softmax(dim=-1) @ value[:, :, :seen]
        rows[:, start:stop] = mixed.unflatten(2, (-1, stop - start)).permute(0, 3, 1, 2, 4)
    return out, None


AttentionInterface.register(GROUPED, grouped_attention)
AttentionInterface.register(CAUSAL, causal_attention)
