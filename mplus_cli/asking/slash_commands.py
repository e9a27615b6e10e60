"""The commands of a chat: lines that start with a slash, what each may become while it is typed.

Each is a row of `COMMANDS`. Works on a conversation, independent of the terminal.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from mplus_cli.asking.conversation import Conversation
from mplus_cli.asking.events import Answer, Source, usage_words
from mplus_cli.asking.scope import find_document
from mplus_cli.command_line import typed_files
from mplus_cli.errors import UsageError
from mplus_cli.history.export import export
from mplus_cli.library.mapping import draw_map
from mplus_cli.library.values import MemoryMap
from mplus_cli.wording import count

RECENT = 10
"""Conversations that `/resume` lists."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a command gives: lines to show, or something to do next."""

    lines: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    sought: str = ""
    """The words that they were found for."""
    whole: bool = False
    """Whether to show the sources' whole texts, or only their best sentences."""
    quits: bool = False
    asks: str = ""
    """A question to ask now."""
    edits: str = ""
    """A question for the user to rewrite in an editor."""
    ingests: tuple[str, ...] = ()
    """Documents to read now."""
    drawn: MemoryMap | None = None
    consulted: Answer | None = None
    """Whose sources the map shows."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a chat."""

    takes: str
    does: str
    run: Callable[[Conversation, str], Reply]
    """Given what stands behind the command's name."""
    arguments: Callable[[Conversation], Iterable[str]] = lambda _: ()
    """What may stand there, for completion."""


def run(conversation: Conversation, line: str) -> Reply:
    """Carry out a line that `is_command`.

    Raises:
        MplusError: there is no such command, memory or number.
    """
    name, _, rest = line.strip().partition(" ")
    if _word(line) in _ALIASES:
        name, rest = _word(line), ""
    name = _ALIASES.get(name.lower(), name.lower())
    if name not in COMMANDS:
        known = [one for one in (*COMMANDS, *_ALIASES) if one.startswith("/")]
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]}?" if close else "/help lists the commands"
        raise UsageError(f"there is no {name}: {hint}")
    return COMMANDS[name].run(conversation, rest.strip())


def completions(conversation: Conversation, typed: str) -> list[str]:
    """What a command that is being typed may become: a command, or one with its argument."""
    name, space, _ = typed.partition(" ")
    lines: Iterable[str] = ()
    if space and name in COMMANDS:
        lines = (f"{name} {one}" for one in COMMANDS[name].arguments(conversation))
    elif typed.startswith("/"):
        lines = COMMANDS
    return [line for line in lines if line.startswith(typed)]


def is_command(line: str) -> bool:
    """Whether a line is for the chat itself."""
    return line.lstrip().startswith("/") or _word(line) in _ALIASES


def _word(line: str) -> str:
    """A line as a word: "Quit!" means the same as "quit"."""
    typed = line.strip().lower()
    return typed.rstrip(" .!?") or typed


def _help(conversation: Conversation, rest: str) -> Reply:
    lines = []
    for name, one in COMMANDS.items():
        others = [other for other, meant in _ALIASES.items() if meant == name and other[0] == "/"]
        others += ["Ctrl-D"] if name == "/quit" else []
        also = f" (also {', '.join(others)})" if others else ""
        lines.append(f"{f'{name} {one.takes}':<25}{one.does}{also}")
    return Reply(tuple(lines))


def _memory(conversation: Conversation, name: str) -> Reply:
    if not name:
        return Reply((f'memory "{conversation.opened.stored.name}"',))
    notes = conversation.open(name)
    return Reply((f'memory "{name}"; a new conversation begins', *notes))


def _document(conversation: Conversation, name: str) -> Reply:
    documents = conversation.opened.stored.documents()
    if name == "all":
        conversation.documents = ()
    elif name:
        find_document(documents, name)
        conversation.documents = (name,)
    if not conversation.documents:
        return Reply(("asking all documents",))
    document = find_document(documents, conversation.documents[0])
    return Reply((f'asking only "{document.title}"',))


def _titles(conversation: Conversation) -> list[str]:
    return ["all", *(document.title for document in conversation.opened.stored.documents())]


def _find(conversation: Conversation, words: str) -> Reply:
    if not words:
        raise UsageError("/find needs words, such as /find brass key")
    notes: list[str] = []
    found = conversation.find(words, notes.append)
    nothing = () if found else ("nothing close to this was found",)
    return Reply((*notes, *nothing), sources=found, sought=words)


def _sources(conversation: Conversation, wanted: str) -> Reply:
    if wanted not in ("", "full"):
        raise UsageError(f"/sources {wanted}: give full, or nothing")
    if conversation.last is None:
        return Reply(("nothing has been answered yet",))
    if not conversation.last.sources:
        return Reply(("the last answer is based on no passage",))
    return Reply(sources=conversation.last.sources, whole=wanted == "full")


def _clear(conversation: Conversation, rest: str) -> Reply:
    conversation.begin()
    return Reply(("a new conversation begins",))


def _retry(conversation: Conversation, rest: str) -> Reply:
    return Reply(asks=conversation.take_back())


def _edit(conversation: Conversation, text: str) -> Reply:
    if not text:
        return Reply(edits=conversation.last_question())
    conversation.take_back()
    return Reply(asks=text)


