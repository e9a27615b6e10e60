"""Answering a question from a memory: a generator of typed events.

Knows the model and the memory through a session; prints nothing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from mplus_cli.asking.events import (
    Answer,
    Event,
    Looked,
    OpenMemory,
    Piece,
    Question,
    Source,
    Usage,
    check,
)
from mplus_cli.asking.prompting import compose, query_ids
from mplus_cli.asking.quoting import Quote
from mplus_cli.library import StoredMemory
from mplus_cli.runtime import interrupts
from mplus_cli.runtime.session import Session
from mplus_cli.runtime.tokens import AnswerText

if TYPE_CHECKING:
    from models.generate import Guide, Recalled, Sampling
    from models.scan import ChunkScore

SOURCES = 3


def load_memory(session: Session, stored: StoredMemory) -> OpenMemory:
    """Load a memory for the session's model.

    Raises:
        MismatchError: another model wrote it, or it is damaged.
    """
    stored.check(session.identity)
    session.check_dtype(stored)
    memory = stored.load(session.model.device)
    interrupts.check()
    return OpenMemory(stored, memory)


def answer(session: Session, opened: OpenMemory, question: Question) -> Iterator[Event]:
    """Answer a question: `Looked` once, `Piece` as text comes, `Answer` once.

    Raises:
        UsageError: the question is not valid, or too long.
    """
    from models.generate import Finished, Generated, Recalled, stream
    from models.prompts import REFUSAL

    check(question)
    question = replace(question, text=_clean(question.text))
    started = time.perf_counter()
    first: float | None = None
    prompt, limit = compose(session, opened, question)
    text = AnswerText(session.tokenizer)
    quotes = question.quote and session.model.config.quote_weight
    guide = partial(_quote, session, opened.stored) if quotes else None
    looked: tuple[Recalled, tuple[Source, ...]] | None = None
    for event in stream(
        session.model,
        opened.memory,
        prompt,
        query_ids(session, question),
        max_new_tokens=limit,
        stop_ids=session.loaded.stop_ids,
        sampling=_sampling(question),
        guide=guide,
    ):
        if isinstance(event, Recalled):
            looked = (event, find_sources(session, opened.stored, event.ranked))
            yield Looked(looked[1])
        elif isinstance(event, Generated):
            first = first or time.perf_counter()
            if piece := text.push(event.id):
                yield Piece(piece)
        elif isinstance(event, Finished) and looked is not None:
            recalled, sources = looked
            said = text.text
            if event.reason == "uncovered":
                yield Piece(said := REFUSAL)
            now = time.perf_counter()
            usage = Usage(
                prompt_tokens=recalled.prompt_tokens,
                new_tokens=event.new_tokens,
                stm_tokens=recalled.stm_tokens,
                recalled_tokens=recalled.recalled_tokens,
                ltm_tokens=recalled.ltm_tokens,
                seconds_to_first_token=round((first or now) - started, 3),
                seconds=round(now - started, 3),
            )
            yield Answer(
                question=question.text,
                answer=said,
                memory=opened.stored.name,
                model=session.loaded.name,
                sources=sources,
                usage=usage,
                reason=event.reason,
            )


def _quote(session: Session, stored: StoredMemory, chunks: Sequence[int]) -> Guide | None:
    """What guides an answer along the text of chunks; None for nothing."""
    source = session.quotable([row.text for row in stored.chunks(chunks)])
    return None if source is None else Quote(source)


def find_sources(
    session: Session, stored: StoredMemory, ranked: Sequence[ChunkScore]
) -> tuple[Source, ...]:
    """The best chunks, with their shares of all scores."""
    shares = _shares([score.score for score in ranked], session.model.config.recall == "tokens")
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


def _sampling(question: Question) -> Sampling:
    from models.generate import Sampling

    return Sampling(question.temperature, question.top_p, question.seed)


def _shares(scores: Sequence[float], already: bool) -> list[float]:
    """Scores as shares of 1; those of token recall are shares already."""
    if already or not scores:
        return list(scores)
    best = max(scores)
    weights = [math.exp(score - best) for score in scores]
    total = sum(weights)
    return [weight / total for weight in weights]


def _pages(first: int | None, last: int | None) -> tuple[int, int] | None:
    return None if first is None or last is None else (first, last)


def _clean(text: str) -> str:
    """Text without halves of characters, which an undecodable command line leaves."""
    return text.encode("utf-8", "replace").decode().strip()
