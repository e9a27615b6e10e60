"""`mplus find`: the passages of a memory that fit some words, without an answer."""

from __future__ import annotations

from typing import Annotated

import typer

from mplus_cli.commands.common import DocumentOption, MemoryOption, one_of, settings_of
from mplus_cli.errors import ExitCode
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
    from mplus_cli.asking import answering, finding
    from mplus_cli.asking.events import Question, check
    from mplus_cli.asking.scope import chunks_outside
    from mplus_cli.library import Library
    from mplus_cli.runtime.session import open_memory, open_session
    from mplus_cli.terminal.answer_view import show_found

    one_of(json=as_json, jsonl=as_lines)
    settings = settings_of(context)
    asked = Question(words, documents=tuple(document or ()))
    check(asked)
    stored = open_memory(Library(settings.home), settings.memory if memory is None else memory)
    chunks_outside(stored, asked.documents, 0)  # before a model is loaded
    with screen.meter() as meter:
        session = open_session(settings, note=screen.note, progress=meter.report, memory=stored)
        found = finding.find(session, answering.load_memory(session, stored), asked, count)
    if as_json:
        screen.json_out([source.to_json() for source in found])
    elif as_lines:
        for source in found:
            screen.json_line(source.to_json())
    else:
        show_found(found)
    if not found:
        raise typer.Exit(ExitCode.FAILED)
