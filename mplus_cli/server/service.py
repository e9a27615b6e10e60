"""What every route works with: the library, the worker, and how questions and documents reach it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mplus_cli.api import MemoryHandle, Mplus, silent
from mplus_cli.asking.events import Event, Source
from mplus_cli.asking.question import Question
from mplus_cli.errors import MplusError
from mplus_cli.ingest.events import event_to_json
from mplus_cli.ingest.job import Plan, Report
from mplus_cli.server.worker import Job, Worker


class MissingError(MplusError):
    """There is no memory of this name."""


class OtherTypeError(MplusError):
    """A memory needs the model in another type of tensors than a reading that is under way."""


@dataclass(frozen=True, slots=True)
class Note:
    """A line that a user should see before an answer."""

    text: str

    def to_event(self) -> dict[str, Any]:
        """What the server sends."""
        return {"event": "note", "text": self.text}


@dataclass(frozen=True, slots=True)
class Service:
    """A library, and the thread that its model computes in."""

    mplus: Mplus
    worker: Worker

    def memory(self, name: str | None) -> MemoryHandle:
        """A memory that exists, by default the one that is asked where none is named; MissingError if it does
        not exist. Reads the disk: not for the event loop."""
        names = self.mplus.library.names()
        wanted = self.mplus.settings.memory_among(names) if name is None else name
        handle = self.mplus.memory(wanted)
        if wanted not in names:
            try:
                _ = handle.stored  # says which name was probably meant
            except MplusError as error:
                raise MissingError(str(error)) from error
        return handle

    async def ask(self, name: str, question: Question) -> Job:
        """The events of an answer, notes before them; MissingError at once if there is no such memory."""
        handle = await asyncio.to_thread(self.memory, name)

        def work() -> Iterator[Note | Event]:
            self._check_room(handle)
            notes: list[str] = []
            loaded = handle.load(question, note=notes.append)
            yield from map(Note, notes)
            yield from loaded.answer(question)

        return self.worker.submit(work)

    async def find(self, name: str, question: Question, count: int) -> Job:
        """The passages near some words, after the notes on where was searched; raises as `ask` does."""
        handle = await asyncio.to_thread(self.memory, name)

        def work() -> Iterator[Note | Source]:
            self._check_room(handle)
            notes: list[str] = []
            found = handle.load(question, note=silent).find(question, count, notes.append)
            yield from map(Note, notes)
            yield from found

        return self.worker.submit(work)

    def _check_room(self, handle: MemoryHandle) -> None:
        """Check that no second model is loaded beside that of a reading; OtherTypeError if it would be."""
        is_between_chunks = self.worker.load["running"] > 1
        if is_between_chunks and not self.mplus.loader.fits(handle.stored):
            raise OtherTypeError(
                f'memory "{handle.name}" needs the model in another type than the document that is '
                "being read: ask again when it is read"
            )

    def read(self, handle: MemoryHandle, planned: Plan, *, replace: bool) -> Job:
        """The events of a reading as JSON values, and its report at the end."""

        def work() -> Iterator[dict[str, Any]]:
            report = Report(handle.name)
            yield from map(
                event_to_json, handle.reading(planned, report, replaces=lambda _: replace)
            )
            yield {"event": "report", **report.to_json()}

        return self.worker.submit(work, reading=True)
