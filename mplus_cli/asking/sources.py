"""The sources of an answer, as a user sees them: document, pages, and the sentences that fit the
question.

Works on what was found in memory, and its texts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mplus_cli.asking.events import Source
from mplus_cli.asking.lexical import find_words
from mplus_cli.asking.open_memory import OpenMemory
from mplus_cli.asking.parts import Part
from mplus_cli.asking.passages import Passage, ScoredText, first_passage, score_text
from mplus_cli.library import ChunkRow
from mplus_cli.runtime.session import Session

if TYPE_CHECKING:
    from torch import Tensor

    from models.recall import Found

SOURCES = 3


@dataclass(frozen=True, slots=True)
class Evidence:
    """The best chunks for a question, before and after it is answered."""

    rows: tuple[ChunkRow, ...]
    shares: tuple[float, ...]
    """Of all chunks' scores, 0 to 1."""
    texts: tuple[ScoredText, ...]
    matched: tuple[float, ...]
    """How well each matches the question for the retriever, 0 to 1; 0 if unknown."""

    @property
    def shared(self) -> tuple[float, ...]:
        """The share of the question's words in the best passage of each, 0 to 1."""
        return tuple(max(text.coverage, default=0.0) for text in self.texts)

    def of_answer(
        self, answer: str = "", considered: Sequence[tuple[str, float]] = ()
    ) -> tuple[Source, ...]:
        """The sources of the first `SOURCES` chunks. Where neither the answer nor, without one, the likeliest
        that was considered stands in them, the best of the other chunks in which it does takes the place of
        the last; arguments as of `ScoredText.best`."""
        likeliest = answer or max(considered, key=lambda one: one[1], default=("", 0.0))[0]
        stands = [bool(find_words(text.text, likeliest)) for text in self.texts]
        kept = [*range(min(SOURCES, len(stands)))]
        if True in stands[SOURCES:] and not any(stands[:SOURCES]):
            kept[-1] = stands.index(True)
        rows = [(self.rows[at], self.shares[at], self.texts[at]) for at in kept]
        return tuple(
            _source(row, share, text.best(answer, considered)) for row, share, text in rows
        )

    def sources(self) -> tuple[Source, ...]:
        """The chunks, best first, each with its best passage."""
        rows = zip(self.rows, self.shares, self.texts, strict=True)
        return tuple(_source(row, share, text.best()) for row, share, text in rows)


def gather_evidence(
    session: Session,
    opened: OpenMemory,
    question: str,
    found: Found,
    count: int = SOURCES,
    part: Part | None = None,
) -> Evidence:
    """Look up the texts of the best chunks, and score their sentences for the question.

    Args:
        found: with its chunks ranked.
        part: whose passages are preferred in its chunks.
    """
    from models.evidence import similarities, whole_score

    config = session.model.config
    scores = [score.score for score in found.ranked]
    shares = scores if config.recall == "tokens" else _shares(scores)
    chunks = [score.chunk for score in found.ranked[:count]]
    rows = opened.stored.chunks(chunks) if chunks else []
    alike: list[Tensor | None] = [None] * len(rows)
    matched = [0.0] * len(rows)
    if found.queries and config.memory_positions != "last":
        alike = [*similarities(session.model, opened.memory, found.queries, chunks)]
        if config.retriever.scorer == "maxsim":  # keys have length 1
            perfect = sum(float(query.norm(dim=-1).sum()) for query in found.queries)
            matched = [whole_score(near) / perfect for near in alike if near is not None]
    texts = [
        score_text(
            question,
            row.text,
            near,
            session.plain_tokenizer.encode(row.text)[1],
            attended=found.attended.get(row.number),
            headings=_headings(row),
        )
        for row, near in zip(rows, alike, strict=True)
    ]
    if part:
        texts = [
            text.preferring(part.within(row.number)) for row, text in zip(rows, texts, strict=True)
        ]
    return Evidence(tuple(rows), tuple(shares[: len(rows)]), tuple(texts), tuple(matched))


def beginning(
    opened: OpenMemory, part: Part, found: Found, count: int = SOURCES
) -> tuple[Source, ...]:
    """The first chunks of a part, at most `count`, each with the first sentences that are of the part."""
    shares = dict(
        zip((s.chunk for s in found.ranked), _shares([s.score for s in found.ranked]), strict=True)
    )
    rows = opened.stored.chunks([number for number in part.spans if number in shares][:count])
    spans = [first_passage(row.text, part.spans[row.number], _headings(row)) for row in rows]
    return tuple(
        _source(row, shares[row.number], Passage(span, None))
        for row, span in zip(rows, spans, strict=True)
        if span
    )


def _headings(row: ChunkRow) -> list[tuple[int, int]]:
    return [(start, stop) for start, stop, _ in row.place.headings] if row.place else []


def _source(row: ChunkRow, share: float, passage: Passage | None) -> Source:
    pages, place = _pages(row.first_page, row.last_page), row.place
    near = place.pages_within(*passage.span) if place and passage else None
    return Source(
        document=row.document_title,
        pages=pages,
        chunk=row.number,
        score=round(share, 4),
        text=row.text,
        place=place.at(passage.span[0]) if place and passage else place,
        quote_span=passage.span if passage else None,
        answer_span=passage.answer if passage else None,
        second_span=passage.second if passage else None,
        quote_pages=(near or pages) if passage else None,
        quote_place=place.within(*passage.span, len(row.text)) if place and passage else None,
    )


def _shares(scores: Sequence[float]) -> list[float]:
    """Scores, which are logits, as shares of 1."""
    best = max(scores, default=0.0)
    weights = [math.exp(score - best) for score in scores]
    total = sum(weights)
    return [weight / total for weight in weights]


def _pages(first: int | None, last: int | None) -> tuple[int, int] | None:
    return None if first is None or last is None else (first, last)
