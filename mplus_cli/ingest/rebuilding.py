"""Takes a document out of a memory: by going back to the commit before it, or by reading everything else
again, in order, from the text that the memory keeps.

A chunk is written behind the one before it, so whatever follows a document in memory was written otherwise
than it would have been without it. What is left afterwards is equal, byte for byte, to a memory that never
read the document. Yields typed events and prints nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import accumulate, groupby
from typing import TYPE_CHECKING

from mplus_cli.documents import DocumentError, Tokenizer, count_tokens, encode_text
from mplus_cli.errors import MplusError
from mplus_cli.ingest.changed import Replacement
from mplus_cli.ingest.events import (
    ChunkRead,
    DocumentFailed,
    DocumentFinished,
    Event,
    Rebuilt,
    Reread,
)
from mplus_cli.ingest.pipeline import EncodedChunk, MemoryBuilder, Openable, read_documents
from mplus_cli.library import (
    ChunkRow,
    DocumentRow,
    Library,
    StoredMemory,
    rewinding,
)
from mplus_cli.runtime.embedded_base import Progress
from mplus_cli.runtime.session import Note, Session, open_session
from mplus_cli.settings import Settings

if TYPE_CHECKING:
    from models.memory import Memory
    from models.network import MPlusModel


def readable(
    session: Session, given: Sequence[Openable], replacement: Replacement
) -> Replacement | None:
    """The replacement without the new versions that this model finds no text in: their earlier versions
    stay in memory. None if nothing is left of it."""
    empty = set()
    for index in replacement.indices:
        try:
            if not count_tokens(given[index][1](), session.plain_tokenizer):
                empty.add(index)
        except DocumentError:
            empty.add(index)
    left = replacement.without(empty)
    return left if left.changes else None


def replace_documents(
    session: Session, stored: StoredMemory, given: Sequence[Openable], replacement: Replacement
) -> Iterator[Event]:
    """Put new versions of documents, of those given, in the place of the earlier ones: at the end of the
    reading, in one step, so that a killed process leaves the memory as it was. They should be `readable`.

    Raises:
        MplusError: a new version cannot be read, or as for `remove`.
    """
    with _rebuilding(session, stored.name, replacement.earlier) as (fresh, events):
        yield from events
        for event in read_documents(
            fresh,
            session.model,
            given,
            session.plain_tokenizer,
            start=session.loaded.initial_memory,
            only=sorted(replacement.indices),
        ):
            if isinstance(event, DocumentFailed):
                raise MplusError(f"{event.error}; the earlier version is kept")
            yield replace(event, replaced=True) if isinstance(event, DocumentFinished) else event
    yield Rebuilt()


def remove(
    settings: Settings, stored: StoredMemory, row: DocumentRow, *, note: Note, progress: Progress
) -> Iterator[Event]:
    """Take a document out of a memory. No model is loaded where nothing has to be read again.

    Raises:
        MplusError: the memory is being written, is damaged, or was written by another model, a text is
            not cut into tokens as it was, or the disk is full.
    """
    if not _rewound(Library(settings.home), stored, row):
        session = open_session(settings, note=note, progress=progress, memory=stored)
        with _rebuilding(session, stored.name, [row]) as (_, events):
            yield from events
    yield Rebuilt()


def _rewound(library: Library, stored: StoredMemory, row: DocumentRow) -> bool:
    """Whether a document could be taken out of a memory without reading others again: then it is."""
    if not rewinding.can_rewind(stored, [row.id]):
        return False
    try:
        with library.rebuilding(stored.name) as (locked, fresh):
            _check_unchanged(locked, [row])
            rewinding.rewind(locked, fresh, [row.id])
    except rewinding.CannotRewind:
        return False
    return True


@contextmanager
def _rebuilding(
    session: Session, name: str, without: Collection[DocumentRow]
) -> Iterator[tuple[StoredMemory, Iterator[Event]]]:
    """The memory that takes the old one's place when the block ends, and the events of reading into it."""
    with session.library.rebuilding(name) as (stored, fresh):
        stored.check(session.identity)
        session.check_dtype(stored)
        _check_unchanged(stored, without)
        start = session.loaded.initial_memory
        model, tokenizer = session.model, session.plain_tokenizer
        numbers = {row.id for row in without}
        events: Iterator[Event] = iter([Reread(0, 0, 0, 0)])
        try:
            rewinding.rewind(stored, fresh, numbers)
        except rewinding.CannotRewind:
            events = reread(stored, fresh, model, tokenizer, without=numbers, start=start)
        yield fresh, events


