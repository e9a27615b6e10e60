"""`mplus ask`: one question, one answer."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mplus_cli.commands.common import (
    DocumentOption,
    JsonOption,
    MemoryOption,
    begin_to_load,
    memory_to_ask,
    one_of,
    resumable,
    settings_of,
    tell_memory,
)
from mplus_cli.errors import ExitCode, UsageError
from mplus_cli.terminal import capabilities, screen

if TYPE_CHECKING:
    from mplus_cli.asking.question import Question
    from mplus_cli.settings import Settings


def ask(
    context: typer.Context,
    question: Annotated[
        str | None,
        typer.Argument(metavar="QUESTION", help="The question, or - to read it from stdin."),
    ] = None,
    memory: MemoryOption = None,
    document: DocumentOption = None,
    as_json: JsonOption = False,
    as_lines: Annotated[
        bool, typer.Option("--jsonl", help="Print each event as a line of JSON, as it comes.")
    ] = False,
    template: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="Print this Jinja template with the fields of --json, "
            "such as '{{ answer }} ({{ sources[0].document }})'.",
        ),
    ] = None,
    questions: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Ask every question of a JSON Lines file (-: stdin); answers are printed as JSON Lines.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Append the answers to this file; questions that it already answers are skipped.",
        ),
    ] = None,
    sources: Annotated[
        bool,
        typer.Option(
            "--sources/--no-sources", help="Show the passages that the answer is based on."
        ),
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
        float,
        typer.Option(metavar="X", help="Randomness of the answer; 0 gives the likeliest one."),
    ] = 0.0,
    top_p: Annotated[
        float,
        typer.Option(
            metavar="X",
            help="Sample from the likeliest tokens that together have this probability.",
        ),
    ] = 1.0,
    seed: Annotated[int, typer.Option(metavar="S", help="Random seed.")] = 0,
    no_stream: Annotated[
        bool, typer.Option("--no-stream", help="Print the answer only when it is complete.")
    ] = False,
    reread: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Let the model also read the text of the N best chunks; 0: answer from memory alone. "
            "Default: as it was trained.",
        ),
    ] = None,
    quote: Annotated[
        bool,
        typer.Option(
            "--quote/--no-quote",
            help="Quote the answer from the recalled text, or generate it from memory alone.",
        ),
    ] = True,
    strict: Annotated[
        bool | None,
        typer.Option(
            "--strict/--no-strict",
            help="Decline (exit code 5) rather than risk a wrong answer.",
        ),
    ] = None,
    server: Annotated[
        str,
        typer.Option(
            metavar="auto|off", help="auto: let a running `mplus serve` answer, if there is one."
        ),
    ] = "off",
) -> int:
    """Answer a question from a memory."""
    from mplus_cli.asking.events import Event
    from mplus_cli.asking.question import Question, check
    from mplus_cli.asking.template import read_template

    if server not in ("auto", "off"):
        raise UsageError(f"--server is {server}: give auto or off")
    settings = settings_of(context)
    one_of(json=as_json, jsonl=as_lines, template=template is not None, questions=bool(questions))
    if question is None and questions is None:
        raise UsageError("missing argument 'QUESTION' (see mplus ask --help)")
    if output is not None and questions is None:
        raise UsageError("--output is for the answers to --questions: give both")
    fill = None if template is None else read_template(template)
    if question == "-" and capabilities.is_interactive():
        screen.note("type the question, then press Ctrl-D")
    text = sys.stdin.buffer.read().decode("utf-8", "replace") if question == "-" else question
    asked = Question(
        text or "",
        documents=tuple(document or ()),
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_p=top_p,
        seed=seed,
        reread=reread,
        quote=quote,
        strict=settings.strict if strict is None else strict,
    )
    name = memory_to_ask(settings, memory)
    if questions is not None:
        if question is not None:
            raise UsageError("--questions has the questions: leave out the one on the command line")
        return _ask_each(settings, name, questions, asked, output, server=server)
    check(asked)
    if not (as_json or as_lines):  # which say it themselves
        tell_memory(settings, memory, name)
    events: Iterator[Event] | None = None
    if server == "auto":
        from mplus_cli.server.client import ask_running

        events = ask_running(settings, name, asked, note=screen.note, meanwhile=_get_ready)
    if events is None:
        begin_to_load(settings, name)
        from mplus_cli.api import Mplus

        book = Mplus.with_settings(settings, note=screen.note, once=True).memory(name)
        with screen.meter() as meter:
            events = book.load(asked, progress=meter.report).answer(asked)
    from mplus_cli.terminal import answer_view

    if as_lines:
        final = answer_view.show_events(events)
    elif fill is not None:
        final = answer_view.show_filled(events, fill)
    else:
        shows = sources and not screen.is_quiet()
        final = answer_view.show_answer(
            events, as_json=as_json, sources=shows, whole=full_sources, stream=not no_stream
        )
    if final is not None:
        from mplus_cli.history.record import Record
        from mplus_cli.history.store import History

        answer_view.show_usage(final)
        Record(History(settings.home), "ask", settings.history, screen.warning).add(final.to_json())
    return ExitCode.REFUSED if asked.strict and final and final.refused else ExitCode.DONE


def _get_ready() -> None:
    """Import what shows an answer, while a server thinks."""
    from importlib import import_module

    for module in ("history.record", "terminal.answer_view"):
        import_module(f"mplus_cli.{module}")
    screen.get_ready()


def _ask_each(
    settings: Settings,
    name: str,
    questions: str,
    like: Question,
    output: Path | None,
    *,
    server: str,
) -> int:
    from mplus_cli.api import Mplus, silent
    from mplus_cli.asking import batch
    from mplus_cli.asking.events import Answer
    from mplus_cli.asking.question import check_options
    from mplus_cli.runtime.session import open_memory
    from mplus_cli.server.client import ask_running
    from mplus_cli.terminal.batch_view import show_batch

    check_options(like)
    library = Mplus.with_settings(settings, note=screen.note)
    book = library.memory(name)
    open_memory(
        library.library, name, note=screen.note
    )  # its notes are shown once, not per question
    kept = None if output is None else batch.open_output(output)
    tally = batch.Tally()
    with batch.opened(questions, sys.stdin.buffer) as lines, screen.meter() as meter:

        def answer(question: Question) -> Answer:
            if server == "auto":
                events = ask_running(settings, name, question, note=silent)
                if events is not None:
                    return next(event for event in events if isinstance(event, Answer))
            return book.load(question, progress=meter.report, note=silent).ask(question)

        def told() -> str:
            if output is None or not tally.answered:
                return ""
            return f"what was answered is in {output}; run the same command again to continue"

        wanted = batch.read_questions(lines, questions, like)
        with resumable(meter, told):
            show_batch(batch.ask_each(wanted, answer, kept, name, tally), kept, tally, meter)
    return tally.exit_code
