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
            help="PDF, EPUB, DOCX, ODT, HTML, Markdown, text and other files, folders, or - for stdin.",
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
) -> int:
    """Read documents into a memory. An interrupted run resumes when the same command runs again."""
    from mplus_cli.api import Mplus
    from mplus_cli.errors import UsageError
    from mplus_cli.ingest.job import Report
    from mplus_cli.terminal.ingest_view import IngestView

    settings = settings_of(context)
    if workers is not None or ray is not None:
        if memory is not None or title is not None or pages is not None:
            raise UsageError(
                "-m, --title and --pages are for one memory: leave out --workers and --ray"
            )
        return _read_shelf(settings, sources, workers, ray, as_json=as_json)
    with screen.meter() as meter:
        view = IngestView(meter, title=title)
        book = Mplus.with_settings(settings, note=view.note).memory(memory)
        report = Report(book.name)
        planned = book.plan(*sources, title=title, pages=pages, progress=meter.report)
        view.warn(planned.notes)
        for event in book.reading(planned, report, progress=meter.report):
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
) -> int:
    from mplus_cli.errors import UsageError
    from mplus_cli.ingest import shelf
    from mplus_cli.terminal.ingest_view import ShelfView

    if workers is not None and address is not None:
        raise UsageError("--workers is for this machine and --ray for a cluster: give one of them")
    engine = (
        shelf.LocalProcesses(1 if workers is None else workers)
        if address is None
        else shelf.RayCluster(address)
    )
    books = shelf.name_memories(
        arguments, (lambda _: None) if screen.is_quiet() else screen.warning
    )
    report = shelf.ShelfReport()
    with screen.meter() as meter:
        view = ShelfView(meter, len(books))
        for event in shelf.read_shelf(books, settings, engine):
            report.add(event)
            view.show(event)
    if as_json:
        screen.json_out(report.to_json())
    return report.exit_code
