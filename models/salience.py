"""Which tokens of a chunk are worth a place in memory: the rare ones, and numbers.

A reader that sees "Sybilla Normandy married Alexander 1107" knows what was between: the tokens that a
language repeats most say least (not nothing: of SQuAD's short answers half lose a token where half of a
chunk is kept). How rare a token is is counted once, over the training text, and is part of the
checkpoint, so that writing costs no more than reading. Selective Context (Li et al. 2023,
arXiv 2310.06201) drops by a language model's surprisal instead; on this base that kept fewer answers.

Shapes: V vocabulary, B batch, T text tokens, K tokens kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

NUMBER_BONUS = 3.0
"""Nats added to tokens with a digit: frequent, yet nothing around them tells which."""


def count_salience(texts: Iterable[Sequence[int]], vocabulary: Sequence[str]) -> Tensor:
    """Nats of surprise of every token id (V,), from its share in `texts` (each seen once more).

    Args:
        vocabulary: the text of every id.
    """
    counts = torch.ones(len(vocabulary), dtype=torch.float64)
    for ids in texts:
        counts += torch.bincount(torch.tensor(ids, dtype=torch.int64), minlength=len(vocabulary))
    nats = (counts.sum() / counts).log()
    numbers = [any(char.isdigit() for char in text) for text in vocabulary]
    return (nats + NUMBER_BONUS * torch.tensor(numbers)).float()


def most_salient(salience: Tensor, ids: Tensor, ratio: int) -> Tensor:
    """Positions (B, K), ascending, of the most salient of ids (B, T), K = T / ratio rounded up;
    of equals the earlier."""
    count = -(-ids.shape[1] // ratio)
    order = salience[ids].sort(dim=1, descending=True, stable=True).indices
    return order[:, :count].sort(dim=1).values
