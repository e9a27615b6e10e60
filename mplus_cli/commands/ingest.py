"""`mplus ingest`: documents into a memory, or each into one of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from mplus_cli.commands import preview
from mplus_cli.commands.common import (
    JsonOption,
    one_of,
    resumable,
    settings_of,
)
from mplus_cli.errors import ExitCode
from mplus_cli.terminal import screen

if TYPE_CHECKING:
    from mplus_cli.api.handles import MemoryHandle
    from mplus_cli.documents import Source
    from mplus_cli.ingest.job import Report
    from mplus_cli.settings import Settings
    from mplus_cli.terminal.ingest_view import IngestView
    from mplus_cli.terminal.meter import Meter


def ingest(
    context: typer.Context,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="PDF, EPUB, DOCX, ODT, HTML, Markdown, text and other files, folders, or - for stdin.",
        ),
    ],
    memory: Annotated[
        str | None,
        typer.Option(
            "--memory", "-m", metavar="NAME", help="Which memory. Default: the one called default."
        ),
    ] = None,
    title: Annotated[
        str | None, typer.Option(metavar="TITLE", help="What to call the document.")
    ] = None,
    pages: Annotated[
        str | None, typer.Option(metavar="A-B", help="Only these pages of a PDF.")
    ] = None,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace",
            help="Replace the earlier versions of documents that changed.",
        ),
    ] = False,
    ocr: Annotated[
        bool,
        typer.Option(
            "--ocr", help="Read scanned pages of a PDF by OCR (Latin, Greek, Chinese, Japanese)."
        ),
    ] = False,
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
            help="As --workers, on a Ray cluster; local starts one on this machine.",
            show_default=False,
        ),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Keep reading what is added to these folders, until Ctrl-C."),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Show what would be read and how long it would take, without reading it.",
        ),
    ] = False,
    text: Annotated[
        bool,
        typer.Option(
            "--text", help="Print the text that the model would read, without reading it."
        ),
    ] = False,
    as_json: JsonOption = False,
    as_lines: Annotated[
        bool, typer.Option("--jsonl", help="Print each event as a line of JSON, as it comes.")
    ] = False,
) -> int:
    """Read documents into a memory. Run the same command again to resume an interrupted run."""
    from mplus_cli.errors import UsageError
    from mplus_cli.ingest.job import plan

    settings = settings_of(context)
    one_of(json=as_json, jsonl=as_lines)
    is_shelf = workers is not None or ray is not None
    is_other = dry_run or text or is_shelf
    if as_lines and is_other:
        raise UsageError(
            "--jsonl shows one reading as it goes: leave out --dry-run, --text, --workers and --ray"
        )
    if watch and is_other:
        raise UsageError(
            "--watch reads documents: leave out --dry-run, --text, --workers and --ray"
        )
    if watch and (as_json or "-" in sources or (title, pages) != (None, None)):
        raise UsageError("--watch is for folders: leave out --json, --title, --pages and -")
    if dry_run or text:
        if (dry_run and text) or (text and as_json):
            raise UsageError(
                "--text writes text, and --dry-run or --json a report: give one of them"
            )
        if is_shelf:
            raise UsageError("--dry-run and --text read nothing: leave out --workers and --ray")
        show = preview.show_text if text else preview.show_table
        with screen.meter() as meter:
            planned = plan(sources, title=title, pages=pages, ocr=ocr, progress=meter.report)
            return show(settings, planned, meter, as_json=as_json)
    if is_shelf:
        if replace or any(value is not None for value in (memory, title, pages)):
            raise UsageError(
                "-m, --title, --pages and --replace are for one memory: leave out --workers and --ray"
            )
        return _read_shelf(settings, sources, workers, ray, ocr=ocr, as_json=as_json)
    asked = _Asked(memory, title, pages, ocr, replace, watch, as_json, as_lines)
    if watch:
        return _watch(settings, sources, asked)
    return _read_all(settings, sources, asked)


@dataclass(frozen=True)
class _Asked:
    """How documents are to be read into a memory, and shown."""

    memory: str | None
    title: str | None
    pages: str | None
    ocr: bool
    replace: bool
    watch: bool
    as_json: bool
    as_lines: bool


def _read_all(settings: Settings, sources: Sequence[str], asked: _Asked) -> int:
    with screen.meter() as meter:
        view, book = _opened(settings, asked, meter)
        report = _read(book, sources, asked, view, meter)
    if asked.as_json:
        screen.json_out(report.to_json())
    return preview.end([document["error"] for document in report.documents])


def _watch(settings: Settings, folders: Sequence[str], asked: _Asked) -> int:
    """Read what is in folders and what comes into them, until Ctrl-C."""
    from mplus_cli.documents.watching import Watch
    from mplus_cli.ingest.watching import NotRead, check_folders, watch
    from mplus_cli.library import Library

    check_folders(folders)
    with screen.meter() as meter:
        view, book = _opened(settings, asked, meter)

        def read(found: Sequence[Source]) -> str | None:
            report = _read(book, found, asked, view, meter)
            # Of several it was said already.
            alone = report.is_hopeless and len(report.documents) == 1
            return str(report.failed[0]["error"]) if alone else None

        locks = Library(settings.home).locks
        watched = Watch(folders, note=lambda line: view.warn([line]))
        for event in watch(watched, read, lambda: not locks.is_held(book.name)):
            if isinstance(event, NotRead):
                view.fail(event.error)
            else:
                view.note(
                    f'watching: new files are read into memory "{book.name}" (Ctrl-C stops it)'
                )
    return ExitCode.DONE


def _opened(settings: Settings, asked: _Asked, meter: Meter) -> tuple[IngestView, MemoryHandle]:
    from functools import partial

    from mplus_cli.api import Mplus
    from mplus_cli.library import mounts
    from mplus_cli.runtime.tokenizing import reading_pace
    from mplus_cli.terminal.ingest_view import IngestView

    view = IngestView(meter, title=asked.title, pace=partial(reading_pace, settings))
    book = Mplus.with_settings(settings, note=view.note).memory(asked.memory)
    view.warn(mounts.warnings(settings.home))
    return view, book


def _read(
    book: MemoryHandle,
    given: Sequence[str | Source],
    asked: _Asked,
    view: IngestView,
    meter: Meter,
) -> Report:
    """Read documents into a memory, and show it."""
    from mplus_cli.ingest.job import Report
    from mplus_cli.terminal.ingest_view import show_event, show_report

    planned = book.plan(
        *given, title=asked.title, pages=asked.pages, ocr=asked.ocr, progress=meter.report
    )
    view.warn(planned.notes)
    report = Report(book.name)
    asks = view.keeps_both if asked.watch else view.asks_to_replace
    events = book.reading(
        planned,
        report,
        replaces=lambda found: asked.replace or asks(found),
        progress=meter.report,
    )
    with resumable(meter, view.kept):
        for event in events:
            if asked.as_lines:
                show_event(event)
            else:
                view.show(event)
    if asked.as_lines:
        show_report(report)
    elif not asked.as_json and not report.is_hopeless:
        view.summary(report)
    return report


def _read_shelf(
    settings: Settings,
    arguments: Sequence[str],
    workers: int | None,
    address: str | None,
    *,
    ocr: bool,
    as_json: bool,
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
    books = shelf.name_memories(arguments, screen.warning)
    report = shelf.ShelfReport()
    with screen.meter() as meter:
        view = ShelfView(meter, len(books))
        with resumable(meter, view.kept):
            for event in shelf.read_shelf(books, settings, engine, ocr=ocr):
                report.add(event)
                view.show(event)
    if as_json:
        screen.json_out(report.to_json())
    return report.exit_code
