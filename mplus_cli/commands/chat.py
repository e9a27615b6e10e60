"""`mplus chat`: a conversation with a memory."""

from __future__ import annotations

import typer

from mplus_cli.commands.common import MemoryOption, settings_of
from mplus_cli.terminal import screen


def chat(context: typer.Context, memory: MemoryOption = None) -> None:
    """Ask a memory questions one after the other; /help lists the commands.

    Without a terminal, each line of standard input is a question.
    """
    from mplus_cli.asking import answering
    from mplus_cli.asking.conversation import Conversation
    from mplus_cli.library import Library
    from mplus_cli.runtime.session import open_memory, open_session
    from mplus_cli.terminal.chat_view import run_chat

    settings = settings_of(context)
    name = settings.memory if memory is None else memory
    stored = open_memory(Library(settings.home), name, note=screen.note)
    with screen.meter() as meter:
        session = open_session(settings, note=screen.note, progress=meter.report, memory=stored)
        opened = answering.load_memory(session, stored)
    run_chat(Conversation(session, opened, strict=settings.strict), settings.home / "history")
