"""A conversation with a memory: its earlier turns and its settings.

Independent of the terminal: `slash_commands` changes it, `chat_view` shows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from mplus_cli.asking import answering, finding
from mplus_cli.asking.events import Answer, Event, Source
from mplus_cli.asking.open_memory import OpenMemory, load_memory, refreshed
from mplus_cli.asking.question import Question
from mplus_cli.errors import UsageError
from mplus_cli.history.record import Record
from mplus_cli.history.store import KeptConversation, short
from mplus_cli.runtime.session import Note, Session, open_memory

FOUND = 5
"""Passages of `/find` at most."""


@dataclass(slots=True)
class Conversation:
    """The state of a chat."""

    session: Session
    opened: OpenMemory
    turns: list[tuple[str, str]] = field(default_factory=list)
    last: Answer | None = None
    reread: int | None = None
    quote: bool = True
    strict: bool = False
    documents: tuple[str, ...] = ()
    details: list[dict[str, Any]] = field(default_factory=list)
    """All turns as the objects of `mplus ask --json`, without long texts."""
    record: Record | None = None
    """Where the conversation is kept."""

    def ask(self, text: str) -> Iterator[Event]:
        """Answer a question after the turns before it; a complete answer becomes a turn.

        Raises:
            UsageError: the question is too long.
        """
        question = Question(
            text,
            turns=tuple(self.turns),
            reread=self.reread,
            documents=self.documents,
            quote=self.quote,
            strict=self.strict and self.quote,
        )
        self.refresh()
        for event in answering.answer(self.session, self.opened, question):
            if isinstance(event, Answer):
                self.last = event
                self.turns = [*self.turns, (event.question, event.answer)]
                self.details.append(short(event.to_json()))
                if self.record is not None:
                    self.record.add(event.to_json())
            yield event

    def open(self, name: str) -> tuple[str, ...]:
        """Ask another memory, in a new conversation; which of its documents are not read to their end.

        Raises:
            MplusError: it cannot be asked.
        """
        notes: list[str] = []
        stored = open_memory(self.session.library, name, note=notes.append)
        self.opened = load_memory(self.session, stored)
        self.documents = ()
        self.begin()
        return tuple(notes)

    def reload(self) -> None:
        """Load the memory again, with what was read into it meanwhile."""
        self.opened = load_memory(self.session, self.opened.stored)

    def resume(self, wanted: str) -> tuple[str, ...]:
        """Go on with a conversation that was kept, by its number or its name; returns what `open` does.

        Raises:
            MplusError: there is none, or its memory cannot be asked.
        """
        if self.record is None:
            raise UsageError("no conversations are kept here")
        kept, turns = self.record.history.find(wanted)
        is_other = kept.memory != self.opened.stored.name
        notes = self.open(kept.memory) if is_other else ()
        self.begin()
        self.turns = [(turn.question, turn.answer) for turn in turns]
        self.details = [turn.details for turn in turns]
        self.record.id = kept.id
        return notes

    def refresh(self) -> None:
        """Load the memory again if a document was removed: the last answer's chunks are renumbered."""
        opened = refreshed(self.session, self.opened)
        if opened is not self.opened:
            self.opened, self.last = opened, None

    def begin(self) -> None:
        """Forget the turns; what is asked next begins a new conversation."""
        self.turns, self.last, self.details = [], None, []
        if self.record is not None:
            self.record.id = None

    def take_back(self) -> str:
        """Take the last question out of the conversation, and return it."""
        question = self.last_question()
        self.turns, self.last = self.turns[:-1], None
        if self.record is not None:
            self.record.drop_last()
        self.details.pop()
        return question

    def last_question(self) -> str:
        """The last question; UsageError if there is none."""
        if not self.details:
            raise UsageError("nothing has been asked yet")
        return str(self.details[-1]["question"])

    def find(self, words: str, note: Note) -> tuple[Source, ...]:
        """The passages that fit some words, best first; `note` as in `finding.find`."""
        self.refresh()
        question = Question(words, documents=self.documents)
        return finding.find(self.session, self.opened, question, FOUND, note)

    def recent(self, most: int) -> Sequence[KeptConversation]:
        """The conversations that were kept last."""
        return self.record.history.listed(most, command="chat") if self.record else ()


def status(conversation: Conversation) -> str:
    """The status bar below the prompt: memory, its size, what the last answer took."""
    name, last = conversation.opened.stored.name, conversation.last
    held = f"{conversation.opened.memory.clock:,} memory tokens"
    took = f" | {last.usage.new_tokens} tokens in {last.usage.seconds:.1f} s" if last else ""
    only = f" | {conversation.documents[0]}" if conversation.documents else ""
    return f"{name} | {held}{only}{took} | /help"


def greeting(conversation: Conversation) -> str:
    """The first line of a chat."""
    summary = conversation.opened.stored.summary()
    return (
        f'memory "{summary.name}" ({summary.tokens:,} tokens of text), '
        f"model {conversation.session.loaded.name}; /help, Ctrl-D to leave"
    )
