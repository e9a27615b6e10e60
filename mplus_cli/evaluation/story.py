"""The example story through `mplus ingest` and `mplus ask --json`: right answers, and right pages.

Warm: the functions that the two commands call, with the model loaded once. Cold: the commands, each a
process of its own; they say the same. Yields typed events; prints nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mplus_cli.errors import MplusError
from mplus_cli.evaluation.arms import Arm
from mplus_cli.evaluation.journal import Journal
from mplus_cli.evaluation.layouts import Reading
from mplus_cli.evaluation.values import DOCUMENT, Ask, Event, Question, Record, Said, Working, score
from mplus_cli.library import Library
from mplus_cli.runtime.session import Session
from mplus_cli.settings import Settings

MEMORY = "mplus-eval-story"


@dataclass
class Warm:
    """The commands' own functions, in this process."""

    session: Session
    library: Library
    source: str

    def ingest(self) -> None:
        """Read the document to its end."""
        from mplus_cli.ingest.job import Report, ingest, plan

        planned = plan([self.source], progress=lambda *_: None)
        stored = self.library.open_or_create(MEMORY, self.session.identity)
        report = Report(MEMORY)
        for _ in ingest(self.session, stored, planned.given, report):
            pass
        if report.failed:
            raise MplusError(report.failed[0]["error"])

    def ask(self, question: str, arm: Arm) -> dict[str, Any]:
        """The object of `mplus ask --json`."""
        from mplus_cli.asking import answering
        from mplus_cli.asking.events import Answer
        from mplus_cli.asking.events import Question as Asked

        opened = answering.load_memory(self.session, self.library.open(MEMORY))
        asked = Asked(question, reread=arm.reread, quote=arm.quote)
        events = answering.answer(self.session, opened, asked)
        return next(event for event in events if isinstance(event, Answer)).to_json()


@dataclass
class Cold:
    """The commands, each in a process of its own, with the settings of this one."""

    settings: Settings
    library: Library
    source: str

    def ingest(self) -> None:
        """Read the document to its end."""
        self._run("ingest", self.source, "-m", MEMORY, "--json", "--quiet")

    def ask(self, question: str, arm: Arm) -> dict[str, Any]:
        """The object of `mplus ask --json`."""
        options = ["-m", MEMORY, "--json", "--reread", str(arm.reread)]
        options += [] if arm.quote else ["--no-quote"]
        values: dict[str, Any] = json.loads(self._run("ask", question, *options))
        return values

    def _run(self, *arguments: str) -> str:
        settings = self.settings
        command = [sys.executable, "-m", "mplus_cli", *arguments, "--model", settings.model]
        command += ["--device", settings.device, "--dtype", settings.dtype]
        command += ["--home", str(settings.home), *(["--offline"] if settings.offline else [])]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            said = done.stderr.strip().splitlines() or ["no message"]
            raise MplusError(f"mplus {arguments[0]}: {said[-1].removeprefix('mplus: error: ')}")
        return done.stdout


def run(
    reading: Reading, arms: Sequence[Arm], journal: Journal, reader: Warm | Cold
) -> Iterator[Event]:
    """Ask what is not in the journal yet; the memory is deleted when all is asked of it."""
    todo = [
        (question, arm)
        for question in reading.questions
        for arm in arms
        if (question.id, arm.name, DOCUMENT) not in journal.done
    ]
    if not todo:
        return
    yield Working(f"reading {reading.title}", 0, 0)
    reader.ingest()
    tokens = reader.library.open(MEMORY).summary().tokens
    for number, (question, arm) in enumerate(todo):
        yield Working(f"asking about {reading.title}", number, len(todo))
        yield journal.add(scored(question, arm, reader.ask(question.text, arm), tokens))
    reader.library.remove(MEMORY)
    journal.clear_work()


def scored(question: Question, arm: Arm, values: dict[str, Any], tokens: int) -> Record:
    """The record of an answer; a source is right if it touches the question's pages."""
    first, last = question.pages or (0, -1)
    spans = [source["pages"] or (0, -1) for source in values["sources"]]
    right = [number for number, (begin, end) in enumerate(spans) if begin <= last and first <= end]
    usage = values["usage"]
    said = Said(
        values["answer"],
        range(len(spans)),
        frozenset(range(len(spans))),
        usage["prompt_tokens"],
        usage["seconds_to_first_token"],
        usage["seconds"],
    )
    return score(arm.name, Ask(question, DOCUMENT, 0, frozenset(right), tokens), said)
