"""Attention by plain matrix products, the query heads that share a key head side by side.

An implementation for `transformers`' attention registry. On a CPU it is faster than SDPA's kernel
for the shapes of the passes (grouped heads, a few hundred queries, an explicit mask), forwards and
backwards: keys and values are never repeated. The weights take memory of heads x queries x keys.

Shapes: B batch, A attention heads, H key/value heads, T queries, n keys, d head size.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from transformers import AttentionInterface

GROUPED = "grouped"


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


AttentionInterface.register(GROUPED, grouped_attention)
