"""Answering a question from a memory: a generator of typed events.

A stair without a way back: the question is measured, looked up in memory, put into a prompt with what
was found, read and answered. Knows the model and the memory through a session; prints nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from mplus_cli.asking.events import (
    Answer,
    Event,
    OpenMemory,
    Question,
    Retrieved,
    TextDelta,
    Usage,
    check,
    is_refusal,
)
from mplus_cli.asking.prompting import compose, measure
from mplus_cli.asking.quoting import guide_along
from mplus_cli.asking.sources import Evidence, gather_evidence
from mplus_cli.library import StoredMemory
from mplus_cli.runtime import interrupts
from mplus_cli.runtime.session import Session
from mplus_cli.runtime.tokens import AnswerText

if TYPE_CHECKING:
    from models.generate import Finished, Recalled


def load_memory(session: Session, stored: StoredMemory) -> OpenMemory:
    """Load a memory for the session's model.

    Raises:
        MismatchError: another model wrote it, or it is damaged.
    """
    stored.check(session.identity)
    session.check_dtype(stored)
    memory = stored.load(session.model.device, like=session.model.empty_memory())
    interrupts.check()
    return OpenMemory(stored, memory)


def answer(session: Session, opened: OpenMemory, question: Question) -> Iterator[Event]:
    """Answer a question: `Retrieved` once, `TextDelta` as text comes, `Answer` once.

    Raises:
        UsageError: the question is not valid, or too long.
    """
    from models.generate import Finished, Generated, Recalled, Sampling, rank_by_prefill, stream
    from models.recall import look_up

    check(question)
    clock = Clock()
    model, memory, stored = session.model, opened.memory, opened.stored
    draft = measure(session, replace(question, text=_clean(question.text)))
    found = look_up(model, memory, draft.query_ids)
    texts: list[str] = []
    if question.reread:
        ranked = found.ranked or rank_by_prefill(model, memory, draft.query_ids)
        best = [score.chunk for score in ranked[: question.reread]]
        texts = [row.text for row in stored.chunks(best)]
    events = stream(
        model,
        memory,
        found,
        compose(session, draft, texts),
        max_new_tokens=draft.limit,
        stop_ids=session.loaded.stop_ids,
        sampling=Sampling(question.temperature, question.top_p, question.seed),
        guide=guide_along(session, stored) if question.quote else None,
    )
    text = AnswerText(session.tokenizer)
    recalled: Recalled | None = None
    evidence: Evidence | None = None
    for event in events:
        if isinstance(event, Recalled):
            recalled = event
            found = replace(found, ranked=event.ranked)
            evidence = gather_evidence(session, opened, draft.question.text, found)
            yield Retrieved(evidence.sources())
        elif isinstance(event, Generated):
            clock.first_token()
            if delta := text.push(event.id):
                yield TextDelta(delta)
        elif isinstance(event, Finished) and recalled and evidence:
            yield Answer(
                question=draft.question.text,
                answer=text.text,
                memory=stored.name,
                model=session.loaded.name,
                sources=evidence.sources("" if is_refusal(text.text) else text.text),
                usage=clock.usage(recalled, event),
                reason=event.reason,
            )


class Clock:
    """Times an answer, from its making on."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._first: float | None = None

    def first_token(self) -> None:
        """Take the time of the first token; later calls change nothing."""
        if self._first is None:
            self._first = time.perf_counter()

    def usage(self, recalled: Recalled, finished: Finished) -> Usage:
        """What an answer took that ends now."""
        now = time.perf_counter()
        return Usage(
            prompt_tokens=recalled.prompt_tokens,
            new_tokens=finished.new_tokens,
            stm_tokens=recalled.stm_tokens,
            recalled_tokens=recalled.recalled_tokens,
            ltm_tokens=recalled.ltm_tokens,
            seconds_to_first_token=round((self._first or now) - self._started, 3),
            seconds=round(now - self._started, 3),
        )


def _clean(text: str) -> str:
    """Text without halves of characters, which an undecodable command line leaves."""
    return text.encode("utf-8", "replace").decode().strip()
