"""A conversation with a memory: earlier turns, settings, and the commands that start with a slash.

Knows a session and answering; no terminal. `chat_view` shows it.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mplus_cli.asking import answering, finding
from mplus_cli.asking.events import Answer, Event, OpenMemory, Question, Source, usage_words
from mplus_cli.asking.scope import find_document
from mplus_cli.errors import UsageError
from mplus_cli.history.export import export
from mplus_cli.history.record import Record
from mplus_cli.history.store import short
from mplus_cli.library.mapping import draw_map
from mplus_cli.library.values import MemoryMap
from mplus_cli.runtime.session import Session, open_memory
from mplus_cli.wording import count

KEPT_TURNS = 20
FOUND = 5
"""Passages of `/find` at most."""
RECENT = 10
"""Conversations that `/resume` lists."""

COMMANDS = {
    "/help": ("", "what can be typed here"),
    "/memory": ("[NAME]", "which memory is asked; with NAME, ask another"),
    "/document": ("[NAME|all]", "ask this document only; all: every one"),
    "/find": ("WORDS", "the passages that fit these words, without an answer"),
    "/sources": ("[full]", "the passages that the last answer rests on; full: whole chunks"),
    "/clear": ("", "begin a new conversation (the memory stays)"),
    "/retry": ("", "ask the last question again, after a change of /document, /reread or /quote"),
    "/edit": ("[TEXT]", "ask the last question in other words; without TEXT, in your editor"),
    "/resume": ("[NUMBER|NAME]", "go on with an earlier conversation; without one, list them"),
    "/save": ("NAME", "give this conversation a name"),
    "/export": ("FILE", "write it to a file: JSON where the name ends so, else Markdown"),
    "/ingest": ("FILE...", "read documents into this memory"),
    "/map": ("", "where each document and the last answer's passages stand in memory"),
    "/stats": ("", "what the last answer took"),
    "/reread": ("N", "show the model text of the N best chunks; 0: none"),
    "/quote": ("on|off", "whether answers are spelled along the text"),
    "/quit": ("", "leave (also Ctrl-D)"),
}
"""What each takes, and what it does."""


_BARE = {"exit": "/quit", "quit": "/quit", "help": "/help", "?": "/help"}
"""Commands that are known without their slash: as questions they make no sense."""


_HELP = tuple(f"{f'{name} {takes}':<25}{does}" for name, (takes, does) in COMMANDS.items())


@dataclass(frozen=True, slots=True)
class Reply:
    """What a slash command says: lines, or the last answer's sources."""

    lines: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    whole: bool = False
    """Whether the sources' whole texts are to be shown, or their best sentences."""
    quits: bool = False
    asks: str = ""
    """A question to be asked now."""
    edits: str = ""
    """A question that the user is to rewrite in an editor."""
    ingests: tuple[str, ...] = ()
    """Documents that are to be read now."""
    drawn: MemoryMap | None = None
    consulted: Answer | None = None
    """Whose sources the map is to show."""


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
        self._refresh()
        for event in answering.answer(self.session, self.opened, question):
            if isinstance(event, Answer):
                self.last = event
                self.turns = [*self.turns, (event.question, event.answer)][-KEPT_TURNS:]
                self.details.append(short(event.to_json()))
                if self.record is not None:
                    self.record.add(event.to_json())
            yield event

    def command(self, line: str) -> Reply:
        """Do what a line that starts with a slash says.

        Raises:
            MplusError: there is no such command, memory or number.
        """
        name, _, rest = line.strip().partition(" ")
        name, rest = _BARE.get(name.lower(), name), rest.strip()
        if name == "/help":
            return Reply(_HELP)
        if name == "/memory":
            return self._memory(rest)
        if name == "/document":
            return self._document(rest)
        if name == "/find":
            return self._find(rest)
        if name == "/sources":
            return self._sources(rest)
        if name == "/clear":
            self._begin()
            return Reply(("a new conversation begins",))
        if name == "/retry":
            return Reply(asks=self._take_back())
        if name == "/edit":
            return self._edit(rest)
        if name == "/resume":
            return self._resume(rest)
        if name == "/save":
            return self._save(rest)
        if name == "/export":
            return self._export(rest)
        if name == "/ingest":
            return Reply(ingests=_paths(rest))
        if name == "/map":
            self._refresh()
            return Reply(drawn=draw_map(self.opened.stored), consulted=self.last)
        if name == "/stats":
            return self._stats()
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
        elif typed.startswith("/resume ") and self.record is not None:
            listed = self.record.history.listed(RECENT, command="chat")
            lines = [f"/resume {kept.name or kept.id}" for kept in listed]
        else:
            lines = list(COMMANDS) if typed.startswith("/") else []
        return [line for line in lines if line.startswith(typed)]

    def open(self, name: str) -> None:
        """Ask another memory, in a new conversation; MplusError if it cannot be asked."""
        stored = open_memory(self.session.library, name)
        self.opened = answering.load_memory(self.session, stored)
        self.documents = ()
        self._begin()

    def reload(self) -> None:
        """See what was read into the memory meanwhile."""
        self.opened = answering.load_memory(self.session, self.opened.stored)

    def resume(self, wanted: str) -> None:
        """Go on with a conversation that was kept, by its number or its name.

        Raises:
            MplusError: there is none, or its memory cannot be asked.
        """
        if self.record is None:
            raise UsageError("no conversations are kept here")
        kept, turns = self.record.history.find(wanted)
        if kept.memory != self.opened.stored.name:
            self.open(kept.memory)
        self._begin()
        self.turns = [(turn.question, turn.answer) for turn in turns][-KEPT_TURNS:]
        self.details = [turn.details for turn in turns]
        self.record.id = kept.id

    def _refresh(self) -> None:
        """See whether a document left the memory: then the last answer's chunks have other numbers."""
        opened = answering.refreshed(self.session, self.opened)
        if opened is not self.opened:
            self.opened, self.last = opened, None

    def _begin(self) -> None:
        self.turns, self.last, self.details = [], None, []
        if self.record is not None:
            self.record.id = None

    def _take_back(self) -> str:
        """The last question, taken out of the conversation."""
        if not self.details:
            raise UsageError("nothing was asked yet")
        self.turns, self.last = self.turns[:-1], None
        if self.record is not None:
            self.record.drop_last()
        return str(self.details.pop()["question"])

    def _edit(self, text: str) -> Reply:
        if not self.details:
            raise UsageError("nothing was asked yet")
        if not text:
            return Reply(edits=str(self.details[-1]["question"]))
        self._take_back()
        return Reply(asks=text)

    def _resume(self, wanted: str) -> Reply:
        if wanted:
            self.resume(wanted)
            said = [f"> {question}" for question, _ in self.turns[-3:]]
            return Reply((f'memory "{self.opened.stored.name}"; after:', *said))
        listed = [] if self.record is None else self.record.history.listed(RECENT, command="chat")
        lines = [f"{kept.name or kept.id}  {kept.memory}: {kept.question}" for kept in listed]
        return Reply(tuple(lines) or ("no conversation is kept yet",))

    def _save(self, name: str) -> Reply:
        if self.record is None or not self.details:
            raise UsageError("there is nothing to save yet: ask something first")
        self.record.save(name, self.details)
        return Reply((f'kept as "{name}": mplus chat, then /resume {name}',))

    def _export(self, file: str) -> Reply:
        if not file or not self.details:
            raise UsageError(
                "/export needs a file, such as /export talk.md, and an answer before it"
            )
        path = Path(_paths(file)[0])
        export(path, self.opened.stored.name, self.details)
        return Reply((f"written: {path}",))

    def _stats(self) -> Reply:
        summary = self.opened.stored.summary()
        held = (
            f"{summary.tokens:,} tokens of text, {summary.stm_tokens:,} short-term and "
            f"{summary.ltm_tokens:,} long-term memory tokens"
        )
        turns = f"{count(len(self.details), 'answer')} in this conversation"
        took = (usage_words(self.last.usage),) if self.last is not None else ()
        return Reply((held, turns, *took))

    def _memory(self, name: str) -> Reply:
        if not name:
            return Reply((f'memory "{self.opened.stored.name}"',))
        self.open(name)
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
        self._refresh()
        found = finding.find(self.session, self.opened, question, FOUND)
        return Reply(sources=found) if found else Reply(("nothing near this was found",))

    def _sources(self, wanted: str) -> Reply:
        if wanted not in ("", "full"):
            raise UsageError(f"/sources {wanted}: give full, or nothing")
        if self.last is None:
            return Reply(("nothing was answered yet",))
        return Reply(sources=self.last.sources, whole=wanted == "full")

    def _reread(self, number: str) -> Reply:
        if number and not (number.isascii() and number.isdigit() and len(number) < 4):
            raise UsageError(f"/reread {number}: give a whole number, such as /reread 2")
        if number:
            self.reread = int(number)
        count = self.session.loaded.prompt.reread if self.reread is None else self.reread
        shown = f"text of the {count} best chunks is" if count else "no text is"
        return Reply((f"{shown} shown to the model",))

    def _quote(self, wanted: str) -> Reply:
        if wanted not in ("", "on", "off"):
            raise UsageError(f"/quote {wanted}: give on or off")
        if wanted:
            self.quote = wanted == "on"
        shown = "spelled along the text" if self.quote else "from memory alone"
        return Reply((f"answers are {shown}",))


def status(conversation: Conversation) -> str:
    """What a bar below the prompt says: memory, its size, what the last answer took."""
    name, last = conversation.opened.stored.name, conversation.last
    held = f"{conversation.opened.memory.clock:,} memory tokens"
    took = f" | {last.usage.new_tokens} tokens in {last.usage.seconds:.1f} s" if last else ""
    only = f" | {conversation.documents[0]}" if conversation.documents else ""
    return f"{name} | {held}{only}{took} | /help"


def _paths(typed: str) -> tuple[str, ...]:
    """Files as they are typed: one name that is there, or several, quoted where they have spaces."""
    whole = Path(typed).expanduser()
    try:
        names = [typed] if typed and whole.exists() else shlex.split(typed)
    except (ValueError, OSError) as error:
        raise UsageError(f"the names cannot be told apart: {error}") from error
    if not names:
        raise UsageError("/ingest needs files, such as /ingest book.pdf")
    return tuple(str(Path(name).expanduser()) for name in names)


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