def _resume(conversation: Conversation, wanted: str) -> Reply:
    if wanted:
        notes = conversation.resume(wanted)
        asked = [f"> {question}" for question, _ in conversation.turns[-3:]]
        return Reply((f'memory "{conversation.opened.stored.name}"; asked last:', *asked, *notes))
    lines = [
        f"{kept.name or kept.id}  {kept.memory}: {kept.question}"
        for kept in conversation.recent(RECENT)
    ]
    return Reply(tuple(lines) or ("there is no conversation yet",))


def _kept(conversation: Conversation) -> list[str]:
    return [str(kept.name or kept.id) for kept in conversation.recent(RECENT)]


def _save(conversation: Conversation, name: str) -> Reply:
    if conversation.record is None or not conversation.details:
        raise UsageError("there is nothing to save yet: ask something first")
    conversation.record.save(name, conversation.details)
    return Reply((f'saved as "{name}": /resume {name} continues it',))


def _export(conversation: Conversation, file: str) -> Reply:
    if not file or not conversation.details:
        raise UsageError("/export needs a file, such as /export talk.md, and an answer before it")
    path = Path(typed_files(file)[0])
    export(path, conversation.opened.stored.name, conversation.details)
    return Reply((f"written: {path}",))


def _ingest(conversation: Conversation, files: str) -> Reply:
    if not files:
        raise UsageError("/ingest needs files, such as /ingest book.pdf")
    return Reply(ingests=typed_files(files))


def _map(conversation: Conversation, rest: str) -> Reply:
    conversation.refresh()
    return Reply(drawn=draw_map(conversation.opened.stored), consulted=conversation.last)


def _stats(conversation: Conversation, rest: str) -> Reply:
    summary, last = conversation.opened.stored.summary(), conversation.last
    held = (
        f"{summary.tokens:,} tokens of text, {summary.stm_tokens:,} short-term and "
        f"{summary.ltm_tokens:,} long-term memory tokens"
    )
    turns = f"{count(len(conversation.details), 'answer')} in this conversation"
    return Reply((held, turns, *([usage_words(last.usage)] if last else [])))


def _reread(conversation: Conversation, number: str) -> Reply:
    if number and not (number.isascii() and number.isdigit() and len(number) < 4):
        raise UsageError(f"/reread {number}: give a whole number, such as /reread 2")
    if number:
        conversation.reread = int(number)
    own = conversation.session.loaded.prompt.reread if conversation.quote else 0
    best = own if conversation.reread is None else conversation.reread
    if not best:
        return Reply(("the model answers from memory alone",))
    chunks = "best chunk" if best == 1 else f"{best} best chunks"
    return Reply((f"the model also reads the text of the {chunks}",))


def _quote(conversation: Conversation, wanted: str) -> Reply:
    if wanted not in ("", "on", "off"):
        raise UsageError(f"/quote {wanted}: give on or off")
    if wanted:
        conversation.quote = wanted == "on"
    shown = "quoted from the text" if conversation.quote else "generated from memory alone"
    return Reply((f"answers are {shown}",))


def _quit(conversation: Conversation, rest: str) -> Reply:
    return Reply(quits=True)


COMMANDS = {
    "/help": Command("", "list the commands", _help),
    "/memory": Command(
        "[NAME]",
        "show the memory in use; with NAME, switch to another",
        _memory,
        lambda conversation: conversation.session.library.names(),
    ),
    "/document": Command(
        "[NAME|all]", "ask only this document; all: all of them", _document, _titles
    ),
    "/find": Command("WORDS", "the passages that fit these words, without an answer", _find),
    "/sources": Command(
        "[full]", "the passages that the last answer is based on; full: whole chunks", _sources
    ),
    "/clear": Command("", "start a new conversation; the memory is kept", _clear),
    "/retry": Command(
        "", "ask the last question again, after a change of /document, /reread or /quote", _retry
    ),
    "/edit": Command(
        "[TEXT]", "ask the last question in other words; without TEXT, in your editor", _edit
    ),
    "/resume": Command(
        "[NUMBER|NAME]",
        "continue an earlier conversation; without one, list them",
        _resume,
        _kept,
    ),
    "/save": Command("NAME", "give this conversation a name", _save),
    "/export": Command(
        "FILE", "write it to a file: JSON if the name ends in .json, else Markdown", _export
    ),
    "/ingest": Command("FILE...", "read documents into this memory", _ingest),
    "/map": Command("", "where each document and the last answer's passages are in memory", _map),
    "/stats": Command(
        "", "what is in memory, and the tokens and seconds of the last answer", _stats
    ),
    "/reread": Command(
        "N", "let the model also read the text of the N best chunks; 0: none", _reread
    ),
    "/quote": Command("on|off", "whether answers are quoted from the text", _quote),
    "/quit": Command("", "leave", _quit),
}
"""By the name that is typed."""
_ALIASES = {
    **dict.fromkeys(("/exit", "/bye", "/q", "exit", "quit", "bye", "goodbye"), "/quit"),
    **dict.fromkeys(("/new", "/reset"), "/clear"),
    **dict.fromkeys(("/?", "/h", "help", "?"), "/help"),
    "/search": "/find",
    "/add": "/ingest",
    "/continue": "/resume",
}
"""Names that other chats have; those without a slash make no sense as questions."""
