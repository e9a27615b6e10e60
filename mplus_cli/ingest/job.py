"""The work of `mplus ingest`: finds sources, reads documents into a memory, and reports on it.

Yields the events of `mplus_cli.ingest.events` and prints nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from mplus_cli.documents import (
    Document,
    DocumentError,
    PageRange,
    Source,
    find_sources,
    read_document,
    recognition,
)
from mplus_cli.errors import ExitCode, MplusError, UsageError, partial
from mplus_cli.ingest.changed import Loader, Replacement, find_replacement
from mplus_cli.ingest.events import DocumentFailed, DocumentFinished, Event
from mplus_cli.ingest.pipeline import Openable, read_documents
from mplus_cli.ingest.prefetch import is_ahead
from mplus_cli.ingest.rebuilding import readable, replace_documents
from mplus_cli.library import Library, MemorySummary, StoredMemory
from mplus_cli.library.rewinding import can_rewind
from mplus_cli.runtime.session import Session

SessionFor = Callable[[StoredMemory | None], Session]
"""Returns the model that is to write a memory; None stands for a new memory."""


@dataclass(slots=True)
class Report:
    """The result: the object of `mplus ingest --json`."""

    memory: str
    documents: list[dict[str, Any]] = field(default_factory=list)
    tokens: int = 0
    """Text tokens in the memory afterwards, as in `mplus memory show`; the next two likewise."""
    stm_tokens: int = 0
    ltm_tokens: int = 0
    seconds: float = 0.0

    @property
    def failed(self) -> list[dict[str, Any]]:
        """The documents that could not be read."""
        return [document for document in self.documents if document["status"] == "failed"]

    @property
    def exit_code(self) -> ExitCode:
        """Whether all documents are in memory, some, or none."""
        return partial(len(self.documents), len(self.failed))

    @property
    def is_hopeless(self) -> bool:
        """Whether no document could be read."""
        return len(self.failed) == len(self.documents)

    def add(self, event: DocumentFinished | DocumentFailed) -> None:
        """Add a document."""
        self.documents.append(document_json(event))

    def complete(self, summary: MemorySummary, seconds: float) -> None:
        """Fill in what the memory holds after a reading that took so long."""
        self.tokens = summary.tokens
        self.stm_tokens, self.ltm_tokens = summary.stm_tokens, summary.ltm_tokens
        self.seconds = round(self.seconds + seconds, 3)

    def to_json(self) -> dict[str, Any]:
        """The object of `mplus ingest --json`."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Plan:
    """The documents to read; the first that can be read is open already."""

    given: tuple[Loader, ...]
    failures: tuple[DocumentFailed, ...]
    """The documents before the first that can be read; all of them if none can."""
    notes: tuple[str, ...] = ()
    """Lines about what else folders hold."""
    selects: bool = False
    """Whether only some pages are read: other pages are no other version of a document."""
    ocr: bool = False
    """Whether scanned pages are recognised."""

    @property
    def is_hopeless(self) -> bool:
        """Whether no document can be read."""
        return len(self.failures) == len(self.given)


def check_ocr(wanted: bool) -> None:
    """Check that OCR is there if it is wanted; MplusError, with how to install it, if not."""
    if wanted and not recognition.is_installed():
        raise MplusError(f"OCR is not installed: install it with: {recognition.INSTALL}")


def plan(
    arguments: Sequence[str | Source],
    *,
    title: str | None = None,
    pages: str | None = None,
    ocr: bool = False,
    progress: Callable[[str, int, int | None], None],
) -> Plan:
    """Find the sources, and read up to the first that can be read: before a model is loaded.

    Args:
        arguments: files, folders or "-" as the command line has them, or sources that were found.

    Raises:
        MplusError: `ocr`, and the extra of this name is not installed.
        UsageError: `title` with several sources, or a page range that is none.
    """
    check_ocr(ocr)
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
            if not is_ahead():  # then the screen shows the document that is being read
                progress(f"opening {source.label}", done, total)

        report(0, None)
        return read_document(source, pages=selected, title=title, ocr=ocr, progress=report)

    loaders: list[Loader] = []
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
    return Plan(
        *(tuple(loaders), tuple(failures), tuple(notes)), selects=selected is not None, ocr=ocr
    )


def run(
    library: Library,
    session_for: SessionFor,
    planned: Plan,
    report: Report,
    *,
    replaces: Callable[[Replacement], bool],
) -> Iterator[Event]:
    """Read what was planned into the memory that `report` names, which is made if there is none. No model
    is loaded if no document can be read.

    Args:
        replaces: whether earlier versions of documents are to leave the memory; if not, it keeps both.

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
    known = library.open(name) if name in library.names() else None
    given, replacement = planned.given, None
    if known is not None and not planned.selects:
        given, replacement = find_replacement(given, known.documents(), ocr=planned.ocr)
        if replacement is not None:
            rewinds = can_rewind(known, [row.id for row in replacement.earlier])
            replacement = replace(replacement, rewinds=rewinds)
    if replacement is not None and not replaces(replacement):
        replacement = None
    session = session_for(known)
    stored = library.open_or_create(name, session.identity)
    if replacement is not None:
        replacement = readable(session, given, replacement)
    if replacement is None:
        yield from ingest(session, stored, given, report)
        return
    started = time.perf_counter()
    for event in replace_documents(session, stored, given, replacement):
        if isinstance(event, DocumentFinished):
            report.add(event)
        yield event
    report.seconds = time.perf_counter() - started
    left = [index for index in range(len(given)) if index not in replacement.indices]
    yield from ingest(session, stored, given, report, only=left)


def ingest(
    session: Session,
    stored: StoredMemory,
    given: Sequence[Openable],
    report: Report,
    *,
    only: Sequence[int] | None = None,
) -> Iterator[Event]:
    """Read documents into a memory; `report` is filled as events pass, and complete at the end.

    Args:
        only: the indices of those to read, ascending; by default all.

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
            only=only,
        ):
            if isinstance(event, DocumentFinished | DocumentFailed):
                report.add(event)
            yield event
    finally:
        report.complete(stored.summary(), time.perf_counter() - started)


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
            "replaced": False,
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
        "replaced": event.replaced,
    }


def find_each(
    arguments: Sequence[str | Source], note: Callable[[str], None]
) -> Iterator[tuple[Source, DocumentError | None]]:
    """The sources of all arguments, each file once; an argument that cannot be found comes with what is
    wrong with it. `note` receives what else the folders hold."""
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
