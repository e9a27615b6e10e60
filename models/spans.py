"""Answers that are spans of a text: the likeliest ones behind a prompt, each with its log-probability.

Spans are compared whole, so that an answer that begins well and leads nowhere loses. Log-probabilities
are the reader's own: they are not renormalised over the spans. Works on token ids and on which of them
may follow; needs no text.

Shapes: V vocabulary.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from models.cache import KeyValueCache, Paths
from models.network import MPlusModel

BEGINNINGS = 5
"""The number of likeliest first tokens, from each of which one span is followed."""
BRANCHES = BEGINNINGS + 1
"""The number of continuations that are read side by side: these spans, and a refusal."""
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
    it can end, it is a candidate. All are followed side by side, a token of each at a time, and what is found
    is what following them one after the other would find. The cache is left unchanged.

    Args:
        cache: with room for `BRANCHES` continuations of `longest` tokens.
        logits: of the next token (V,).
        refusal: the first two tokens of a refusal, which distinguish it from other answers.
    """
    mark, stops = cache.mark(), torch.tensor(sorted(stop_ids))
    first = logits.log_softmax(dim=-1).cpu()
    beginnings = start.ahead()
    branches = [
        _Branch(beginnings[token], (token,), chance, ())
        for token, chance in _likeliest(first, beginnings, BEGINNINGS)
    ]
    going, newest, refusing = branches, 0, float(first[refusal[0]])
    while going or not newest:
        tokens = [branch.ids[-1] for branch in going] + [refusal[0]] * (not newest)
        seen = tuple(branch.places for branch in going) + ((),) * (not newest)
        behind = model.step_decoder.fork(tokens, cache, Paths(newest, seen))
        chances = behind.log_softmax(dim=-1).cpu()
        if not newest:
            refusing += float(chances[-1, refusal[1]])
        for number, branch in enumerate(going):
            branch.go_on(chances[number], stops, newest + number, longest)
        newest += len(tokens)
        going = _worth_following(branches, refusing)
    cache.rewind(mark)
    return sorted(_found(branches, refusing), key=lambda answer: -answer.nats), refusing


@dataclass(slots=True)
class _Branch:
    """A span, as far as it was followed from one beginning."""

    span: Span
    ids: tuple[int, ...]
    nats: float
    """Log-probability of the ids."""
    places: tuple[int, ...]
    """Of the ids that were read, among the tokens behind the prompt."""
    steps: list[tuple[float, Candidate | None]] = field(default_factory=list)
    """For each id that was read, the log-probability up to there, and the answer that ends there."""
    is_done: bool = False

    def go_on(self, chances: Tensor, stops: Tensor, place: int, longest: int) -> None:
        """Take in what follows the last id, by log-probabilities (V,), and go one token further."""
        self.places += (place,)
        end = float(chances[stops].max())
        may_end, onward = self.span.may_end, self.span.ahead()
        self.steps.append((self.nats, Candidate(self.ids, self.nats + end) if may_end else None))
        likeliest = _likeliest(chances, onward, 1)
        self.is_done = (
            not likeliest or (may_end and end > likeliest[0][1]) or len(self.ids) == longest
        )
        if not self.is_done:
            token, chance = likeliest[0]
            self.span, self.ids, self.nats = onward[token], (*self.ids, token), self.nats + chance


def _worth_following(branches: Sequence[_Branch], refusing: float) -> list[_Branch]:
    """Those that go on: none that what was found so far from its own or a likelier beginning rules out."""
    best, going = refusing, []
    for branch in branches:
        best = max([best, *(answer.nats for _, answer in branch.steps if answer)])
        if not branch.is_done and branch.steps[-1][0] >= best - MARGIN:
            going.append(branch)
    return going


def _found(branches: Sequence[_Branch], refusing: float) -> list[Candidate]:
    """The answers, each branch cut where those before it rule it out: they were not known in time."""
    best, found = refusing, list[Candidate]()
    for branch in branches:
        for number, (nats, answer) in enumerate(branch.steps):
            if not number and nats < best - MARGIN:
                return found
            if answer:
                found.append(answer)
                best = max(best, answer.nats)
            if nats < best - MARGIN:
                break
    return found


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
