"""Writing to a memory: documents, and commits of what was read of them.

A commit writes and syncs new files, then names them in one transaction, then deletes those it replaced: a
crash at any moment leaves the last commit. Where small files of long-term memory have piled up, they are
merged into the new one. Interim commits in between leave one small file of long-term memory, which the
next full one replaces. Needs no model: which tensors are new follows from the memory's clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mplus_cli.errors import MplusError, disk_errors
from mplus_cli.library import chunk_rows, database, files
from mplus_cli.library.compaction import to_merge
from mplus_cli.library.earlier import EARLIER, dumps
from mplus_cli.library.side_tables import Row, chain
from mplus_cli.library.values import NewChunk, NewDocument, SegmentRow, State, View

if TYPE_CHECKING:
    from models.memory import Memory, Segment
    from mplus_cli.library.tensors import WrittenFile
    from mplus_cli.place import Place


class Writer:
    """The right to change a memory while its lock is held (`StoredMemory.writer`)."""

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

        The files that it leaves do not depend on the interim commits before it.

        Returns:
            The same memory, its long-term memory mapped from the files.

        Raises:
            MplusError: the disk is full or cannot be written. The last commit is kept.
            ValueError: `memory` is not the last commit with these chunks read.
        """
        change = self._changed(memory, chunks)
        older, newer, rows = change.older, change.newer, change.rows
        if newer:
            left = len(rows) - to_merge([row.kept for row in rows], change.count)
            older, small = _split_last(older, sum(row.kept for row in rows[left:]))
            rows, newer = rows[:left], [*small, *newer]
        commits = self._view.state.commit + 1 if self._view.state else 1

        def write() -> tuple[list[SegmentRow], str, WrittenFile]:
            merged = [files.write_segment(self._folder, change.number, newer)] if newer else []
            stm = files.write_stm(self._folder, commits, memory.stm)
            return [*rows, *merged], files.stm_file(commits), stm

        self._keep(memory, commits, write, document_id, chunks)
        if newer:
            with disk_errors():
                older = [*older, files.open_segment(self._folder, self._view.segments[-1])]
        return memory.with_segments(older)

    def commit_interim(self, memory: Memory, document_id: int, chunks: Sequence[NewChunk]) -> None:
        """Keep `memory` as `commit` does, in files that the next `commit` replaces. Raises as it does."""
        change = self._changed(memory, chunks)
        commits = self._view.state.commit if self._view.state else 0
        mark = files.interim_mark(memory.chunks)

        def write() -> tuple[list[SegmentRow], str, WrittenFile]:
            newer = (
                [files.write_segment(self._folder, change.number, change.newer, mark)]
                if change.newer
                else []
            )
            stm = files.write_stm(self._folder, mark, memory.stm)
            return [*change.rows, *newer], files.stm_file(mark), stm

        self._keep(memory, commits, write, document_id, chunks)

    def _changed(self, memory: Memory, chunks: Sequence[NewChunk]) -> _Change:
        """The changes of long-term memory since the last full commit."""
        view, interim = self._view, self._view.interim
        if memory.chunks != view.chunks + len(chunks):
            raise ValueError(f"{memory.chunks} chunks in memory, not {view.chunks} + {len(chunks)}")
        count = _new_tokens(memory, view) + (interim.kept if interim else 0)
        count = min(count, memory.ltm_tokens)
        older, newer = _split_last(memory.segments, count)
        full = view.segments[:-1] if interim else view.segments
        rows = _forget(full, memory.ltm_tokens - count)
        number = interim.number if interim else full[-1].number + 1 if full else 1
        return _Change(count, older, newer, rows, number)

    def _keep(
        self,
        memory: Memory,
        commits: int,
        write: Callable[[], tuple[list[SegmentRow], str, WrittenFile]],
        document_id: int,
        chunks: Sequence[NewChunk],
    ) -> None:
        """Write the files, then the transaction that names them; then delete what it does not name."""
        before = self._view.state
        try:
            with disk_errors():
                rows, stm_file, stm = write()
                text = self._text(document_id, chunks)
                state = State(
                    commit=commits,
                    clock=memory.clock,
                    chunks=memory.chunks,
                    tokens=(before.tokens if before else 0) + sum(chunk.tokens for chunk in chunks),
                    stm_file=stm_file,
                    stm_tokens=len(memory.stm),
                    stm_bytes=stm.bytes,
                    stm_sha256=stm.sha256,
                    chunks_sha256=chain(before.chunks_sha256 if before else "", text.rows),
                )
                self._view = self._commit(state, rows, text)
        except BaseException:
            self._look_again()
            raise
        self._begun = {}
        files.remove_unnamed(self._folder, self._view)

    def _commit(self, state: State, rows: Sequence[SegmentRow], text: _Text) -> View:
        """Run the transaction; returns the view after it."""
        at = database.now()
        fresh = {row.file for row in rows} | {state.stm_file}
        fresh -= files.named_files(self._view).keys()
        stamps = {file: files.stamp(self._folder / file) for file in fresh}
        with (
            database.connect(self._folder, self._name) as connection,
            database.transaction(connection),
        ):
            database.put_documents(connection, self._begun, at)
            database.put_progress(connection, text.document_id, text.chunks_read)
            if self._view.state is not None:
                chunk_rows.cover(connection, self._view.chunks, self._view.state.chunks_sha256)
            chunk_rows.put_chunks(connection, text.rows, text.places)
            database.put_segments(connection, rows)
            database.put_times(connection, {"updated": at})
            if self._begun:
                database.put_times(connection, {EARLIER: dumps(self._view)})
            database.put_state(connection, state)
            database.put_checked(connection, stamps)
            # Read before the commit, since nothing may fail after it.
            return database.view_within(connection)

    def _text(self, document_id: int, chunks: Sequence[NewChunk]) -> _Text:
        done = {row.id: row.chunks_read for row in self._view.documents}.get(document_id, 0)
        first = self._view.chunks
        rows: list[Row] = [
            (
                first + index,
                document_id,
                done + index,
                chunk.text,
                chunk.tokens,
                chunk.first_page,
                chunk.last_page,
            )
            for index, chunk in enumerate(chunks)
        ]
        places = {
            first + index: chunk.place
            for index, chunk in enumerate(chunks)
            if chunk.place is not None
        }
        return _Text(document_id, done + len(chunks), rows, places)

    def _look_again(self) -> None:
        """See what the last commit is after one that failed, and delete the files it does not name.

        Where that cannot be seen either, nothing is deleted: the next writer does it.
        """
        with suppress(MplusError):
            with database.connect(self._folder, self._name) as connection:
                self._view = database.read_view(connection)
            files.remove_unnamed(self._folder, self._view)


@dataclass(frozen=True, slots=True)
class _Change:
    """What a memory has that the last full commit did not have."""

    count: int
    """Tokens of long-term memory that are new."""
    older: list[Segment]
    newer: list[Segment]
    """Those tokens, and the others before them."""
    rows: list[SegmentRow]
    """The files of the full commit, without what was forgotten since."""
    number: int
    """Of the next file."""


@dataclass(frozen=True, slots=True)
class _Text:
    """Chunks that were read since the last commit, as the database keeps them."""

    document_id: int
    chunks_read: int
    """Of the document, with these."""
    rows: list[Row]
    places: dict[int, Place]


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
