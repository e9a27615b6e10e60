"""Answering a question from a memory: a generator of typed events.

Every step leads to the next: the question is measured, looked up in memory, put into a prompt with what
was found, read and answered. Reaches the model and the memory through a session; prints nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from mplus_cli.asking.choosing import Chosen, Prompted, answer_form
from mplus_cli.asking.events import (
    WITHOUT_ANSWER,
    Answer,
    Event,
    Retrieved,
    Source,
    TextDelta,
    Usage,
)
from mplus_cli.asking.follow_ups import resolve
from mplus_cli.asking.narrowing import count_parts, in_ordinary_letters, scope_of, search_note
from mplus_cli.asking.open_memory import OpenMemory, check_readers
from mplus_cli.asking.parts import Part
from mplus_cli.asking.prompting import Draft, measure
from mplus_cli.asking.question import KEPT_TURNS, Question, check
from mplus_cli.asking.replying import reply
from mplus_cli.asking.rereading import READS, compose_with_text
from mplus_cli.asking.retrieving import rank_chunks, retrieve
from mplus_cli.asking.sources import SOURCES, Evidence, beginning, gather_evidence
from mplus_cli.asking.whole import NOT_TOLD, PART_NOT_TOLD, of_itself, spans_the_whole
from mplus_cli.english.small_talk import is_small_talk
from mplus_cli.errors import UsageError
from mplus_cli.library import StoredMemory
from mplus_cli.runtime.session import Session
from mplus_cli.wording import WHAT_TO_ASK

if TYPE_CHECKING:
    from models.generate import Recalled
    from models.recall import Found
    from models.scan import ChunkScore


class Clock:
    """Times an answer from the moment it is created."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._first: float | None = None

    def first_token(self) -> None:
        """Record the time of the first token; later calls do nothing."""
        if self._first is None:
            self._first = time.perf_counter()

    def usage(self, recalled: Recalled, new_tokens: int) -> Usage:
        """The usage of an answer that ends now."""
        now = time.perf_counter()
        return Usage(
            prompt_tokens=recalled.prompt_tokens,
            new_tokens=new_tokens,
            stm_tokens=recalled.stm_tokens,
            recalled_tokens=recalled.recalled_tokens,
            ltm_tokens=recalled.ltm_tokens,
            seconds_to_first_token=round((self._first or now) - self._started, 3),
            seconds=round(now - self._started, 3),
        )


@dataclass(frozen=True, slots=True)
class Request:
    """A question that is being answered."""

    session: Session
    opened: OpenMemory
    clock: Clock
    asked: str
    """The question in the user's words."""
    draft: Draft
    part: Part | None = None
    """What it names of the documents."""
    note: str | None = None
    """What a user should know of where the question was looked up."""

    def evidence(self, found: Found, recalled: Recalled, count: int = SOURCES) -> Evidence:
        """The best chunks, once they are ranked."""
        found = replace(found, ranked=recalled.ranked)
        question = self.draft.question.text
        return gather_evidence(self.session, self.opened, question, found, count, self.part)

    def answer(self, chosen: Chosen, sources: tuple[Source, ...], recalled: Recalled) -> Answer:
        """The complete answer."""
        read_as = self.draft.question.text
        is_same = read_as.casefold() == self.asked.casefold()
        return Answer(
            question=self.asked,
            answer=chosen.text,
            memory=self.opened.stored.name,
            model=self.session.loaded.name,
            sources=sources,
            usage=self.clock.usage(recalled, chosen.tokens),
            reason=chosen.reason,
            confidence=chosen.confidence,
            doubtful=chosen.is_doubtful,
            note=self.note,
            understood_as=None if is_same else read_as,
        )

    def nothing_read(self, ranked: tuple[ChunkScore, ...] = ()) -> Recalled:
        """What was recalled for an answer without the reader."""
        from models.generate import Recalled

        memory = self.opened.memory
        return Recalled(ranked, 0, len(memory.stm), memory.ltm_tokens, 0)


