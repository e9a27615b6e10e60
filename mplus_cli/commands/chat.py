"""`mplus chat`: a conversation with a memory."""

from __future__ import annotations

from typing import Annotated

import typer

from mplus_cli.commands.common import MemoryOption, settings_of
from mplus_cli.terminal import screen


def chat(
    context: typer.Context,
    memory: MemoryOption = None,
    goes_on: Annotated[
        bool, typer.Option("--continue", "-c", help="Go on with the last conversation.")
    ] = False,
) -> None:
    """Ask a memory questions one after the other; /help lists the commands.

    Without a terminal, each line of standard input is a question.
    """
    from mplus_cli.asking import answering
    from mplus_cli.asking.conversation import Conversation
    from mplus_cli.history.record import Record
    from mplus_cli.history.store import History, latest_chat
    from mplus_cli.library import Library
    from mplus_cli.runtime.session import open_memory, open_session
    from mplus_cli.terminal.chat_view import run_chat

    settings = settings_of(context)
    history = History(settings.home)
    kept = latest_chat(history, memory) if goes_on else None
    name = (kept.memory if kept else settings.memory) if memory is None else memory
    stored = open_memory(Library(settings.home), name, note=screen.note)
    with screen.meter() as meter:
        session = open_session(settings, note=screen.note, progress=meter.report, memory=stored)
        opened = answering.load_memory(session, stored)
    record = Record(history, "chat", settings.history, screen.warning)
    conversation = Conversation(session, opened, strict=settings.strict, record=record)
    if kept is not None:
        conversation.resume(str(kept.id))
    run_chat(conversation, settings.home / "history" if settings.history else None)
