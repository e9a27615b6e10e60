"""Everything that can be wrong with a memory: its database, its files' checksums, its counts.

Repairs nothing: a damaged memory is loaded from a snapshot, or read again.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mplus_cli.errors import MismatchError
from mplus_cli.library import chunk_rows, database, files
from mplus_cli.library.damage import titles_in
from mplus_cli.library.schema import check_chunks, check_counts, check_view
from mplus_cli.library.seal import NOT_WRITTEN, wrong_seals
from mplus_cli.library.shapes import check_numbers, check_segment, check_stm
from mplus_cli.library.side_tables import CHECKSUMS, METADATA, PLACES, chain
from mplus_cli.library.tables import wrong_tables
from mplus_cli.library.tensors import DamagedFile
from mplus_cli.library.values import Problem, Progress, State, View

if TYPE_CHECKING:
    from torch import Tensor

    from models.memory import Memory
    from mplus_cli.library.stored import StoredMemory


def verify(stored: StoredMemory, progress: Progress | None = None) -> list[Problem]:
    """Everything that is wrong with a stored memory, an empty list if nothing is; checked again if a
    commit came meanwhile."""
    while True:
        try:
            view, found = check_database(stored.folder, stored.name)
        except MismatchError as error:
            return [Problem(database.FILE, str(error))]
        if view is None:
            return found
        found += _check_files(stored.folder, view, progress)
        if not found and view.state is not None:
            found += _check_tensors(stored.folder, view)
        found = _with_documents(stored, view, found)
        if not found or _look_again(stored) == view.state:
            return found


def _with_documents(stored: StoredMemory, view: View, found: list[Problem]) -> list[Problem]:
    """Problems of files, with the documents that are hit."""
    named = files.named_files(view)
    if not any(problem.file in named for problem in found):
        return found
    with database.connect(stored.folder, stored.name) as connection:
        rows = chunk_rows.read_rows(connection)
    return [
        replace(problem, documents=tuple(titles_in(stored.folder, view, rows, problem.file)))
        if problem.file in named
        else problem
        for problem in found
    ]


def _look_again(stored: StoredMemory) -> State | None:
    with database.connect(stored.folder, stored.name) as connection:
        return database.read_unchecked(connection).state


def check_memory(view: View, memory: Memory) -> list[Problem]:
    """Contradictions between a memory and the database's view of it, except for numbers."""
    if view.state is None:
        return []
    geometry = view.identity.geometry
    ordered = geometry.get("ages_in_stm", True) and geometry.get("drop", "oldest") == "oldest"
    limits = (view.state.clock, view.chunks)
    stm, parts = memory.stm, list(zip(view.segments, memory.segments, strict=True))
    found = [Problem(view.state.stm_file, message) for message in check_stm(geometry, stm)]
    for row, segment in parts:
        found += [Problem(row.file, message) for message in check_segment(segment, stm)]
    if found:
        return found
    born = memory.clock - 1 - stm.ages
    for message in _check_tokens(born, stm.tokens.chunks, limits, ordered):
        found.append(Problem(view.state.stm_file, message))
    for row, segment in parts:
        for message in _check_tokens(segment.born, segment.tokens.chunks, limits, ordered):
            found.append(Problem(row.file, message))
    if ordered and not found:
        times = [*(segment.born for segment in memory.segments), born]
        chunks = [*(segment.tokens.chunks for segment in memory.segments), stm.tokens.chunks]
        for message in _check_order(times, chunks, memory.clock):
            found.append(Problem(database.FILE, message))
    return found


def check_database(folder: Path, name: str) -> tuple[View | None, list[Problem]]:
    """The view of a memory's database, and what does not fit together in it; no view where values in it
    are not of the kind that they must be."""
    with database.connect(folder, name) as connection:
        messages = check_digests(connection)
        view = database.read_unchecked(connection)
        rows = chunk_rows.read_rows(connection)
        messages += chunk_rows.read_sound(connection)[1]
    wrong = [*check_view(view)]
    if wrong:
        return None, [Problem(database.FILE, message) for message in messages + wrong]
    wrong = [*check_chunks(rows, view)]
    messages += [*check_counts(view), *wrong]
    tokens = view.state.tokens if view.state else 0
    if len(rows) != view.chunks:
        messages.append(f"has the text of {len(rows)} chunks instead of {view.chunks}")
    elif not wrong and sum(row[4] for row in rows) != tokens:
        messages.append(f"the chunks have not the {tokens} tokens that were read")
    counts = Counter(row[1] for row in rows)
    for document in view.documents:
        read = counts[document.id]
        if read != document.chunks_read or read > document.chunks:
            messages.append(
                f"document {document.id} has {read} chunks instead of {document.chunks_read}"
            )
    return view, [Problem(database.FILE, message) for message in messages]


