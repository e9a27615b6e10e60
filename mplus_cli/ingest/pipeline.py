"""Reading documents into a memory, chunk by chunk; an interrupted run continues from its last commit.

Yields typed events and prints nothing. Full commits come after every `COMMIT_CHUNKS` chunks of a document
and at its end, and nowhere else: so what an interrupted and resumed run leaves is equal, byte for byte,
to what an uninterrupted one leaves. Between them interim commits, of which the next full one leaves no
trace, keep the progress of a slow reading. Independent of the file formats of documents and memories.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal, Protocol

from mplus_cli.documents import Chunk, Document, DocumentError, Tokenizer, split_chunks
from mplus_cli.ingest.events import (
    ChunkRead,
    Committed,
    DocumentFailed,
    DocumentFinished,
    DocumentStarted,
    Event,
)
from mplus_cli.ingest.prefetch import one_ahead
from mplus_cli.library import DocumentRow, NewChunk, NewDocument, StoredMemory, Writer
from mplus_cli.runtime import allocator

if TYPE_CHECKING:
    from models.memory import Memory
    from models.network import MPlusModel

COMMIT_CHUNKS = 32
INTERIM_SECONDS = 5.0
"""Seconds without a commit after which an interim one is made."""


class SourceLike(Protocol):
    """What a document is read from."""

    @property
    def name(self) -> str:
        """What the user called it."""


Openable = tuple[SourceLike, Callable[[], Document]]
"""A source, and what reads it (raising DocumentError where it cannot)."""
EncodedChunk = tuple[Sequence[int], NewChunk]
"""A chunk: its token ids, and what the memory keeps of it besides."""


def read_documents(
    stored: StoredMemory,
    model: MPlusModel,
    documents: Sequence[Openable],
    tokenizer: Tokenizer,
    *,
    start: Memory | None = None,
    only: Sequence[int] | None = None,
) -> Iterator[Event]:
    """Read documents, in order, into a memory that this model wrote (`StoredMemory.check`).

    A document that was read to its end is not read again. One that an interrupted run left unfinished
    continues at its next chunk. Unfinished documents that are not given stay unfinished. While one is
    read into memory, the next is opened and cut into chunks.

    Args:
        start: the memory to begin with if nothing was read yet; by default an empty one.
        only: the indices of those to read, ascending; by default all.

    Raises:
        MplusError: the memory is being written by another process, is damaged, or the disk is full.
    """
    total = len(documents)
    with stored.writer() as writer:
        growing = MemoryBuilder(stored, model, writer, start)

        def open_document(load: Callable[[], Document]) -> tuple[Document, list[Chunk]]:
            """A document and its chunks; none of one that is known by now."""
            document = load()
            if find_complete(writer, document.sha256) is not None:
                return document, []
            return document, split_chunks(document, tokenizer, model.config.chunk_tokens)

        indices = range(total) if only is None else only
        opened = one_ahead([partial(open_document, documents[index][1]) for index in indices])
        for index, outcome in zip(indices, opened, strict=True):
            try:
                document, chunks = outcome()
                known = find_complete(writer, document.sha256)
                if known is not None:
                    yield finished(index, total, document.path, known, "already-read")
                    continue
                if not chunks:
                    raise DocumentError(f"{documents[index][0].name} has no text in it")
            except DocumentError as error:
                yield DocumentFailed(index, total, documents[index][0].name, str(error))
                continue
            yield from _read(growing, index, total, document, chunks)


def _read(
    growing: MemoryBuilder, index: int, total: int, document: Document, chunks: list[Chunk]
) -> Iterator[Event]:
    """Read the rest of a document."""
    new = _describe(document, chunks)
    unfinished = find_unfinished(growing.writer, new)
    done = unfinished.chunks_read if unfinished else 0
    yield DocumentStarted(
        index=index,
        total=total,
        path=document.path,
        title=document.title,
        pages=new.pages,
        chunks=len(chunks),
        chunks_done=done,
        tokens=new.tokens,
        warnings=(*document.warnings, *growing.halves(new)),
    )
    number = unfinished.id if unfinished else growing.writer.begin_document(new)
    pieces = [(chunk.ids, _chunk_row(chunk)) for chunk in chunks]
    tokens = sum(len(chunk.ids) for chunk in chunks[:done])
    yield from growing.read(index, number, pieces[done:], done, len(chunks), tokens)
    row = growing.writer.view.documents[number - 1]
    yield finished(index, total, document.path, row, "read")


class MemoryBuilder:
    """The memory as it grows under one writer."""

    def __init__(
        self, stored: StoredMemory, model: MPlusModel, writer: Writer, start: Memory | None
    ) -> None:
        self._stored = stored
        self._model = model
        self.writer = writer
        self._start = start
        self._memory: Memory | None = None

    def halves(self, new: NewDocument) -> list[str]:
        """A warning for each half of the same document that cannot be continued, as it was cut into other
        chunks: by an earlier version, which read the text otherwise."""
        return [
            f"{row.title} was read before, to chunk {row.chunks_read} of {row.chunks}, but is cut "
            "differently now, so it is read from its start and that half stays: remove it with "
            f"mplus memory rm-document {self._stored.name} {row.id}"
            for row in self.writer.view.documents
            if row.sha256 == new.sha256 and not row.complete and not _is_same(row, new)
        ]

    def read(
        self,
        index: int,
        number: int,
        pieces: Iterable[EncodedChunk],
        done: int,
        total: int,
        tokens: int = 0,
    ) -> Iterator[ChunkRead | Committed]:
        """Read the next chunks of document `number`, which has `total` and of which `done`, with so many
        `tokens`, are read."""
        from models.update import read_chunk

        memory = self._current()
        pending: list[NewChunk] = []
        committed = time.monotonic()
        for count, (ids, row) in enumerate(pieces, start=done + 1):
            memory = read_chunk(self._model, memory, ids)
            pending.append(row)
            tokens += len(ids)
            stm, ltm = len(memory.stm), memory.ltm_tokens
            yield ChunkRead(index, count, total, tokens, stm, ltm, row.last_page)
            if count % COMMIT_CHUNKS == 0 or count == total:
                memory = self.writer.commit(memory, number, pending)
                self._memory = memory
                pending = []
                allocator.give_back_freed_memory()
                committed = time.monotonic()
                yield Committed(index, count, total, stm, ltm)
            elif time.monotonic() - committed >= INTERIM_SECONDS:
                self.writer.commit_interim(memory, number, pending)
                pending = []
                committed = time.monotonic()
                yield Committed(index, count, total, stm, ltm)
        if pending:  # the document is not read to its end
            self.writer.commit_interim(memory, number, pending)
            self._memory = memory

    def _current(self) -> Memory:
        """The memory as of the last commit."""
        if self._memory is None:
            if self.writer.view.state is not None:
                like = self._model.empty_memory()
                self._memory = self._stored.load(self._model.device, like=like)
            else:
                self._memory = self._start or self._model.empty_memory()
        return self._memory


def find_complete(writer: Writer, sha256: str) -> DocumentRow | None:
    """The document with these bytes that was read to its end."""
    for row in writer.view.documents:
        if row.sha256 == sha256 and row.complete:
            return row
    return None


def find_unfinished(writer: Writer, new: NewDocument) -> DocumentRow | None:
    """The same document, cut into the same chunks, of which a part was read."""
    for row in writer.view.documents:
        if _is_same(row, new) and not row.complete:
            return row
    return None


def _is_same(row: DocumentRow, new: NewDocument) -> bool:
    return (row.sha256, row.chunks, row.digest) == (new.sha256, new.chunks, new.digest)


def _describe(document: Document, chunks: list[Chunk]) -> NewDocument:
    digest = hashlib.sha256(json.dumps([chunk.ids for chunk in chunks]).encode())
    return NewDocument(
        path=_storable(document.address or document.path),
        title=_storable(document.title),
        sha256=document.sha256,
        kind=document.kind,
        pages=len(document.pages) if document.page_count is not None else None,
        tokens=sum(len(chunk.ids) for chunk in chunks),
        chunks=len(chunks),
        digest=digest.hexdigest(),
        author=_storable(document.author) if document.author else None,
        date=_storable(document.date) if document.date else None,
    )


def _chunk_row(chunk: Chunk) -> NewChunk:
    first, last = chunk.pages or (None, None)
    place = chunk.place
    if place is not None:
        labels = (_storable(place.labels[0]), _storable(place.labels[1])) if place.labels else None
        section = tuple(map(_storable, place.section))
        headings = tuple((a, b, tuple(map(_storable, titles))) for a, b, titles in place.headings)
        pages = tuple((at, number, _storable(label)) for at, number, label in place.pages)
        place = replace(place, section=section, labels=labels, headings=headings, pages=pages)
    return NewChunk(_storable(chunk.text), len(chunk.ids), first, last, place)


def finished(
    index: int, total: int, path: str, row: DocumentRow, status: Literal["read", "already-read"]
) -> DocumentFinished:
    """The event that ends a document, of its row in the memory."""
    return DocumentFinished(
        index=index,
        total=total,
        path=path,
        title=row.title,
        sha256=row.sha256,
        pages=row.pages,
        tokens=row.tokens,
        chunks=row.chunks,
        status=status,
    )


def _storable(text: str) -> str:
    """Text without lone surrogates, which come from undecodable file names and no database takes."""
    return text.encode("utf-8", "replace").decode()
