"""How a chat looks: a prompt with history and completion on a terminal, plain lines elsewhere.

Knows prompt_toolkit and the screen; what a line means is `asking.conversation`'s.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from models.durable import make_folder
from mplus_cli.asking.conversation import Conversation, Reply, greeting, is_command
from mplus_cli.asking.events import Answer, TextDelta
from mplus_cli.errors import MplusError
from mplus_cli.runtime import interrupts
from mplus_cli.terminal import screen
from mplus_cli.terminal.answer_view import final_text, show_answer, show_evidence, show_source
from mplus_cli.terminal.streaming import growing_markdown

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession


def run_chat(conversation: Conversation, history: Path) -> None:
    """Talk until the end of the input. At a terminal Ctrl-C stops what is being done, not the chat."""
    interactive = screen.is_conversation()
    if interactive:
        screen.dim(greeting(conversation))
    lines = _typed(conversation, history) if interactive else _piped()
    for line in lines:
        if not line.strip():
            continue
        try:
            if is_command(line):
                reply = conversation.command(line)
                if reply.quits:
                    return
                _show_reply(reply)
            elif interactive:
                _stream(conversation, line)
            else:
                show_answer(conversation.ask(line), sources=False)
        except MplusError as error:
            screen.error(str(error))
        except KeyboardInterrupt:
            if not interactive:
                raise
            interrupts.heeded()
            screen.dim("stopped")


def _stream(conversation: Conversation, line: str) -> None:
    """An answer as Markdown that grows; the passages first where it is not sure."""
    final: Answer | None = None
    text = ""
    with growing_markdown() as shown:
        for event in conversation.ask(line):
            if isinstance(event, TextDelta):
                text += event.text
                shown(text)
            elif isinstance(event, Answer):
                final = event
    if final is not None:
        show_evidence(final)
        if final.is_unsure:
            screen.piece(f"{final_text(final)}\n")


def _show_reply(reply: Reply) -> None:
    for text in reply.lines:
        screen.dim(text)
    for source in reply.sources:
        show_source(source, whole=reply.whole)


def _piped() -> Iterator[str]:
    for line in sys.stdin:
        yield line.encode("utf-8", "replace").decode()


def _typed(conversation: Conversation, history: Path) -> Iterator[str]:
    """Lines from the prompt. Ctrl-C clears what is typed, Ctrl-D ends."""
    session = _prompt_session(conversation, history)
    while True:
        try:
            line = session.prompt("> ")
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        yield line.encode("utf-8", "replace").decode()


def _prompt_session(conversation: Conversation, history: Path) -> PromptSession[str]:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion
    from prompt_toolkit.document import Document
    from prompt_toolkit.history import FileHistory
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

    keys = KeyBindings()

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    class Commands(Completer):
        def get_completions(self, document: Document, event: CompleteEvent) -> Iterator[Completion]:
            typed = document.text_before_cursor
            for whole in conversation.completions(typed):
                yield Completion(whole, start_position=-len(typed))

    _make_private(history)
    return PromptSession(
        history=FileHistory(str(history)),
        completer=Commands(),
        complete_while_typing=False,
        key_bindings=keys,
        prompt_continuation="  ",
    )


def _make_private(history: Path) -> None:
    """Make the history a file that only its user can read."""
    make_folder(history.parent, mode=0o700)
    os.close(os.open(history, os.O_WRONLY | os.O_CREAT, 0o600))
    history.chmod(0o600)
