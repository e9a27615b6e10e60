"""`mplus find`: the passages of a memory that fit some words, without an answer."""

from __future__ import annotations

from typing import Annotated

import typer

from mplus_cli.commands.common import (
    DocumentOption,
    MemoryOption,
    begin_to_load,
    memory_to_ask,
    one_of,
    settings_of,
    tell_memory,
)
from mplus_cli.errors import ExitCode, UsageError
from mplus_cli.terminal import screen


def find(
    context: typer.Context,
    words: Annotated[str, typer.Argument(metavar="WORDS", help="Some words, or a question.")],
    memory: MemoryOption = None,
    count: Annotated[
        int, typer.Option("-n", "--count", metavar="N", help="Show at most N passages, up to 100.")
    ] = 5,
    document: DocumentOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
    as_lines: Annotated[
        bool, typer.Option("--jsonl", help="Print one JSON object per line.")
    ] = False,
) -> None:
    """Find passages in a memory, the best first. Exit code 1 if nothing fits."""
    from mplus_cli.asking.question import Question, check

    if not words.strip():
        raise UsageError('there are no words to look for: for example: mplus find "a locket"')
    one_of(json=as_json, jsonl=as_lines)
    asked = Question(words, documents=tuple(document or ()))
    check(asked)
    settings = settings_of(context)
    name = memory_to_ask(settings, memory)
    begin_to_load(settings, name)
    from mplus_cli.api import Mplus
    from mplus_cli.asking.finding import passages_json
    from mplus_cli.terminal.hits_view import show_hits

    tell_memory(settings, memory, name)
    book = Mplus.with_settings(settings, note=screen.note, once=True).memory(name)
    notes: list[str] = []
    with screen.meter() as meter:
        found = book.load(asked, progress=meter.report).find(asked, count, notes.append)
    for note in notes:
        screen.note(note)
    if as_json:
        screen.json_out(passages_json(found, notes))
    elif as_lines:
        for passage in passages_json(found, notes):
            screen.json_line(passage)
    elif found:
        show_hits(found, words)
    else:
        screen.note("Nothing close to this was found.")
    if not found:
        raise typer.Exit(ExitCode.FAILED)
