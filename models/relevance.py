"""Weighs the prefix for a question: the retriever's scores, added to attention logits.

Likelier chunks weigh more; inside a chunk, what is near the question's words does. A chunk holds several
passages, and those beside the right one mislead a small reader.

Shapes: q question tokens, n memory tokens, R retriever layers, P retriever width, c tokens of a chunk,
w windows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

LEAST_RELEVANCE = -12.0
"""Below this the weight of a token is negligible."""


def relevance(scores: Mapping[int, float], chunks: Tensor, weight: float) -> Tensor:
    """What is added to the attention logits of memory tokens of `chunks` (n,): 0 for the best chunk, less
    for others (n,).

    Scores are logits of which chunk answers (the retriever learns them by cross-entropy), so their
    differences are log odds, and adding them to attention logits weighs every chunk by its probability.
    Tokens of no chunk are not weighed.
    """
    here = [scores.get(chunk) for chunk in chunks.tolist()]
    best = max((found for found in here if found is not None), default=0.0)
    log_odds = [0.0 if found is None else weight * (found - best) for found in here]
    return torch.tensor(log_odds, device=chunks.device).clamp(min=LEAST_RELEVANCE)


def near_weight(near: Tensor, weight: float, limit: float) -> Tensor:
    """What `nearness` (..., n) adds to attention logits: `weight` times it, but at least -`limit`.

    A score is a sum over question tokens and layers, so its differences are large, and the best
    window may be the wrong one: without a limit the text outside it would not be read at all.
    """
    return (weight * near).clamp(min=-limit)


def nearness(similarities: Sequence[Tensor], chunks: Tensor, window: int) -> Tensor:
    """How much lower the windows around a memory token score than the best window of its chunk: (n,).

    Args:
        similarities: of each retriever layer, of every question token to every memory token (q, n).
        chunks: (n,), the chunk of each token; the tokens of a chunk are neighbours, in order.
        window: memory tokens of a window.
    """
    numbers, counts = torch.unique_consecutive(chunks, return_counts=True)
    parts, start = [], 0
    for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
        own = [layer[:, start : start + count] for layer in similarities]
        start += count
        near = window_scores(torch.cat(own), window)
        parts.append(near - near.max() if number >= 0 else torch.zeros_like(near))
    return torch.cat(parts) if parts else chunks.new_zeros(0, dtype=torch.float32)


def window_scores(similarities: Tensor, window: int) -> Tensor:
    """The score of the best window that holds each token (..., c), as if it were the whole chunk.

    Windows start every half window. A score is the sum over question tokens of the best similarity
    in the window, as for a chunk.

    Args:
        similarities: (..., q, c), of the question tokens of all layers.
    """
    count, half = similarities.shape[-1], max(window // 2, 1)
    padded = functional.pad(similarities, (0, -count % half), value=-torch.inf)
    blocks = padded.unflatten(-1, (-1, half)).amax(dim=-1)  # (..., q, w + 1)
    if blocks.shape[-1] == 1:
        whole: Tensor = blocks.sum(dim=-2)
        return whole.expand(*similarities.shape[:-2], count)
    scores = torch.maximum(blocks[..., 1:], blocks[..., :-1]).sum(dim=-2)  # (..., w)
    left = functional.pad(scores, (1, 0), value=-torch.inf)
    right = functional.pad(scores, (0, 1), value=-torch.inf)
    best: Tensor = torch.maximum(left, right).repeat_interleave(half, dim=-1)
    return best[..., :count]
