"""Answering a question from a memory: a generator of typed events.

Every step leads to the next: the question is measured, looked up in memory, put into a prompt with what
was found, read and answered. Knows the model and the memory through a session; prints nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from models.prompts import REFUSAL
from mplus_cli.asking.choosing import (
    Words,
    answer_form,
    choose,
    likeliest_verdict,
)
from mplus_cli.asking.confidence import read_calibration
from mplus_cli.asking.events import (
    WITHOUT_ANSWER,
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
from mplus_cli.asking.prompting import Draft, measure
from mplus_cli.asking.quoting import guide_along
from mplus_cli.asking.rereading import compose_with_text
from mplus_cli.asking.retrieving import rank_chunks, retrieve
from mplus_cli.asking.scope import find_document
from mplus_cli.asking.sources import Evidence, gather_evidence
from mplus_cli.asking.whole import NOT_TOLD, of_itself, spans_the_whole
from mplus_cli.errors import UsageError
from mplus_cli.library import DocumentRow, StoredMemory
from mplus_cli.runtime import interrupts
from mplus_cli.runtime.session import Session
from mplus_cli.runtime.tokens import AnswerText

if TYPE_CHECKING:
    from models.generate import Recalled
    from models.recall import Found


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
class Asked:
    """A question that was looked up and put into a prompt."""

    session: Session
    opened: OpenMemory
    draft: Draft
    words: Words
    found: Found
    prompt: Sequence[int]
    clock: Clock

    def evidence(self, recalled: Recalled) -> Evidence:
        """The best chunks, once the prompt is read."""
        found = replace(self.found, ranked=recalled.ranked)
        return gather_evidence(self.session, self.opened, self.draft.question.text, found)

    def answer(
        self, text: str, recalled: Recalled, evidence: Evidence, tokens: int, reason: str
    ) -> Answer:
        """The complete answer, without its confidence."""
        return Answer(
            question=self.draft.question.text,
            answer=text,
            memory=self.opened.stored.name,
            model=self.session.loaded.name,
            sources=evidence.sources("" if reason in WITHOUT_ANSWER else text),
            usage=self.clock.usage(recalled, tokens),
            reason=reason,
        )


def load_memory(session: Session, stored: StoredMemory) -> OpenMemory:
    """Load a memory for the session's model.

    Raises:
        MismatchError: another model wrote it, or it is damaged.
    """
    stored.check(session.identity)
    session.check_dtype(stored)
    view, memory = stored.load_view(session.model.device)
    stored.check_loaded(view, memory, like=session.model.empty_memory())
    calibration = read_calibration(Path(session.choice.reference))
    texts = stored.texts(memory.chunks) if calibration else []
    interrupts.check()
    return OpenMemory(stored, memory, view, calibration, tuple(texts))


def refreshed(session: Session, opened: OpenMemory) -> OpenMemory:
    """The memory, loaded again if a document left it since: its chunks have other numbers then.

    Raises:
        MplusError: it is empty now, or gone.
    """
    is_same = opened.stored.view().rebuilt == opened.view.rebuilt
    return opened if is_same else load_memory(session, opened.stored)


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
    clock = Clock()
    draft = measure(session, question)
    if (told := of_itself(draft.question, _documents_asked(opened, question))) is not None:
        yield from _about(session, opened, draft, told, clock)
        return
    session.model.step_decoder.prepare()
    found, words = retrieve(session, opened, draft)
    prompt = compose_with_text(session, opened.memory, draft, found, _texts(opened.stored))
    asked = Asked(session, opened, draft, words, found, prompt, clock)
    form = answer_form(session, draft.question)
    if spans_the_whole(draft.question):
        yield from _told(asked, NOT_TOLD, "whole")
    elif form == "span":
        yield from _span(asked)
    elif form == "verdict" and question.strict:
        yield from _told(asked, REFUSAL, "unsure")  # a yes has no confidence
    elif form == "verdict":
        yield from _verdict(asked)
    else:
        yield from _spoken(asked)


def _texts(stored: StoredMemory) -> Callable[[Sequence[int]], list[str]]:
    return lambda chunks: [row.text for row in stored.chunks(chunks)]


def _documents_asked(opened: OpenMemory, question: Question) -> list[DocumentRow]:
    """The documents that are named, or all of them."""
    known = opened.stored.documents()
    return [find_document(known, name) for name in question.documents] or known


def _about(
    session: Session, opened: OpenMemory, draft: Draft, text: str, clock: Clock
) -> Iterator[Event]:
    """An answer from the documents' records: no passage is looked up."""
    from models.generate import Recalled

    nothing_read = Recalled((), 0, len(opened.memory.stm), opened.memory.ltm_tokens, 0)
    yield Retrieved(())
    yield TextDelta(text)
    yield Answer(
        question=draft.question.text,
        answer=text,
        memory=opened.stored.name,
        model=session.loaded.name,
        sources=(),
        usage=clock.usage(nothing_read, 0),
        reason="about",
    )


