"""`mplus log`: what was asked and answered."""

from __future__ import annotations

from typing import Annotated

import typer

from mplus_cli.commands.common import JsonOption, agreed, settings_of
from mplus_cli.errors import ExitCode, UsageError
from mplus_cli.terminal import screen


def log(
    context: typer.Context,
    conversation: Annotated[
        str | None,
        typer.Argument(
            metavar="NUMBER|NAME", help="Show this conversation. Default: list the latest."
        ),
    ] = None,
    search: Annotated[
        str,
        typer.Option(
            metavar="WORDS",
            help="Only conversations with all these words in questions, answers or passages.",
        ),
    ] = "",
    memory: Annotated[
        str | None,
        typer.Option("--memory", "-m", metavar="NAME", help="Only those of this memory."),
    ] = None,
    count: Annotated[int, typer.Option("-n", "--count", metavar="N", help="List at most N.")] = 20,
    delete: Annotated[
        bool,
        typer.Option(
            "--delete",
            help="Delete this conversation, or every one (all instead of NUMBER); asks first.",
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    as_json: JsonOption = False,
) -> int:
    """List, search, show and delete the questions and answers that are kept on this machine."""
    from mplus_cli.history.store import ALL, History
    from mplus_cli.terminal.history_view import listed_table, show_conversation

    history = History(settings_of(context).home)
    if delete:
        if conversation is None:
            raise UsageError("--delete needs the number of a conversation, or all")
        if search or memory is not None:
            raise UsageError("--delete deletes what is named: leave out --search and --memory")
        wanted = None if conversation == ALL else [history.find(conversation)[0].id]
        named = "all conversations" if wanted is None else f"conversation {wanted[0]}"
        asked = f"Delete {named} from {history.path}?"
        if not agreed(asked, "nothing is deleted", yes=yes):
            if as_json:
                screen.json_out({"removed": 0})
            screen.note("nothing is deleted")
            return ExitCode.FAILED
        removed = history.remove(wanted)
        if as_json:
            screen.json_out({"removed": removed})
        screen.note(f"{removed:,} removed from {history.path}")
        return ExitCode.DONE
    if conversation is not None:
        kept, turns = history.find(conversation)
        if as_json:
            told = [{"at": turn.at, **turn.details} for turn in turns]
            screen.json_out({**kept.to_json(), "turns": told})
        else:
            show_conversation(kept, turns)
        return ExitCode.DONE
    if count < 1:
        raise UsageError(f"-n is {count}: give 1 or more")
    found = history.listed(count, memory=memory, words=search)
    if as_json:
        screen.json_out({"conversations": [kept.to_json() for kept in found]})
    elif found:
        screen.show(listed_table(found, screen.width()))
    else:
        filtered = bool(search) or memory is not None
        screen.note("no conversation matches" if filtered else "nothing has been asked yet")
    return ExitCode.DONE
