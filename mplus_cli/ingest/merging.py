"""Reads the documents of some memories into another, from the text that those memories keep.

Memory tokens cannot be moved: each was written behind the ones before it. So a merged memory is what
reading the same documents in this order gives, and takes as long, except that a new one begins as a copy of
the first. Yields typed events and prints nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from mplus_cli.errors import MplusError, UsageError
from mplus_cli.ingest.events import (
    DocumentFailed,
    DocumentFinished,
    DocumentStarted,
    Event,
    MergeStarted,
)
from mplus_cli.ingest.job import Report, SessionFor
from mplus_cli.ingest.pipeline import MemoryBuilder, find_complete, find_unfinished, finished
from mplus_cli.ingest.rebuilding import pieces_again
from mplus_cli.library import ChunkRow, DocumentRow, Library, StoredMemory
from mplus_cli.library.forking import fork
from mplus_cli.library.names import validate_name
from mplus_cli.runtime.session import Session

Taken = tuple[DocumentRow, list[ChunkRow]]
"""A document of another memory, and its chunks."""


def merge(
    library: Library, session_for: SessionFor, others: Sequence[str], report: Report
) -> Iterator[Event]:
    """Read what other memories hold into the memory that `report` names, which is made if there is none.

    What it has already is not read again; so an interrupted merge goes on when it is run again. The
    others stay as they are. A document that was not read to its end there is left out, and so is one
    that this model cuts into other tokens.

    Raises:
        UsageError: the memory stands among the others, or cannot be called so.
        MplusError: one of the others is not there or is empty, or as `session_for`.
        MismatchError: another model wrote the memory.
    """
    name = report.memory
    validate_name(name)
    if name in others:
        raise UsageError(f'"{name}" cannot be merged into itself: name other memories')
    taken = [part for other in dict.fromkeys(others) for part in _documents(library.open(other))]
    session = session_for(library.open(name) if name in library.names() else None)
    copied = _copied(library, session, name, others[0])
    held = copied.documents() if copied is not None else []
    known = {row.sha256 for row in held}
    left = [part for part in taken if part[0].sha256 not in known]
    stored = library.open_or_create(name, session.identity)
    session.check_dtype(stored)
    started = time.perf_counter()
    yield _announced(stored, taken, others[0] if copied is not None else None)
    try:
        for index, row in enumerate(held):
            report.add(finished(index, len(held) + len(left), row.path, row, "already-read"))
        for event in _read_all(session, stored, left, first=len(held)):
            if isinstance(event, DocumentFinished | DocumentFailed):
                report.add(event)
            yield event
    finally:
        report.complete(stored.summary(), time.perf_counter() - started)


def _copied(library: Library, session: Session, name: str, first: str) -> StoredMemory | None:
    """Make a new memory a copy of the first of the others, as of its last commit, where that is what reading
    its documents one after the other would give; returns it, or None."""
    source = library.open(first)
    fits = session.identity.wrote(source.view().identity)
    if name in library.names() or not fits or not _is_in_order(source):
        return None
    try:
        session.check_dtype(source)
    except UsageError:
        return None
    made = fork(library, first, name)
    if not _is_in_order(
        made
    ):  # another process has begun to read a document into the first meanwhile
        library.remove(name)
        return None
    if made.view().note is not None:
        made.put_note(None)
    return made


def _is_in_order(stored: StoredMemory) -> bool:
    """Whether its documents were read to their ends, one after the other."""
    view = stored.view()
    ids = [row.document_id for row in stored.all_chunks(view)]
    return ids == sorted(ids) and all(row.complete for row in view.documents)


def _announced(stored: StoredMemory, taken: Sequence[Taken], copied: str | None) -> MergeStarted:
    known = {row.sha256 for row in stored.documents() if row.complete}
    left = {row.sha256: row for row, _ in taken if row.complete and row.sha256 not in known}
    return MergeStarted(
        memory=stored.name,
        copied=copied,
        documents=len(left),
        chunks=sum(row.chunks for row in left.values()),
        tokens=sum(row.tokens for row in left.values()),
    )


def _documents(stored: StoredMemory) -> Iterator[Taken]:
    view = stored.view()
    if view.state is None:
        raise MplusError(f'memory "{stored.name}" is empty: there is nothing to merge')
    rows = stored.all_chunks(view)
    for document in view.documents:
        yield document, [row for row in rows if row.document_id == document.id]


def _read_all(
    session: Session, stored: StoredMemory, taken: Sequence[Taken], *, first: int
) -> Iterator[Event]:
    """Read documents; in the events they count from `first`."""
    total = first + len(taken)
    with stored.writer() as writer:
        growing = MemoryBuilder(stored, session.model, writer, session.loaded.initial_memory)
        for index, (document, rows) in enumerate(taken, first):
            known = find_complete(writer, document.sha256)
            if known is not None:
                yield finished(index, total, document.path, known, "already-read")
                continue
            try:
                yield from _read(session, growing, (index, total), document, rows)
            except _TextMissing as error:
                yield DocumentFailed(index, total, document.path, str(error))


class _TextMissing(Exception):
    """The other memory does not keep enough of a document to read it again."""


def _read(
    session: Session,
    growing: MemoryBuilder,
    place: tuple[int, int],
    document: DocumentRow,
    rows: Sequence[ChunkRow],
) -> Iterator[Event]:
    if not document.complete:
        raise _TextMissing(f"{document.title} was not read to its end: read the rest first")
    try:
        pieces = pieces_again(document, rows, session.plain_tokenizer)
    except MplusError as error:
        raise _TextMissing(str(error)) from error
    unfinished = find_unfinished(growing.writer, document)
    done = unfinished.chunks_read if unfinished else 0
    index, total = place
    yield DocumentStarted(
        *(index, total, document.path, document.title, document.pages),
        *(document.chunks, done, document.tokens, tuple(growing.halves(document))),
    )
    number = unfinished.id if unfinished else growing.writer.begin_document(document)
    tokens = sum(row.tokens for row in rows[:done])
    yield from growing.read(index, number, pieces[done:], done, document.chunks, tokens)
    row = growing.writer.view.documents[number - 1]
    yield finished(index, total, document.path, row, "read")