def _told(asked: Asked, text: str, reason: str) -> Iterator[Event]:
    """No answer from the reader: why there is none, and the closest passages."""
    from models.generate import Recalled

    memory = asked.opened.memory
    ranked = rank_chunks(asked.session, asked.opened, asked.draft, asked.found)
    nothing_read = Recalled(ranked, 0, len(memory.stm), memory.ltm_tokens, 0)
    evidence = asked.evidence(nothing_read)
    yield Retrieved(evidence.sources())
    if reason != "unsure":
        yield TextDelta(text)
    yield replace(asked.answer(text, nothing_read, evidence, 0, reason), sources=evidence.sources())


def _verdict(asked: Asked) -> Iterator[Event]:
    """Yes, no or the refusal, whichever is likeliest to begin the answer."""
    from models.generate import read

    prompt = read(asked.session.model, asked.opened.memory, asked.found, asked.prompt, spare=1)
    evidence = asked.evidence(prompt.recalled)
    yield Retrieved(evidence.sources())
    asked.clock.first_token()
    text = likeliest_verdict(asked.session, prompt)
    yield TextDelta(text)
    reason = "refused" if is_refusal(text) else "verdict"
    answer = asked.answer(text, prompt.recalled, evidence, 1, reason)
    yield replace(answer, sources=evidence.sources())


def _span(asked: Asked) -> Iterator[Event]:
    """An answer that is a span of the text."""
    from models.generate import read
    from models.spans import BRANCHES, LONGEST

    opened, longest = asked.opened, min(asked.draft.limit, LONGEST)
    prompt = read(
        asked.session.model,
        opened.memory,
        asked.found,
        asked.prompt,
        spare=longest,
        branches=BRANCHES,
    )
    evidence = asked.evidence(prompt.recalled)
    yield Retrieved(evidence.sources())
    chosen = choose(
        asked.session,
        opened.memory,
        asked.draft.question,
        prompt,
        asked.words,
        texts=_texts(opened.stored),
        longest=longest,
    )
    asked.clock.first_token()
    if not chosen.is_doubtful and chosen.reason != "unsure":
        yield TextDelta(chosen.text)
    answer = asked.answer(chosen.text, prompt.recalled, evidence, chosen.tokens, chosen.reason)
    yield replace(answer, confidence=chosen.confidence, doubtful=chosen.is_doubtful)


def _spoken(asked: Asked) -> Iterator[Event]:
    """An answer in the reader's own words, as they are generated."""
    from models.generate import Finished, Generated, Recalled, stream
    from models.sampling import Sampling

    session, question = asked.session, asked.draft.question
    events = stream(
        session.model,
        asked.opened.memory,
        asked.found,
        asked.prompt,
        max_new_tokens=asked.draft.limit,
        stop_ids=session.loaded.stop_ids,
        sampling=Sampling(question.temperature, question.top_p, question.seed),
        guide=guide_along(session, asked.opened.stored) if question.quote else None,
    )
    text = AnswerText(session.tokenizer)
    recalled: Recalled | None = None
    evidence: Evidence | None = None
    for event in events:
        if isinstance(event, Recalled):
            recalled, evidence = event, asked.evidence(event)
            yield Retrieved(evidence.sources())
        elif isinstance(event, Generated):
            asked.clock.first_token()
            if delta := text.push(event.id):
                yield TextDelta(delta)
        elif isinstance(event, Finished) and recalled and evidence:
            reason = "refused" if is_refusal(text.text) else event.reason
            yield asked.answer(text.text, recalled, evidence, event.new_tokens, reason)