def _check_unchanged(stored: StoredMemory, without: Collection[DocumentRow]) -> None:
    """Check, once nobody else writes, that documents are still those that were chosen."""
    if not set(without) <= set(stored.documents()):
        raise MplusError(
            f'memory "{stored.name}" has changed in the meantime: run the same command again'
        )


def reread(
    stored: StoredMemory,
    fresh: StoredMemory,
    model: MPlusModel,
    tokenizer: Tokenizer,
    *,
    without: Collection[int],
    start: Memory | None = None,
) -> Iterator[Reread]:
    """Read into `fresh`, an empty memory, everything that `stored` holds except the documents `without`, by
    their numbers.

    Args:
        start: what a memory that has read nothing begins with; by default an empty one.

    Raises:
        MplusError: a document's text is not cut into tokens as it was, or the disk is full.
    """
    view = stored.view()
    rows = [row for row in stored.all_chunks(view) if row.document_id not in without]
    documents = {row.id: row for row in view.documents if row.id not in without}
    yield from reread_rows(documents, rows, fresh, model, tokenizer, start=start)


def reread_rows(
    documents: Mapping[int, DocumentRow],
    rows: Sequence[ChunkRow],
    fresh: StoredMemory,
    model: MPlusModel,
    tokenizer: Tokenizer,
    *,
    start: Memory | None = None,
) -> Iterator[Reread]:
    """Read documents, by their numbers, into an empty memory, given their chunks in the order they were
    read in; raises as `reread` does."""
    pieces = {
        number: pieces_again(
            document, [row for row in rows if row.document_id == number], tokenizer
        )
        for number, document in documents.items()
    }
    tokens = sum(row.tokens for row in rows)
    yield Reread(len(documents), 0, len(rows), tokens)
    done = 0
    with fresh.writer() as writer:
        growing, numbers = MemoryBuilder(fresh, model, writer, start), dict[int, int]()
        for number, run in groupby(rows, key=lambda row: row.document_id):
            document, positions = documents[number], [row.position for row in run]
            if number not in numbers:
                numbers[number] = writer.begin_document(document)
            events = growing.read(
                0,
                numbers[number],
                pieces[number][positions[0] : positions[-1] + 1],
                positions[0],
                document.chunks,
            )
            for event in events:
                if isinstance(event, ChunkRead):
                    done += 1
                    yield Reread(len(documents), done, len(rows), tokens)


def pieces_again(
    document: DocumentRow, rows: Sequence[ChunkRow], tokenizer: Tokenizer
) -> list[EncodedChunk]:
    """The chunks of a document as they were read, from their texts.

    Raises:
        MplusError: they are not cut into the same tokens any more.
    """
    ids, ends = encode_text("".join(row.text for row in rows), tokenizer)
    stops = list(accumulate(row.tokens for row in rows))
    cut = [tuple(ids[stop - row.tokens : stop]) for row, stop in zip(rows, stops, strict=True)]
    letters = list(accumulate(len(row.text) for row in rows))
    same = len(ids) == stops[-1] and all(
        ends[stop - 1] == end for stop, end in zip(stops[:-1], letters[:-1], strict=True)
    )
    if same and document.complete:
        same = hashlib.sha256(json.dumps(cut).encode()).hexdigest() == document.digest
    if not same:
        raise MplusError(
            f"{document.title} cannot be read again as it was: its text is no longer cut into the same "
            "tokens; read the documents you want into a new memory with -m"
        )
    return list(zip(cut, rows, strict=True))
