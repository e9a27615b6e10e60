"""The chunks that an answer may come from, as their readers know them: document, pages, text.

Knows scores and a memory's texts; no model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mplus_cli.asking.events import Source
from mplus_cli.library import StoredMemory

if TYPE_CHECKING:
    from models.scan import ChunkScore

SOURCES = 3


def best_sources(
    stored: StoredMemory, ranked: Sequence[ChunkScore], *, shared: bool
) -> tuple[Source, ...]:
    """The best chunks, with their shares of all scores.

    Args:
        shared: whether the scores are shares already (those of token recall are).
    """
    scores = [score.score for score in ranked]
    shares = scores if shared else _shares(scores)
    best = list(zip(ranked[:SOURCES], shares, strict=False))
    rows = stored.chunks([score.chunk for score, _ in best]) if best else []
    return tuple(
        Source(
            document=row.document_title,
            pages=_pages(row.first_page, row.last_page),
            chunk=row.number,
            score=round(share, 4),
            text=row.text,
            place=row.place,
        )
        for row, (_, share) in zip(rows, best, strict=True)
    )


def _shares(scores: Sequence[float]) -> list[float]:
    """Scores, which are logits, as shares of 1."""
    best = max(scores, default=0.0)
    weights = [math.exp(score - best) for score in scores]
    total = sum(weights)
    return [weight / total for weight in weights]


def _pages(first: int | None, last: int | None) -> tuple[int, int] | None:
    return None if first is None or last is None else (first, last)