def check_digests(connection: sqlite3.Connection) -> list[str]:
    """What is wrong with the database by itself: its pages, its references, its rows' digests."""
    found = [row[0] for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
    found += wrong_tables(connection)
    found += [
        f"row {row[1]} of {row[0]} refers to a row of {row[2]} that is not there"
        for row in connection.execute("PRAGMA foreign_key_check")
    ]
    with database.transaction(connection, write=False):
        state = connection.execute("SELECT chunks_sha256 FROM state").fetchone()
        rows = connection.execute("SELECT * FROM chunks ORDER BY number")
        try:
            if chain("", rows) != (state[0] if state else ""):
                found.append("the chunks are not those that were read")
            if not PLACES.is_intact(connection):
                found.append("the places of chunks are not those that were written")
            if not METADATA.is_intact(connection):
                found.append(database.OTHER_METADATA)
            if not CHECKSUMS.is_intact(connection):
                found.append("the checksums of chunks are not those that were written")
        except TypeError as error:  # bytes where there should be text
            found.append(f"{NOT_WRITTEN} ({error})")
        found += wrong_seals(connection)
    return found


def _check_files(folder: Path, view: View, progress: Progress | None) -> list[Problem]:
    named = files.named_files(view)
    total = sum(size for size, _ in named.values())
    done, found = 0, []
    for file, (size, sha256) in named.items():
        try:
            for message in _check_file(folder / file, size, sha256, _after(done, total, progress)):
                found.append(Problem(file, message))
        except OSError as error:
            found.append(Problem(file, f"cannot be read: {error.strerror}"))
        done += size
    return found


def _check_file(
    path: Path, size: int, sha256: str, progress: Callable[[int], None]
) -> Iterator[str]:
    if not path.exists():
        yield "is missing"
        return
    found = path.stat().st_size
    if found != size:
        yield f"has {found} bytes instead of {size}"
        return
    if files.digest(path, progress) != sha256:
        yield "is not what was written: its checksum differs"


def _after(done: int, total: int, progress: Progress | None) -> Callable[[int], None]:
    def report(read: int) -> None:
        if progress is not None:
            progress(done + read, total)

    return report


def _check_tensors(folder: Path, view: View) -> list[Problem]:
    assert view.state is not None
    try:
        memory = files.open_memory(folder, view, "cpu")
    except DamagedFile as error:
        return [Problem(error.file, error.reason)]
    found = check_memory(view, memory)
    parts = {view.state.stm_file: {**memory.stm.tokens.tensors(), "tail": memory.stm.tail}}
    for row, segment in zip(view.segments, memory.segments, strict=True):
        parts[row.file] = segment.tokens.tensors()
    for file, tensors in parts.items():
        found += [Problem(file, message) for message in check_numbers(tensors)]
    return found


def _check_tokens(
    born: Tensor, chunks: Tensor, limits: tuple[int, int], ordered: bool
) -> Iterator[str]:
    """Check times of birth and chunk numbers (L or 1, n) against the clock and the chunks read.

    `ordered`: the oldest tokens are dropped first, and ages count from when they were written.
    """
    clock, count = limits
    if not born.shape[1]:
        return
    if int(born.max()) >= clock:
        yield f"has tokens younger than the memory's clock ({clock})"
    if int(born.min()) < 0:
        yield "has tokens older than the memory"
    if ordered and bool((born.diff(dim=1) < 0).any()):
        yield "has tokens that are not in the order they were written"
    if int(chunks.max()) >= count or int(chunks.min()) < -1:
        yield f"has tokens of chunks that were never read ({count} were)"


def _check_order(times: Sequence[Tensor], chunks: Sequence[Tensor], clock: int) -> Iterator[str]:
    """Check times of birth and chunk numbers (L or 1, n), one part after the other: every memory token
    was written right after the one before it, and the last one last."""
    from models.memory import cat_layers

    born = cat_layers(times)
    steps = born.diff(dim=1)
    if bool((steps < 0).any()):
        yield "names long-term memory in another order"
    elif bool((steps != 1).any()) or bool((born[:, -1:] != clock - 1).any()):
        yield "names memory tokens of other times than they were written"
    if bool((cat_layers(chunks).diff(dim=1) < 0).any()):
        yield "names memory tokens in another order than their chunks"
