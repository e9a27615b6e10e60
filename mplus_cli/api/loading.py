"""The one model that is in memory, and the memory that it answers from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mplus_cli.asking import answering, finding
from mplus_cli.asking.events import Answer, Event, Source
from mplus_cli.asking.open_memory import OpenMemory, load_memory
from mplus_cli.asking.question import Question
from mplus_cli.errors import MplusError
from mplus_cli.library import StoredMemory
from mplus_cli.runtime.embedded_base import Progress
from mplus_cli.runtime.session import Note, Session, memory_dtype, open_session
from mplus_cli.settings import Settings


def silent(*_: object) -> None:
    """Ignores a note or a progress report."""


@dataclass(frozen=True, slots=True)
class LoadedMemory:
    """A memory as of one commit, and the model that answers from it."""

    session: Session
    opened: OpenMemory

    def answer(self, question: Question) -> Iterator[Event]:
        """Answer a question: `Retrieved` once, `TextDelta` as text comes, `Answer` once.

        A doubtful answer comes with the last event alone: its passage is to be shown first.

        Raises:
            UsageError: the question is not valid, or too long.
        """
        return answering.answer(self.session, self.opened, question)

    def ask(self, question: Question) -> Answer:
        """Answer a question: the last event of `answer`, and raises as that does."""
        for event in self.answer(question):
            if isinstance(event, Answer):
                return event
        raise MplusError("the answer was cut short")  # it never is: `answer` ends with one

    def find(self, question: Question, count: int = 5, note: Note = silent) -> tuple[Source, ...]:
        """The passages near some words or a question, best first, at most `count`; none may be near.

        Args:
            note: takes a line on where was searched, if the question names a document or a part.

        Raises:
            UsageError: there is no word, too many of them, or no such document.
        """
        return finding.find(self.session, self.opened, question, count, note)


class Loader:
    """Holds a model from when it is first needed, and the memory that was asked last."""

    def __init__(self, settings: Settings, note: Note, once: bool = False) -> None:
        self._settings = settings
        self._once = once
        self._note = note
        self._session: Session | None = None
        self._loaded: tuple[Any, LoadedMemory] | None = None

    def session(
        self, stored: StoredMemory | None = None, *, progress: Progress = silent
    ) -> Session:
        """The model, loaded unless it is in memory; another dtype is loaded in its place where a memory
        that it is to read needs that.

        Raises:
            UsageError: there is no such model or device.
            MismatchError: the model is damaged, or another one wrote the memory.
        """
        if self._session is not None:
            if stored is not None:
                stored.check(self._session.identity)
            if self.fits(stored):
                return self._session
        self._session = self._loaded = None  # before the next one comes: there is room for one
        self._session = open_session(
            self._settings,
            note=self._note,
            progress=progress,
            memory=stored,
            once=self._once,
        )
        return self._session

    def open(self, stored: StoredMemory, *, progress: Progress = silent) -> LoadedMemory:
        """A memory as of its last commit, with its model; raises as `session` does."""
        view = stored.view()
        key = (stored.folder, view.identity.fingerprint, view.state, view.rebuilt)
        session = self.session(stored, progress=progress)
        if self._loaded is None or self._loaded[0] != key:
            self._loaded = None
            self._loaded = key, LoadedMemory(session, load_memory(session, stored))
        return self._loaded[1]

    def fits(self, stored: StoredMemory | None) -> bool:
        """Whether a memory can be read without loading the model in another type of tensors than it is in."""
        if self._session is None or stored is None or self._settings.dtype != "auto":
            return True
        own = str(self._session.model.dtype).removeprefix("torch.")
        return memory_dtype(stored) in (None, own)