def answer(session: Session, opened: OpenMemory, question: Question) -> Iterator[Event]:
    """Answer a question: `Retrieved` once, `TextDelta` as text comes, `Answer` once. A doubtful answer
    comes only with the last one, since its passage is shown first.

    Raises:
        UsageError: the question is not valid, or too long.
    """
    check(question)
    if question.strict and opened.calibration is None:
        raise UsageError(
            f"{session.loaded.name} does not say how sure it is: leave out --strict (in the config "
            "file: strict = true), or use another model"
        )
    turns = [turn for turn in question.turns if not is_small_talk(turn[0])]
    question = replace(question, turns=tuple(turns[-KEPT_TURNS:]))
    clock, draft = Clock(), measure(session, question)
    asked = draft.question.text
    read_as = in_ordinary_letters(opened, draft.question)
    if read_as != draft.question:
        draft = measure(session, read_as)
    if question.turns and answer_form(session, draft.question) != "spoken":
        draft = measure(session, resolve(draft.question))
    scope = scope_of(session, opened, draft.question)
    draft = replace(draft, question=scope.question)
    request = Request(session, opened, clock, asked, draft)
    if answer_form(session, draft.question) == "span":
        check_readers(session, opened)
    if is_small_talk(asked):
        yield from _about(request, WHAT_TO_ASK)
        return
    told = of_itself(scope.as_this_book, scope.documents, partial(count_parts, opened))
    if told is not None:
        yield from _about(request, told)
        return
    session.model.step_decoder.prepare()
    found, words, part = retrieve(session, opened, replace(draft, question=scope.to_look_up))
    request = replace(request, part=part, note=search_note(scope, part))
    asks_for_all = spans_the_whole(scope.as_this_book)
    if part and (part.is_all or asks_for_all) and (first := beginning(opened, part, found)):
        yield from _not_told(request, PART_NOT_TOLD, "part", first, found.ranked)
    elif asks_for_all:
        yield from _whole(request, found)
    else:
        texts = _texts(opened.stored)
        prompt = compose_with_text(session, opened.memory, draft, found, texts, part)
        yield from _reply(
            request, Prompted(session, opened.memory, draft, words, found, prompt, texts, part)
        )


def _texts(stored: StoredMemory) -> Callable[[Sequence[int]], list[str]]:
    return lambda chunks: [row.text for row in stored.chunks(chunks)]


def _about(request: Request, text: str) -> Iterator[Event]:
    """An answer that no passage is looked up for: from the documents' records, or to small talk."""
    yield Retrieved(())
    yield TextDelta(text)
    yield request.answer(Chosen(text, 0, "about"), (), request.nothing_read())


def _whole(request: Request, found: Found) -> Iterator[Event]:
    """The closest passages to a question about the whole text."""
    ranked = rank_chunks(request.session, request.opened, request.draft, found)
    sources = request.evidence(found, request.nothing_read(ranked)).of_answer()
    yield from _not_told(request, NOT_TOLD, "whole", sources, ranked)


def _not_told(
    request: Request,
    text: str,
    reason: str,
    sources: tuple[Source, ...],
    ranked: tuple[ChunkScore, ...],
) -> Iterator[Event]:
    """That no single passage tells, with some."""
    yield Retrieved(sources)
    yield TextDelta(text)
    yield request.answer(Chosen(text, 0, reason), sources, request.nothing_read(ranked))


def _reply(request: Request, prompted: Prompted) -> Iterator[Event]:
    """The reader's reply, with the passages that it rests on."""
    from models.generate import Recalled

    calibration, form = (
        prompted.words.calibration,
        answer_form(request.session, request.draft.question),
    )
    is_read_again = form == "span" and calibration is not None and calibration.has_second
    count = READS if is_read_again else SOURCES
    for event in reply(prompted):
        if isinstance(event, Recalled):
            recalled, evidence = event, request.evidence(prompted.found, event, count)
            yield Retrieved(evidence.of_answer())
            continue
        request.clock.first_token()
        if isinstance(event, Chosen):
            has_words = event.reason not in (*WITHOUT_ANSWER, "verdict")
            sources = evidence.of_answer(event.text if has_words else "", event.considered)
            yield request.answer(event, sources, recalled)
        elif event:
            yield TextDelta(event)
