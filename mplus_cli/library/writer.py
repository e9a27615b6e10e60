"""Writing to a memory: documents, and commits of what was read of them.

A commit writes new files and puts them on the disk, then names them in one transaction, then
deletes those it replaced: a crash at any moment leaves the last commit. Where small files of
long-term memory have piled up, the new one takes them in. Knows no model: which tensors are new
follows from the memory's clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mplus_cli.errors import MplusError, disk_errors
from mplus_cli.library import chunk_rows, database, files
from mplus_cli.library.compaction import crowded
from mplus_cli.library.seal import Row, chain
from mplus_cli.library.values import NewChunk, NewDocument, SegmentRow, State, View

if TYPE_CHECKING:
    from models.memory import Memory, Segment


class Writer:
    """What `StoredMemory.writer` gives: the right to change a memory, while its lock is held."""

    def __init__(self, folder: Path, name: str, view: View) -> None:
        self._folder = folder
        self._name = name
        self._view = view
        self._begun: dict[int, NewDocument] = {}
        files.remove_unnamed(folder, view)

    @property
    def view(self) -> View:
        """The last commit."""
        return self._view

    def begin_document(self, document: NewDocument) -> int:
        """The id of a new document; it is written with its first commit, or never."""
        number = len(self._view.documents) + len(self._begun) + 1
        self._begun[number] = document
        return number

    def commit(self, memory: Memory, document_id: int, chunks: Sequence[NewChunk]) -> Memory:
        """Keep `memory`, in which the next `chunks` of a document were read since the last commit.

        Returns:
            The same memory, its long-term memory mapped from the files.

        Raises:
            MplusError: the disk is full or cannot be written. The last commit stays.
            ValueError: `memory` is not the last commit with these chunks read.
        """
        view = self._view
        if memory.chunks != view.chunks + len(chunks):
            raise ValueError(f"{memory.chunks} chunks in memory, not {view.chunks} + {len(chunks)}")
        count = _new_tokens(memory, view)
        older, newer = _split_last(memory.segments, count)
        rows = _forget(view.segments, memory.ltm_tokens - count)
        if newer:
            left = len(rows) - crowded([row.kept for row in rows], count)
            merged = sum(row.kept for row in rows[left:])
            older, small = _split_last(older, merged)
            rows, newer = rows[:left], [*small, *newer]
        try:
            with disk_errors():
                self._write(memory, newer, rows, document_id, chunks)
        except BaseException:
            self._tidy()
            raise
        self._tidy()
        if newer:
            with disk_errors():
                older = [*older, files.open_segment(self._folder, self._view.segments[-1])]
        return memory.with_segments(older)

    def _write(
        self,
        memory: Memory,
        newer: Sequence[Segment],
        rows: list[SegmentRow],
        document_id: int,
        chunks: Sequence[NewChunk],
    ) -> None:
        """Write the files, then the transaction that names them."""
        before = self._view.state
        number = before.commit + 1 if before else 1
        if newer:
            last = self._view.segments[-1].number if self._view.segments else 0
            rows = [*rows, files.write_segment(self._folder, last + 1, newer)]
        places = {
            self._view.chunks + index: chunk.place
            for index, chunk in enumerate(chunks)
            if chunk.place is not None
        }
        stm = files.write_stm(self._folder, number, memory.stm)
        read, rows_read = self._chunk_rows(document_id, chunks)
        state = State(
            commit=number,
            clock=memory.clock,
            chunks=memory.chunks,
            tokens=(before.tokens if before else 0) + sum(chunk.tokens for chunk in chunks),
            stm_file=files.stm_file(number),
            stm_tokens=len(memory.stm),
            stm_bytes=stm.bytes,
            stm_sha256=stm.sha256,
            chunks_sha256=chain(before.chunks_sha256 if before else "", rows_read),
        )
        at = database.now()
        with (
            database.connect(self._folder, self._name) as connection,
            database.transaction(connection),
        ):
            database.put_documents(connection, self._begun, at)
            database.put_progress(connection, document_id, read)
            chunk_rows.put_chunks(connection, rows_read)
            chunk_rows.put_places(connection, places)
            database.put_segments(connection, rows)
            database.put_times(connection, {"updated": at})
            database.put_state(connection, state)
        self._begun = {}

    def _chunk_rows(self, document_id: int, chunks: Sequence[NewChunk]) -> tuple[int, list[Row]]:
        """How many chunks of the document are read with these, and their rows."""
        documents = {row.id: row.chunks_read for row in self._view.documents}
        done = documents.get(document_id, 0)
        rows: list[Row] = [
            (
                self._view.chunks + index,
                document_id,
                done + index,
                chunk.text,
                chunk.tokens,
                chunk.first_page,
                chunk.last_page,
            )
            for index, chunk in enumerate(chunks)
        ]
        return done + len(chunks), rows

    def _tidy(self) -> None:
        """See what the last commit is now, and delete the files it does not name."""
        with suppress(MplusError):
            with database.connect(self._folder, self._name) as connection:
                self._view = database.read_view(connection)
            files.remove_unnamed(self._folder, self._view)


def _new_tokens(memory: Memory, view: View) -> int:
    """How many of the last tokens of long-term memory came there since the commit."""
    if view.state is None:
        return memory.ltm_tokens
    left_stm = (memory.clock - len(memory.stm)) - (view.state.clock - view.state.stm_tokens)
    return min(left_stm, memory.ltm_tokens)


def _split_last(segments: Sequence[Segment], count: int) -> tuple[list[Segment], list[Segment]]:
    """Segments, split before the last `count` tokens."""
    from models.memory import Segment

    older = list(segments)
    newer: list[Segment] = []
    while count > 0:
        segment = older.pop()
        split = len(segment) - count
        if split > 0:
            older.append(Segment(segment.tokens.slice(0, split), segment.born[:, :split]))
            segment = Segment(segment.tokens.slice(split, len(segment)), segment.born[:, split:])
        newer.insert(0, segment)
        count -= len(segment)
    return older, newer


def _forget(rows: Sequence[SegmentRow], tokens: int) -> list[SegmentRow]:
    """The rows that hold the newest `tokens` tokens; ValueError if there are not as many."""
    excess = sum(row.kept for row in rows) - tokens
    if excess < 0:
        raise ValueError(f"{-excess} tokens of long-term memory more than were committed")
    kept: list[SegmentRow] = []
    for row in rows:
        if excess >= row.kept:
            excess -= row.kept
            continue
        kept.append(replace(row, skip=row.skip + excess))
        excess = 0
    return kept
