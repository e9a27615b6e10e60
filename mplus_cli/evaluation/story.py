"""The example story as `mplus ingest` reads it and `mplus ask --json` answers: right answers, right pages.

Calls the functions behind the two commands, with the model loaded once. Yields typed events.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mplus_cli.asking.events import Answer
from mplus_cli.asking.open_memory import load_memory
from mplus_cli.asking.question import Question as Asked
from mplus_cli.errors import MplusError
from mplus_cli.evaluation.arms import Arm
from mplus_cli.evaluation.journal import Journal
from mplus_cli.evaluation.layouts import Sample
from mplus_cli.evaluation.values import (
    DOCUMENT,
    Event,
    Probe,
    Progress,
    Question,
    Record,
    Reply,
    score,
)
from mplus_cli.library import Library, StoredMemory
from mplus_cli.runtime.session import Session

MEMORY = "mplus-eval-story"


def run(
    session: Session, sample: Sample, source: str, arms: Sequence[Arm], journal: Journal
) -> Iterator[Event]:
    """Ask what is not in the journal yet; the memory is deleted when all is asked of it."""
    todo = [
        (question, arm)
        for question in sample.questions
        for arm in arms
        if (question.id, arm.name, DOCUMENT) not in journal.done
    ]
    if not todo:
        return
    yield Progress(f"reading {sample.title}", 0, 0)
    stored = ingest(session, Library(journal.work), source)
    tokens = stored.summary().tokens
    for number, (question, arm) in enumerate(todo):
        yield Progress(f"asking about {sample.title}", number, len(todo))
        yield journal.add(scored(question, arm, ask(session, stored, question.text, arm), tokens))
    journal.clear_work()


def ingest(session: Session, library: Library, source: str) -> StoredMemory:
    """Read the document to its end."""
    from mplus_cli.ingest import job

    planned = job.plan([source], progress=lambda *_: None)
    stored = library.open_or_create(MEMORY, session.identity)
    report = job.Report(MEMORY)
    for _ in job.ingest(session, stored, planned.given, report):
        pass
    if report.failed:
        raise MplusError(report.failed[0]["error"])
    return stored


def ask(session: Session, stored: StoredMemory, question: str, arm: Arm) -> dict[str, Any]:
    """The object of `mplus ask --json`."""
    from mplus_cli.asking import answering

    opened = load_memory(session, stored)
    asked = Asked(question, reread=arm.reread, quote=arm.quote)
    events = answering.answer(session, opened, asked)
    return next(event for event in events if isinstance(event, Answer)).to_json()


def scored(question: Question, arm: Arm, values: dict[str, Any], tokens: int) -> Record:
    """The record of an answer; a source is right if it touches the question's pages."""
    first, last = question.pages or (0, -1)
    spans = [source["pages"] or (0, -1) for source in values["sources"]]
    right = [number for number, (begin, end) in enumerate(spans) if begin <= last and first <= end]
    places, usage = range(len(spans)), values["usage"]
    times = usage["seconds_to_first_token"], usage["seconds"]
    reply = Reply(values["answer"], places, frozenset(places), usage["prompt_tokens"], *times)
    return score(arm.name, Probe(question, DOCUMENT, 0, frozenset(right), tokens), reply)
