"""What `mplus ingest` does: sources found, documents read into a memory, and the report of it.

Yields the events of `mplus_cli.ingest.pipeline` and prints nothing. Knows no screen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mplus_cli.documents import (
    Document,
    DocumentError,
    PageRange,
    Source,
    find_sources,
    read_document,
)
from mplus_cli.errors import ExitCode, UsageError
from mplus_cli.ingest.pipeline import (
    DocumentFailed,
    DocumentFinished,
    Event,
    Given,
    read_documents,
)
from mplus_cli.ingest.prefetch import is_ahead
from mplus_cli.library import Library, StoredMemory
from mplus_cli.runtime.session import Session

SessionFor = Callable[[StoredMemory | None], Session]
"""Gives the model that is to write a memory; None: a memory that is new."""


@dataclass(slots=True)
class Report:
    """What came of it: the object of `mplus ingest --json`."""

    memory: str
    documents: list[dict[str, Any]] = field(default_factory=list)
    tokens: int = 0
    """Text tokens in the memory by then, as in `mplus memory show`; so the next two."""
    stm_tokens: int = 0
    ltm_tokens: int = 0
    seconds: float = 0.0

    @property
    def failed(self) -> list[dict[str, Any]]:
        return [document for document in self.documents if document["status"] == "failed"]

    @property
    def exit_code(self) -> ExitCode:
        """Whether all documents are in memory, some, or none."""
        if not self.failed:
            return ExitCode.DONE
        return ExitCode.FAILED if self.is_hopeless else ExitCode.PARTIAL

    @property
    def is_hopeless(self) -> bool:
        """Whether no document could be read."""
        return len(self.failed) == len(self.documents)

    def add(self, event: DocumentFinished | DocumentFailed) -> None:
        """Enter a document."""
        self.documents.append(document_json(event))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be read, found and the first readable one of it read already."""

    given: tuple[Given, ...]
    failures: tuple[DocumentFailed, ...]
    """Those before the first that can be read; all of them if none can."""
    notes: tuple[str, ...] = ()
    """Lines about what folders have besides."""

    @property
    def is_hopeless(self) -> bool:
        return len(self.failures) == len(self.given)


def plan(
    arguments: Sequence[str | Source],
    *,
    title: str | None = None,
    pages: str | None = None,
    progress: Callable[[str, int, int | None], None],
) -> Plan:
    """Find the sources, and read up to the first that can be read: before a model is loaded.

    Args:
        arguments: files, folders or "-" as the command line has them, or sources that were found.

    Raises:
        UsageError: `title` with several sources, or a page range that is none.
    """
    try:
        selected = PageRange.parse(pages) if pages is not None else None
    except DocumentError as error:
        raise UsageError(str(error)) from error
    notes: list[str] = []
    found = list(find_each(arguments, notes.append))
    if title is not None and len(found) > 1:
        raise UsageError(f"--title names one document, but {len(found)} are given: leave it out")

    def load(source: Source) -> Document:
        def report(done: int, total: int | None) -> None:
            if not is_ahead():  # then the screen shows what is being read meanwhile
                progress(f"opening {source.label}", done, total)

        report(0, None)
        return read_document(source, pages=selected, title=title, progress=report)

    loaders: list[Given] = []
    failures: list[DocumentFailed] = []
    opened = False
    for index, (source, problem) in enumerate(found):
        loader = _failing(problem) if problem else _later(load, source)
        if not opened:
            try:
                loader = _known(loader())
                opened = True
            except DocumentError as failure:
                loader = _failing(failure)
                failures.append(DocumentFailed(index, len(found), source.name, str(failure)))
        loaders.append((source, loader))
    return Plan(tuple(loaders), tuple(failures), tuple(notes))


def run(
    library: Library, session_for: SessionFor, planned: Plan, report: Report
) -> Iterator[Event]:
    """Read what was planned into the memory that `report` names, which is made if there is none. No
    model is asked for where no document can be read.

    Raises:
        MplusError: as `session_for` and `ingest` do.
        MismatchError: another model wrote the memory.
    """
    if planned.is_hopeless:
        for failure in planned.failures:
            report.add(failure)
            yield failure
        return
    name = report.memory
    session = session_for(library.open(name) if name in library.names() else None)
    stored = library.open_or_create(name, session.identity)
    yield from ingest(session, stored, planned.given, report)


def ingest(
    session: Session, stored: StoredMemory, given: Sequence[Given], report: Report
) -> Iterator[Event]:
    """Read documents into a memory; `report` is filled as events pass, and complete at the end.

    Raises:
        MplusError: the memory is being written, is damaged, or the disk is full.
    """
    session.check_dtype(stored)
    started = time.perf_counter()
    try:
        for event in read_documents(
            stored,
            session.model,
            given,
            session.plain_tokenizer,
            start=session.loaded.initial_memory,
        ):
            if isinstance(event, DocumentFinished | DocumentFailed):
                report.add(event)
            yield event
    finally:
        summary = stored.summary()
        report.tokens = summary.tokens
        report.stm_tokens, report.ltm_tokens = summary.stm_tokens, summary.ltm_tokens
        report.seconds = round(time.perf_counter() - started, 3)


def document_json(event: DocumentFinished | DocumentFailed) -> dict[str, Any]:
    """A document's entry in the report."""
    if isinstance(event, DocumentFailed):
        return {
            "path": event.path,
            "title": None,
            "sha256": None,
            "pages": None,
            "tokens": 0,
            "chunks": 0,
            "status": "failed",
            "error": event.error,
        }
    return {
        "path": event.path,
        "title": event.title,
        "sha256": event.sha256,
        "pages": event.pages,
        "tokens": event.tokens,
        "chunks": event.chunks,
        "status": event.status,
        "error": None,
    }


def find_each(
    arguments: Sequence[str | Source], note: Callable[[str], None]
) -> Iterator[tuple[Source, DocumentError | None]]:
    """The sources of all arguments, each file once; an argument that cannot be found stands for itself,
    with what is wrong with it. `note` is told what folders hold besides."""
    seen: set[Path | None] = set()
    for argument in arguments:
        try:
            sources = [argument] if isinstance(argument, Source) else find_sources([argument], note)
        except DocumentError as error:
            name = str(argument)
            yield Source(Path(name.replace("\0", "?")), name), error
            continue
        for source in sources:
            identity = source.path.resolve() if source.path is not None else None
            if identity not in seen:
                seen.add(identity)
                yield source, None


def _later(load: Callable[[Source], Document], source: Source) -> Callable[[], Document]:
    return lambda: load(source)


def _known(document: Document) -> Callable[[], Document]:
    return lambda: document


def _failing(error: DocumentError) -> Callable[[], Document]:
    def fail() -> Document:
        raise error

    return fail
