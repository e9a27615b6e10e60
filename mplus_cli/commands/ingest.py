"""`mplus ingest`: documents into a memory."""

from __future__ import annotations

from typing import Annotated

import typer

from mplus_cli.commands.common import JsonOption, MemoryOption, settings_of
from mplus_cli.terminal import screen


def ingest(
    context: typer.Context,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="PDF, EPUB, HTML, Markdown or text files, folders of these, or - for stdin.",
        ),
    ],
    memory: MemoryOption = None,
    title: Annotated[str | None, typer.Option(help="What to call the document.")] = None,
    pages: Annotated[
        str | None, typer.Option(metavar="A-B", help="Only these pages of a PDF.")
    ] = None,
    as_json: JsonOption = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no summary.")] = False,
) -> int:
    """Read documents into a memory; run again, an interrupted run goes on where it was."""
    from mplus_cli.errors import MplusError
    from mplus_cli.ingest.job import Report, ingest, plan
    from mplus_cli.library import Library
    from mplus_cli.library.names import validate_name
    from mplus_cli.runtime.session import open_session
    from mplus_cli.terminal.ingest_view import IngestView

    settings = settings_of(context)
    name = settings.memory if memory is None else memory
    validate_name(name)
    report = Report(name)
    with screen.meter(quiet=quiet) as meter:
        view = IngestView(meter, quiet=quiet)
        planned = plan(sources, title=title, pages=pages, progress=meter.report)
        view.warn(planned.notes)
        if planned.is_hopeless:
            for failure in planned.failures:
                view.show(failure)
                report.add(failure)
        else:
            library = Library(settings.home)
            known = library.open(name) if name in library.names() else None
            session = open_session(settings, note=view.note, progress=meter.report, memory=known)
            stored = library.open_or_create(name, session.identity)
            for event in ingest(session, stored, planned.given, report):
                view.show(event)
    if as_json:
        screen.json_out(report.to_json())
    elif not report.is_hopeless:
        view.summary(report)
    if report.is_hopeless and len(report.failed) == 1:
        raise MplusError(report.failed[0]["error"])
    if report.is_hopeless:
        raise MplusError(f"none of the {len(report.failed)} documents could be read")
    return report.exit_code
