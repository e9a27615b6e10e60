"""Shows a chat: a prompt with history and completion on a terminal, plain lines elsewhere.

Deals with prompt_toolkit and the screen; `asking.conversation` decides what a line means.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from models.durable import make_folder
from mplus_cli.asking import slash_commands
from mplus_cli.asking.conversation import Conversation, greeting, status
from mplus_cli.asking.events import Answer, TextDelta
from mplus_cli.errors import MplusError, UsageError
from mplus_cli.runtime import interrupts
from mplus_cli.terminal import capabilities, screen
from mplus_cli.terminal.answer_view import (
    final_text,
    show_answer,
    show_evidence,
    show_reading,
    show_sources,
    show_usage,
)
from mplus_cli.terminal.hits_view import show_hits
from mplus_cli.terminal.streaming import growing_markdown
from mplus_cli.visible import one_line

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import Completer

_WITH_FILES = ("/ingest ", "/export ")


def run_chat(conversation: Conversation, history: Path | None) -> bool:
    """Chat until the end of the input. On a terminal Ctrl-C stops the current answer, not the chat.

    Args:
        history: where typed lines are kept; None: nowhere.

    Returns:
        Whether every line succeeded; on a terminal always true.
    """
    sound = True
    interactive = capabilities.is_conversation()
    if interactive:
        screen.dim(greeting(conversation))
    lines = _typed(conversation, history) if interactive else _piped()
    for line in lines:
        if not line.strip():
            continue
        try:
            if slash_commands.is_command(line):
                reply = slash_commands.run(conversation, line)
                if reply.edits:
                    reply = _edited(conversation, reply.edits)
                if reply.quits:
                    break
                _show_reply(reply)
                if reply.ingests:
                    _ingest(conversation, reply.ingests)
                line = reply.asks
            if line and interactive:
                _stream(conversation, line)
            elif line:
                show_answer(conversation.ask(line), sources=False)
        except MplusError as error:
            screen.error(str(error))
            sound = sound and interactive
        except KeyboardInterrupt:
            if not interactive:
                raise
            interrupts.acknowledge()
            screen.dim("stopped")
    return sound


def _stream(conversation: Conversation, line: str) -> None:
    """An answer as Markdown, shown as it comes; the passages come first if it is unsure."""
    final: Answer | None = None
    text = ""
    with growing_markdown() as shown:
        for event in conversation.ask(line):
            if isinstance(event, TextDelta):
                text += event.text
                shown(text)
            elif isinstance(event, Answer):
                final = event
    if final is None:
        return
    show_reading(final)
    if not text and not final.is_unsure:
        screen.piece(f"{final_text(final)}\n")
    show_evidence(final)
    if final.is_unsure:
        screen.piece(f"{final_text(final)}\n")
    show_usage(final)


def _edited(conversation: Conversation, question: str) -> slash_commands.Reply:
    """The question as the user leaves it in an editor, to be asked in the place of the last."""
    from mplus_cli.terminal.editor import edit_text

    if not capabilities.is_conversation():
        raise UsageError("/edit needs the new question here, such as /edit Who keeps the goat?")
    text = edit_text(question)
    return (
        slash_commands.run(conversation, f"/edit {text}")
        if text
        else slash_commands.Reply(("nothing is asked",))
    )


def _ingest(conversation: Conversation, sources: Sequence[str]) -> None:
    """Read documents into the memory that is asked."""
    from mplus_cli.ingest.changed import find_replacement
    from mplus_cli.ingest.job import Report, ingest, plan
    from mplus_cli.terminal.ingest_view import IngestView

    stored = conversation.opened.stored
    report = Report(stored.name)
    with screen.meter() as meter:
        view = IngestView(meter)
        planned = plan(sources, progress=meter.report)
        view.warn(planned.notes)
        if planned.is_hopeless:
            raise MplusError(planned.failures[0].error)
        given, other = find_replacement(planned.given, stored.documents())
        if other is not None:
            view.note(f"{other.kept} (mplus ingest --replace)")
        try:
            for event in ingest(conversation.session, stored, given, report):
                view.show(event)
        except KeyboardInterrupt:
            if kept := view.kept():
                view.note(kept)
            raise
        finally:
            conversation.reload()
    view.summary(report)


def _show_reply(reply: slash_commands.Reply) -> None:
    for text in reply.lines:
        screen.row(text)
    if reply.sought:
        show_hits(reply.sources, reply.sought, stderr=True)
    else:
        show_sources(reply.sources, whole=reply.whole)
    if reply.drawn is not None:
        from mplus_cli.terminal.map_view import map_picture

        asked = reply.consulted
        screen.show(
            map_picture(
                reply.drawn,
                screen.width(),
                unicode=capabilities.has_unicode(),
                question=asked.question if asked else None,
                consulted=[source.chunk for source in asked.sources] if asked else (),
            )
        )


def _piped() -> Iterator[str]:
    for line in sys.stdin:
        yield line.encode("utf-8", "replace").decode()


def _typed(conversation: Conversation, history: Path | None) -> Iterator[str]:
    """Lines from the prompt, a plain one on a plain terminal. Ctrl-C clears what is typed, Ctrl-D ends."""
    ask = (
        _prompt_session(conversation, history).prompt
        if capabilities.can_redraw()
        else screen.read_line
    )
    while True:
        try:
            line = ask("> ")
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        yield line.encode("utf-8", "replace").decode()


def _prompt_session(conversation: Conversation, history: Path | None) -> PromptSession[str]:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.history import FileHistory, InMemoryHistory
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

    keys = KeyBindings()

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    if history is not None:
        _make_private(history)
    return PromptSession(
        history=InMemoryHistory() if history is None else FileHistory(str(history)),
        completer=_completer(conversation),
        complete_while_typing=False,
        key_bindings=keys,
        prompt_continuation="  ",
        bottom_toolbar=lambda: one_line(status(conversation)),
    )


def _completer(conversation: Conversation) -> Completer:
    """What completes commands, and behind them names of memories, documents and files."""
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
    from prompt_toolkit.document import Document

    files = PathCompleter(expanduser=True)

    class Commands(Completer):
        def get_completions(self, document: Document, event: CompleteEvent) -> Iterator[Completion]:
            typed = document.text_before_cursor
            if typed.startswith(_WITH_FILES):
                rest = typed.partition(" ")[2]
                yield from files.get_completions(Document(rest), event)
            for whole in slash_commands.completions(conversation, typed):
                yield Completion(whole, start_position=-len(typed))

    return Commands()


def _make_private(history: Path) -> None:
    """Make the history readable by its user alone."""
    make_folder(history.parent, mode=0o700)
    os.close(os.open(history, os.O_WRONLY | os.O_CREAT, 0o600))
    history.chmod(0o600)
