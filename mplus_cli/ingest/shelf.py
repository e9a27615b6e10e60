"""Reading several books at once: one process a book, each into a memory of its own.

    from mplus_cli.ingest.engines import LocalProcesses
    from mplus_cli.ingest.shelf import BookFinished, read_shelf
    from mplus_cli.settings import Flags, resolve

    books = {"emma": "emma.epub", "persuasion": "persuasion.pdf"}
    for event in read_shelf(books, resolve(Flags()), LocalProcesses(2)):
        if isinstance(event, BookFinished):
            print(event.name, event.report.tokens, event.error)

Each book is read as `mplus ingest -m NAME` reads it: an interrupted book is resumed when the shelf is
read again, and the memory holds the same bytes. A book that fails does not stop the others. Prints
nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from mplus_cli import failures
from mplus_cli.errors import ExitCode, UsageError
from mplus_cli.ingest.changed import Replacement
from mplus_cli.ingest.job import Report, check_ocr, find_each, plan, run
from mplus_cli.library import Library, StoredMemory
from mplus_cli.library.names import MAX_LENGTH, validate_name
from mplus_cli.runtime.session import Session, open_session
from mplus_cli.settings import Settings

Sources = str | Path | Sequence[str | Path]
"""A file or folder, or several: all that goes into one memory."""
Books = Mapping[str, Sequence[str]]
"""The memory's name to the absolute paths that are read into it."""


@dataclass(frozen=True, slots=True)
class BookProgress:
    """The progress of a book. `chunks_total` counts the document that is being read; None: not known
    yet."""

    name: str
    chunks_done: int = 0
    chunks_total: int | None = None


@dataclass(frozen=True, slots=True)
class BookFinished:
    """The result of a book."""

    name: str
    report: Report
    """As `mplus ingest --json` gives it; its `failed` documents could not be read."""
    error: str | None = None
    """Why the memory could not be written, in one line; None: it was."""
    warnings: tuple[str, ...] = ()
    """Warnings about the documents, a line each."""


BookEvent = BookProgress | BookFinished


@dataclass(slots=True)
class ShelfReport:
    """The result of a shelf: the object of `mplus ingest --workers N --json`."""

    memories: list[BookFinished] = field(default_factory=list)

    def add(self, event: BookEvent) -> None:
        """Add a book that is finished."""
        if isinstance(event, BookFinished):
            self.memories.append(event)

    def to_json(self) -> dict[str, Any]:
        """The report of each memory, in the order of their names."""
        ordered = sorted(self.memories, key=lambda book: book.name)
        return {"memories": [{**book.report.to_json(), "error": book.error} for book in ordered]}

    @property
    def exit_code(self) -> ExitCode:
        """Whether all documents of all books are in memory, some, or none."""
        sound = [book.error is None and not book.report.failed for book in self.memories]
        if all(sound):
            return ExitCode.DONE
        partly = [book.error is None and not book.report.is_hopeless for book in self.memories]
        return ExitCode.PARTIAL if any(partly) else ExitCode.FAILED


class Engine(Protocol):
    """Where books are read."""

    def run(self, books: Books, settings: Settings, ocr: bool) -> Iterator[BookEvent]:
        """Read books, several at a time: their events as they come, `BookFinished` last of each."""
        ...


def read_shelf(
    books: Mapping[str, Sources], settings: Settings, engine: Engine, *, ocr: bool = False
) -> Iterator[BookEvent]:
    """Read books into memories of the library.

    Args:
        books: the memory's name to what is read into it.
        settings: of model, device and library, as for the commands.
        ocr: recognise scanned pages of PDFs.

    Raises:
        UsageError: a name that no memory can have, or more cores than the engine has.
        MplusError: Ray or OCR is wanted and not installed.
    """
    check_ocr(ocr)
    for name in books:
        validate_name(name)
    absolute = {name: _absolute(sources) for name, sources in books.items()}
    yield from engine.run(absolute, settings, ocr)


def name_memories(arguments: Sequence[str], note: Callable[[str], None]) -> dict[str, str]:
    """A memory's name for each file of the arguments, made of the file's own name, to its path.

    Raises:
        UsageError: standard input is among them, or two files would share a name.
    """
    named: dict[str, str] = {}
    for source, _ in find_each(arguments, note):
        if source.path is None:
            raise UsageError("standard input has no name to name the memory after: use -m NAME")
        name = _slug(source.path.stem)
        if name in named:
            raise UsageError(
                f'{named[name]} and {source.path} would both become the memory "{name}": '
                "read one of them on its own with -m NAME"
            )
        named[name] = str(source.path)
    return named


def read_book(
    name: str, sources: Sequence[str], settings: Settings, ocr: bool = False
) -> Iterator[BookEvent]:
    """Read one book in this process; every failure ends in a `BookFinished` with its line."""
    from mplus_cli.ingest.events import ChunkRead, DocumentStarted

    report, warnings = Report(name), list[str]()
    yield BookProgress(name)

    def keep_both(replacement: Replacement) -> bool:
        warnings.append(f"{replacement.kept} (with -m {name})")
        return False

    try:
        planned = plan(sources, ocr=ocr, progress=_silent)
        events = run(
            Library(settings.home), partial(_open, settings), planned, report, replaces=keep_both
        )
        for event in events:
            if isinstance(event, ChunkRead):
                yield BookProgress(name, event.chunks_done, event.chunks_total)
            elif isinstance(event, DocumentStarted):
                warnings += event.warnings
    except Exception as error:
        yield BookFinished(name, report, failures.explain(error)[0], tuple(warnings))
    else:
        yield BookFinished(name, report, None, tuple(warnings))


def _absolute(sources: Sources) -> list[str]:
    several = [sources] if isinstance(sources, str | Path) else sources
    # A worker may run in another folder.
    return [str(Path(source).expanduser().absolute()) for source in several]


def _slug(stem: str) -> str:
    """A file's name as that of a memory: "Émile & I" becomes "Emile-I"."""
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9._]+", "-", plain).strip("-.")[:MAX_LENGTH]
    if not name:
        raise UsageError(f'"{stem}" cannot name a memory: read it on its own with -m NAME')
    return name


def _open(settings: Settings, memory: StoredMemory | None) -> Session:
    return open_session(settings, note=_silent, progress=_silent, memory=memory)


def _silent(*_: object) -> None:
    pass
