"""`mplus ask`: one question, one answer."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from mplus_cli.commands.common import DocumentOption, JsonOption, MemoryOption, settings_of
from mplus_cli.errors import ExitCode, UsageError
from mplus_cli.terminal import screen


def ask(
    context: typer.Context,
    question: Annotated[
        str, typer.Argument(metavar="QUESTION", help="The question, or - to read it from stdin.")
    ],
    memory: MemoryOption = None,
    document: DocumentOption = None,
    as_json: JsonOption = False,
    sources: Annotated[
        bool,
        typer.Option("--sources/--no-sources", help="Show the passages the answer rests on."),
    ] = True,
    full_sources: Annotated[
        bool,
        typer.Option("--full-sources", help="Show whole passages; --sources full means the same."),
    ] = False,
    max_new_tokens: Annotated[
        int | None,
        typer.Option(metavar="N", help="Longest answer, in tokens. Default: what fits, up to 256."),
    ] = None,
    temperature: Annotated[
        float, typer.Option(metavar="X", help="Randomness of the answer; 0 is the likeliest.")
    ] = 0.0,
    top_p: Annotated[
        float,
        typer.Option(
            metavar="X",
            help="Sample from the likeliest tokens that together have this probability.",
        ),
    ] = 1.0,
    seed: Annotated[int, typer.Option(metavar="S", help="Seed of the random draw.")] = 0,
    no_stream: Annotated[
        bool, typer.Option("--no-stream", help="Print the answer when it is complete.")
    ] = False,
    reread: Annotated[
        int, typer.Option(metavar="N", help="Show the model the text of the N best chunks.")
    ] = 0,
    quote: Annotated[
        bool,
        typer.Option(
            "--quote/--no-quote",
            help="Take the answer from the text that is recalled, or from memory alone.",
        ),
    ] = True,
    strict: Annotated[
        bool | None,
        typer.Option(
            "--strict/--no-strict",
            help="Decline (exit code 5) rather than risk a wrong answer; never says yes or no.",
        ),
    ] = None,
    server: Annotated[
        str,
        typer.Option(
            metavar="auto|off", help="With auto, ask the `mplus serve` that runs, if any."
        ),
    ] = "off",
) -> None:
    """Answer a question from a memory."""
    from mplus_cli.asking.events import Event, Question, check
    from mplus_cli.terminal.answer_view import show_answer

    if server not in ("auto", "off"):
        raise UsageError(f"--server is {server}: give auto or off")
    settings = settings_of(context)
    text = sys.stdin.buffer.read().decode("utf-8", "replace") if question == "-" else question
    asked = Question(
        text,
        documents=tuple(document or ()),
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_p=top_p,
        seed=seed,
        reread=reread,
        quote=quote,
        strict=settings.strict if strict is None else strict,
    )
    check(asked)
    name = settings.memory if memory is None else memory
    events: Iterator[Event] | None = None
    if server == "auto":
        from mplus_cli.server.client import ask_running

        events = ask_running(settings, name, asked, note=screen.note)
    if events is None:
        from mplus_cli.api import Mplus

        book = Mplus.with_settings(settings, note=screen.note).memory(name)
        with screen.meter() as meter:
            events = book.load(asked, progress=meter.report).answer(asked)
    final = show_answer(
        events, as_json=as_json, sources=sources, whole=full_sources, stream=not no_stream
    )
    if asked.strict and final is not None and final.refused:
        raise typer.Exit(ExitCode.REFUSED)
