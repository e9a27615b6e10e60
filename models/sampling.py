"""From logits to ids: greedy with a short lookahead, or drawn from the top-p nucleus, with an optional
guide.

Shapes: V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from models import compat
from models.cache import KeyValueCache
from models.network import MPlusModel

LOOKAHEAD_TOKENS = 8
"""The number of a greedy answer's first tokens that are chosen by looking ahead."""
LOOKAHEAD_NATS = 2.0
"""Tokens that are less likely than the likeliest one by more than this are not candidates."""
LEAST_TEMPERATURE = 1e-6
"""Lower temperatures would overflow the logits, and this one is practically greedy."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How ids are drawn from logits: greedy at temperature 0, else from the top-p nucleus."""

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf:
            raise ValueError(f"temperature is {self.temperature}: give 0 (greedy) or more")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}: give more than 0, up to 1")


class Guide(Protocol):
    """Where an answer stands in a text, and which tokens may follow. A value."""

    def bias(self, logits: Tensor) -> Tensor:
        """What is added to the logits (V,) of the next token."""

    def after(self, token: int) -> Guide:
        """The guide after one more token."""


@torch.no_grad()
def decode(
    model: MPlusModel,
    cache: KeyValueCache,
    logits: Tensor,
    sampling: Sampling,
    guide: Guide | None = None,
) -> Iterator[int]:
    """Ids one after the other, until the caller stops or the cache is full.

    Args:
        logits: of the last token read (..., V); the first id is drawn from them.
        guide: for the answer that begins here.
    """
    generator = compat.seeded(sampling.seed) if sampling.temperature else None
    left = LOOKAHEAD_TOKENS if sampling.temperature == 0 else 0
    while True:
        ahead = look_ahead(model, cache, logits[-1], guide) if left else None
        left = max(left - 1, 0)
        token = ahead[0] if ahead else draw(guided(logits[-1], guide), sampling, generator)
        guide = None if guide is None else guide.after(token)
        yield token
        if ahead:
            logits = ahead[1]
            continue
        if len(cache) == cache.capacity:
            return
        logits = model.step_decoder.step(token, cache)


def look_ahead(
    model: MPlusModel, cache: KeyValueCache, logits: Tensor, guide: Guide | None
) -> tuple[int, Tensor] | None:
    """The first token of the likeliest two-token continuation, with its step taken, and the logits after
    it (1, V): a beam of `lookahead`. None if there is only one candidate.

    Args:
        logits: of the next token (V,).
    """
    if model.config.reading.lookahead == 1 or len(cache) == cache.capacity:
        return None
    chances = guided(logits, guide).log_softmax(dim=-1)
    best = chances.topk(min(model.config.reading.lookahead, len(chances)))
    tokens = best.indices[best.values >= best.values[0] - LOOKAHEAD_NATS].tolist()
    if len(tokens) == 1:
        return None
    after = model.step_decoder.fork(tokens, cache)
    pairs = []
    for token, chance, behind in zip(tokens, best.values.tolist(), after, strict=False):
        later = None if guide is None else guide.after(token)
        pairs.append(chance + float(guided(behind, later).log_softmax(dim=-1).max()))
    chosen = pairs.index(max(pairs))
    cache.keep(chosen, len(tokens))
    return tokens[chosen], after[chosen : chosen + 1]


def guided(logits: Tensor, guide: Guide | None) -> Tensor:
    """Logits (V,) with the guide's bias."""
    return logits if guide is None else logits + guide.bias(logits)


def draw(logits: Tensor, sampling: Sampling, generator: torch.Generator | None) -> int:
    """One id from logits (V,)."""
    if sampling.temperature == 0:
        return int(logits.argmax())
    temperature = max(sampling.temperature, LEAST_TEMPERATURE)
    chances = torch.softmax(logits.cpu() / temperature, dim=-1)
    ordered, ids = chances.sort(descending=True, stable=True)
    outside = ordered.cumsum(0) - ordered >= sampling.top_p
    ordered[outside] = 0
    return int(ids[torch.multinomial(ordered, 1, generator=generator)])


def is_repeating(ids: Sequence[int], *, tokens: int = 32, times: int = 3) -> bool:
    """Whether at least the last `tokens` ids repeat the same few tokens.

    Small models at temperature 0 fall into such loops and never leave them.
    """
    for period in range(1, len(ids) // times + 1):
        span = max(tokens, times * period)
        if span > len(ids):
            break
        if all(ids[-at] == ids[-at - period] for at in range(1, span - period + 1)):
            return True
    return False
