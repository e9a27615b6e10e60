"""Answers that are spans of a text: the likeliest ones behind a prompt, each with its log-probability.

Spans are compared whole, so that an answer that begins well and leads nowhere loses. Log-probabilities
are the reader's own: they are not renormalised over the spans. Knows token ids and which may follow; no
text.

Shapes: V vocabulary.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from models.cache import KeyValueCache
from models.network import MPlusModel

BEGINNINGS = 5
"""The number of likeliest first tokens, from each of which one span is followed."""
MARGIN = 6.0
"""Nats: spans that are less likely than the best answer so far by more are not followed."""
LONGEST = 24
"""Most tokens of a span."""


class Span(Protocol):
    """A position in a text, from which a span continues. A value."""

    @property
    def may_end(self) -> bool:
        """Whether the span can end here."""

    def ahead(self) -> Mapping[int, Span]:
        """The tokens that can come next, and the position behind each."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An answer that the reader could give."""

    ids: tuple[int, ...]
    nats: float
    """Log-probability of its tokens and of its end."""


@torch.no_grad()
def likeliest_spans(
    model: MPlusModel,
    cache: KeyValueCache,
    logits: Tensor,
    start: Span,
    *,
    stop_ids: Collection[int],
    refusal: Sequence[int],
    longest: int = LONGEST,
) -> tuple[list[Candidate], float]:
    """The likeliest spans as answers, best first, and the log-probability of refusing.

    From each of the likeliest beginnings the span is followed where the reader is likeliest to go; wherever
    it can end, it is a candidate. The cache is left unchanged.

    Args:
        logits: of the next token (V,).
        refusal: the first two tokens of a refusal, which distinguish it from other answers.
    """
    mark, stops = cache.mark(), torch.tensor(sorted(stop_ids))
    first = logits.log_softmax(dim=-1).cpu()
    refusing = chance_of_refusing(model, cache, logits, refusal)
    best, found = refusing, []
    beginnings = start.ahead()
    for token, chance in _likeliest(first, beginnings, BEGINNINGS):
        if chance < best - MARGIN:
            break
        span, ids, nats = beginnings[token], [token], chance
        while True:
            chances = _step(model, cache, ids[-1])
            end = float(chances[stops].max())
            if span.may_end:
                found.append(Candidate(tuple(ids), nats + end))
                best = max(best, nats + end)
            onward = span.ahead()
            going = _likeliest(chances, onward, 1)
            if not going or (span.may_end and end > going[0][1]):
                break
            if nats < best - MARGIN or len(ids) == longest:
                break
            token, chance = going[0]
            span, nats = onward[token], nats + chance
            ids.append(token)
        cache.rewind(mark)
    return sorted(found, key=lambda answer: -answer.nats), refusing


@torch.no_grad()
def chance_of_refusing(
    model: MPlusModel, cache: KeyValueCache, logits: Tensor, refusal: Sequence[int]
) -> float:
    """The log-probability of refusing; arguments as of `likeliest_spans`. The cache is left unchanged."""
    mark = cache.mark()
    refusing = float(logits.log_softmax(dim=-1)[refusal[0]])
    refusing += float(_step(model, cache, refusal[0])[refusal[1]])
    cache.rewind(mark)
    return refusing


def _step(model: MPlusModel, cache: KeyValueCache, token: int) -> Tensor:
    """Log-probabilities (V,) after one more token."""
    logits = model.step_decoder.step(token, cache)
    return logits[0].log_softmax(dim=-1).cpu()


def _likeliest(chances: Tensor, tokens: Collection[int], count: int) -> list[tuple[int, float]]:
    """The likeliest of the given tokens by log-probabilities (V,), best first (ties: the lower id)."""
    ids = torch.tensor(sorted(tokens), dtype=torch.int64)
    best = chances[ids].sort(descending=True, stable=True)
    return [
        (int(ids[place]), chance)
        for place, chance in zip(
            best.indices[:count].tolist(), best.values[:count].tolist(), strict=True
        )
    ]
