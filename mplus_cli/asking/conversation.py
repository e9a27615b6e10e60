"""A conversation with a memory: earlier turns, settings, and the commands that start with a slash.

Knows a session and answering; no terminal. `chat_view` shows it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field

from mplus_cli.asking import answering, finding
from mplus_cli.asking.events import Answer, Event, OpenMemory, Question, Source
from mplus_cli.asking.scope import find_document
from mplus_cli.errors import UsageError
from mplus_cli.runtime.session import Session, open_memory

KEPT_TURNS = 20
FOUND = 5
"""Passages of `/find` at most."""

COMMANDS = {
    "/help": "what can be typed here",
    "/memory": "[NAME]  which memory is asked; with NAME, ask another",
    "/document": "[NAME|all]  ask this document only; all: every one",
    "/find": "WORDS  the passages that fit these words, without an answer",
    "/sources": "the passages that the last answer may come from",
    "/clear": "forget the conversation (not the memory)",
    "/reread": "N  show the model the text of the N best chunks; 0: none",
    "/quote": "on|off  whether answers are spelled along the text",
    "/quit": "leave (also Ctrl-D)",
}


_BARE = {"exit": "/quit", "quit": "/quit", "help": "/help", "?": "/help"}
"""Commands that are known without their slash: as questions they make no sense."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a slash command says: lines, or the last answer's sources."""

    lines: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    whole: bool = False
    """Whether the sources' whole texts are to be shown, or their best sentences."""
    quits: bool = False


@dataclass(slots=True)
class Conversation:
    """The state of a chat."""

    session: Session
    opened: OpenMemory
    turns: list[tuple[str, str]] = field(default_factory=list)
    last: Answer | None = None
    reread: int = 0
    quote: bool = True
    strict: bool = False
    documents: tuple[str, ...] = ()

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
        self.opened = answering.refreshed(self.session, self.opened)
        for event in answering.answer(self.session, self.opened, question):
            if isinstance(event, Answer):
                self.last = event
                self.turns = [*self.turns, (event.question, event.answer)][-KEPT_TURNS:]
            yield event

    def command(self, line: str) -> Reply:
        """Do what a line that starts with a slash says.

        Raises:
            MplusError: there is no such command, memory or number.
        """
        name, _, rest = line.strip().partition(" ")
        name, rest = _BARE.get(name.lower(), name), rest.strip()
        if name == "/help":
            return Reply(tuple(f"{key:<10}{text}" for key, text in COMMANDS.items()))
        if name == "/memory":
            return self._memory(rest)
        if name == "/document":
            return self._document(rest)
        if name == "/find":
            return self._find(rest)
        if name == "/sources":
            if self.last is None:
                return Reply(("nothing was answered yet",))
            return Reply(sources=self.last.sources, whole=True)
        if name == "/clear":
            self.turns, self.last = [], None
            return Reply(("the conversation is forgotten",))
        if name == "/reread":
            return self._reread(rest)
        if name == "/quote":
            return self._quote(rest)
        if name in ("/quit", "/exit"):
            return Reply(quits=True)
        close = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]}?" if close else "/help says what there is"
        raise UsageError(f"there is no {name}: {hint}")

    def completions(self, typed: str) -> list[str]:
        """What a command that is being typed may become: a command, or one with a name behind it."""
        if typed.startswith("/memory "):
            lines = [f"/memory {name}" for name in self.session.library.names()]
        elif typed.startswith("/document "):
            titles = [document.title for document in self.opened.stored.documents()]
            lines = [f"/document {title}" for title in ["all", *titles]]
        else:
            lines = list(COMMANDS) if typed.startswith("/") else []
        return [line for line in lines if line.startswith(typed)]

    def _memory(self, name: str) -> Reply:
        if not name:
            return Reply((f'memory "{self.opened.stored.name}"',))
        stored = open_memory(self.session.library, name)
        self.opened = answering.load_memory(self.session, stored)
        self.turns, self.last, self.documents = [], None, ()
        return Reply((f'memory "{name}"; the conversation starts anew',))

    def _document(self, name: str) -> Reply:
        if name == "all":
            self.documents = ()
        elif name:
            find_document(self.opened.stored.documents(), name)
            self.documents = (name,)
        if not self.documents:
            return Reply(("all documents are asked",))
        document = find_document(self.opened.stored.documents(), self.documents[0])
        return Reply((f'"{document.title}" alone is asked',))

    def _find(self, words: str) -> Reply:
        if not words:
            raise UsageError("/find needs words, such as /find brass key")
        question = Question(words, documents=self.documents)
        self.opened = answering.refreshed(self.session, self.opened)
        found = finding.find(self.session, self.opened, question, FOUND)
        return Reply(sources=found) if found else Reply(("nothing near this was found",))

    def _reread(self, number: str) -> Reply:
        if number and not (number.isascii() and number.isdigit() and len(number) < 4):
            raise UsageError(f"/reread {number}: give a whole number, such as /reread 2")
        if number:
            self.reread = int(number)
        shown = f"the text of the {self.reread} best chunks is" if self.reread else "no text is"
        return Reply((f"{shown} shown to the model",))

    def _quote(self, wanted: str) -> Reply:
        if wanted not in ("", "on", "off"):
            raise UsageError(f"/quote {wanted}: give on or off")
        if wanted:
            self.quote = wanted == "on"
        shown = "spelled along the text" if self.quote else "from memory alone"
        return Reply((f"answers are {shown}",))


def greeting(conversation: Conversation) -> str:
    """The first line of a chat."""
    summary = conversation.opened.stored.summary()
    return (
        f'memory "{summary.name}" ({summary.tokens:,} tokens of text), '
        f"model {conversation.session.loaded.name}; /help, Ctrl-D to leave"
    )


def is_command(line: str) -> bool:
    """Whether a line is for the chat itself."""
    return line.lstrip().startswith("/") or line.strip().lower() in _BARE
