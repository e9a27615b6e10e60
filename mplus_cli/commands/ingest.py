"""`mplus ingest`: documents into a memory, or each into one of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from mplus_cli.commands.common import JsonOption, MemoryOption, settings_of
from mplus_cli.terminal import screen

if TYPE_CHECKING:
    from mplus_cli.settings import Settings


def ingest(
    context: typer.Context,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="PDF, EPUB, FB2, HTML, Markdown, CSV or text files, folders of these, or - for stdin.",
        ),
    ],
    memory: MemoryOption = None,
    title: Annotated[
        str | None, typer.Option(metavar="TITLE", help="What to call the document.")
    ] = None,
    pages: Annotated[
        str | None, typer.Option(metavar="A-B", help="Only these pages of a PDF.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Read N books at a time, each into a memory named after its file.",
            show_default=False,
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="The same on a Ray cluster; local starts one on this machine.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no summary.")] = False,
) -> int:
    """Read documents into a memory. An interrupted run resumes when the same command runs again."""
    from mplus_cli.errors import UsageError
    from mplus_cli.ingest.job import Report, plan, run
    from mplus_cli.library.names import validate_name
    from mplus_cli.terminal.ingest_view import IngestView

    settings = settings_of(context)
    if workers is not None or ray is not None:
        if memory is not None or title is not None or pages is not None:
            raise UsageError(
                "-m, --title and --pages are for one memory: leave out --workers and --ray"
            )
        return _read_shelf(settings, sources, workers, ray, as_json=as_json, quiet=quiet)
    name = settings.memory if memory is None else memory
    validate_name(name)
    report = Report(name)
    with screen.meter(quiet=quiet) as meter:
        view = IngestView(meter, quiet=quiet, title=title)
        planned = plan(sources, title=title, pages=pages, progress=meter.report)
        view.warn(planned.notes)
        for event in run(settings, planned, report, note=view.note, progress=meter.report):
            view.show(event)
    if as_json:
        screen.json_out(report.to_json())
    elif not report.is_hopeless:
        view.summary(report)
    if report.is_hopeless:
        alone = len(report.failed) == 1
        screen.error(
            report.failed[0]["error"]
            if alone
            else f"none of the {len(report.failed)} documents could be read"
        )
    return report.exit_code


def _read_shelf(
    settings: Settings,
    arguments: Sequence[str],
    workers: int | None,
    address: str | None,
    *,
    as_json: bool,
    quiet: bool,
) -> int:
    from mplus_cli.errors import UsageError
    from mplus_cli.ingest import engines, shelf
    from mplus_cli.terminal.ingest_view import ShelfView

    if workers is not None and address is not None:
        raise UsageError("--workers is for this machine and --ray for a cluster: give one of them")
    engine = (
        engines.LocalProcesses(1 if workers is None else workers)
        if address is None
        else engines.RayCluster(address)
    )
    books = shelf.name_memories(arguments, screen.warning if not quiet else lambda _: None)
    report = shelf.ShelfReport()
    with screen.meter(quiet=quiet) as meter:
        view = ShelfView(meter, len(books), quiet=quiet)
        for event in shelf.read_shelf(books, settings, engine):
            report.add(event)
            view.show(event)
    if as_json:
        screen.json_out(report.to_json())
    return report.exit_code
