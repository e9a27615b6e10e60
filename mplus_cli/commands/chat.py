"""`mplus chat`: a conversation with a memory."""

from __future__ import annotations

import typer

from mplus_cli.commands.common import MemoryOption, settings_of
from mplus_cli.terminal import screen


def chat(context: typer.Context, memory: MemoryOption = None) -> None:
    """Ask a memory questions one after the other; /help lists the commands.

    Without a terminal, each line of standard input is a question.
    """
    from mplus_cli.api import Mplus
    from mplus_cli.asking.conversation import Conversation
    from mplus_cli.terminal.chat_view import run_chat

    settings = settings_of(context)
    book = Mplus.with_settings(settings, note=screen.note).memory(memory)
    with screen.meter() as meter:
        loaded = book.load(progress=meter.report)
    conversation = Conversation(loaded.session, loaded.opened, strict=settings.strict)
    run_chat(conversation, settings.home / "history")
