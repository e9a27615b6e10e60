"""`mplus chat`: a conversation with a memory."""

from __future__ import annotations

from typing import Annotated

import typer

from mplus_cli.commands.common import (
    MemoryOption,
    begin_to_load,
    memory_to_ask,
    settings_of,
    tell_memory,
)
from mplus_cli.errors import ExitCode, UsageError
from mplus_cli.terminal import capabilities, screen


def chat(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="The memory; -m NAME means the same.")
    ] = None,
    memory: MemoryOption = None,
    goes_on: Annotated[
        bool, typer.Option("--continue", "-c", help="Continue the last conversation.")
    ] = False,
) -> int:
    """Ask a memory questions one after the other; /help lists the commands.

    Without a terminal, each line of standard input is a question; the exit code is 1 if one failed.
    """
    from mplus_cli.history.store import History, latest_chat

    if name is not None and memory is not None:
        raise UsageError(f"both {name} and -m {memory} name a memory: give one of them")
    memory = memory if name is None else name
    settings = settings_of(context)
    history = History(settings.home)
    kept = latest_chat(history, memory) if goes_on else None
    wanted = kept.memory if kept is not None else memory
    begin_to_load(settings, memory_to_ask(settings, wanted))
    from mplus_cli.api import Mplus
    from mplus_cli.asking.conversation import Conversation
    from mplus_cli.asking.open_memory import check_readers
    from mplus_cli.history.record import Record
    from mplus_cli.terminal.chat_view import run_chat

    book = Mplus.with_settings(settings, note=screen.note).memory(wanted)
    with screen.meter() as meter:
        loaded = book.load(progress=meter.report)
    check_readers(loaded.session, loaded.opened)
    if kept is None and not capabilities.is_conversation():  # which begins by saying so
        tell_memory(settings, memory, loaded.opened.stored.name)
    record = Record(history, "chat", settings.history, screen.warning)
    conversation = Conversation(
        loaded.session, loaded.opened, strict=settings.strict, record=record
    )
    if kept is not None:
        conversation.resume(str(kept.id))
    sound = run_chat(conversation, settings.home / "history" if settings.history else None)
    return ExitCode.DONE if sound else ExitCode.FAILED
