"""`memory.db`: the SQLite file of a memory, whose last transaction is the memory's last commit.

Deals with rows only: no tensors, and no files but its own.

Table `times` alone holds wall-clock values, and how the files were when they were last checked. All
other tables depend only on what was read and in which order: an interrupted and resumed run leaves the
same rows as an uninterrupted one.

A rollback journal with synchronous=EXTRA leaves one file at rest, and what was committed stays so
through a power cut: files that a commit replaces may be deleted right after it.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mplus_cli.errors import MismatchError, disk_errors
from mplus_cli.library.earlier import EARLIER, loads
from mplus_cli.library.privacy import FILE as FILE_MODE
from mplus_cli.library.schema import check_view
from mplus_cli.library.seal import check_seals, is_covered, put_checksums, put_seals
from mplus_cli.library.side_tables import METADATA
from mplus_cli.library.sqlite_errors import sqlite_errors
from mplus_cli.library.tables import check_tables, create_tables
from mplus_cli.library.values import (
    DocumentRow,
    ModelIdentity,
    NewDocument,
    SegmentRow,
    State,
    View,
)

FILE = "memory.db"
SCHEMA_VERSION = 2
"""The newest format; 1 where long-term memory is exact, so that an older mplus goes on to read it."""
BUSY_SECONDS = 30.0
REBUILT = "rebuilt"
"""In `times`: when a document left the memory last."""
_NOTE = "note"
"""In `settings`, which an mplus that knows nothing of it seals and keeps: the user's note."""
# In `times`: when a document was first read, and how a file was.
_DOCUMENT, _FILE = "document/", "file/"

_DOCUMENTS = """
SELECT id, chunks_read, path, title, sha256, kind, pages, tokens, chunks, digest, {metadata}
FROM documents {join} ORDER BY id
"""
OTHER_METADATA = "the authors and dates are not those that were written"
Connection = sqlite3.Connection


def now(timespec: str = "seconds") -> str:
    """The time as the database writes it; with "microseconds" no two moments share it."""
    return datetime.now(UTC).isoformat(timespec=timespec)


@contextmanager
def connect(folder: Path, name: str) -> Iterator[Connection]:
    """The database of memory `name` in `folder`, which must be there.

    It is opened for writing even to read, so that a half-written transaction of a killed process is
    rolled back.

    Raises:
        MismatchError: it is damaged, missing, or of a newer mplus.
        MplusError: the memory is gone, the disk is full, or the file cannot be opened.
    """
    file = folder / FILE
    with sqlite_errors(file, name), closing(_open(file, "rw")) as connection:
        _configure(connection)
        # Bytes that are not text are told from text by its digest, not by an error that names no row.
        connection.text_factory = _decoded
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise MismatchError(
                f'memory "{name}" was written by a newer mplus (format {version}, this one reads '
                f"up to {SCHEMA_VERSION}): upgrade mplus"
            )
        if version < 1:
            raise MismatchError(
                f'memory "{name}" is damaged: {FILE} is not the database of a memory: '
                "remove the memory and read its documents again"
            )
        yield connection


def create(folder: Path, name: str, identity: ModelIdentity, created: str, updated: str) -> None:
    """Write a new database, of a memory that has read nothing, into `folder`."""
    file = folder / FILE
    settings = {
        "model": identity.name,
        "fingerprint": identity.fingerprint,
        "geometry": json.dumps(identity.geometry, sort_keys=True),
    }
    # SQLite makes files that everybody may read; its journals get the permissions of the database.
    with disk_errors():
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE))
    with sqlite_errors(file, name), closing(_open(file, "rw")) as connection:
        _configure(connection)
        with transaction(connection):
            create_tables(connection)
            connection.executemany("INSERT INTO settings VALUES (?, ?)", sorted(settings.items()))
            put_times(connection, {"created": created, "updated": updated})
            put_checksums(connection, [])
            put_seals(connection)
            connection.execute(f"PRAGMA user_version = {format_version(identity.geometry)}")


def format_version(geometry: Mapping[str, Any]) -> int:
    """The oldest format that can say what a memory of this geometry holds."""
    return 1 if geometry.get("ltm_format", "exact") == "exact" else SCHEMA_VERSION


@contextmanager
def transaction(connection: Connection, *, write: bool = True) -> Iterator[None]:
    """One transaction: all of the block's statements, or none; a reader sees one commit."""
    connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def read_view(connection: Connection) -> View:
    """The view of the last commit, as it was written and with every value of the right kind.

    Raises:
        sqlite3.DatabaseError: something is not; the first that is found.
    """
    with transaction(connection, write=False):
        check_rows(connection)
        view = view_within(connection)
    for wrong in check_view(view):
        raise sqlite3.DatabaseError(wrong)
    return view


@contextmanager
def reading(folder: Path, name: str) -> Iterator[Connection]:
    """A transaction that sees the last commit, all rows but those of chunks compared with their seals.

    Raises: as `connect` does.
    """
    with connect(folder, name) as connection, transaction(connection, write=False):
        check_rows(connection)
        yield connection


def check_rows(connection: Connection) -> None:
    """Compare the tables' definitions, and all rows but those of chunks with their digests;
    sqlite3.DatabaseError if one is wrong."""
    check_tables(connection)
    check_seals(connection)
    if not METADATA.is_intact(connection):
        raise sqlite3.DatabaseError(OTHER_METADATA)


def read_unchecked(connection: Connection) -> View:
    """The view of the last commit, whatever its values; sqlite3.DatabaseError if some are missing."""
    with transaction(connection, write=False):
        return view_within(connection)


def view_within(connection: Connection) -> View:
    """What a transaction sees now; sqlite3.DatabaseError if settings are missing."""
    settings = dict(connection.execute("SELECT key, value FROM settings"))
    times = dict(connection.execute("SELECT what, at FROM times"))
    state = connection.execute(
        "SELECT number, clock, chunks, tokens, stm_file, stm_tokens, stm_bytes, stm_sha256, "
        "chunks_sha256 FROM state"
    ).fetchone()
    segments = connection.execute(
        "SELECT number, file, tokens, skip, bytes, sha256 FROM segments ORDER BY number"
    ).fetchall()
    metadata, join = METADATA.joined(connection)
    documents = connection.execute(_DOCUMENTS.format(metadata=metadata, join=join)).fetchall()
    try:
        geometry = json.loads(settings["geometry"])
        return View(
            ModelIdentity(settings["model"], settings["fingerprint"], geometry),
            State(*state) if state else None,
            tuple(SegmentRow(*row) for row in segments),
            tuple(_document_row(row, times) for row in documents),
            times["created"],
            times["updated"],
            {what.removeprefix(_FILE): at for what, at in times.items() if what.startswith(_FILE)},
            str(times.get(REBUILT, "")),
            is_covered(connection),
            settings.get(_NOTE),
            loads(times.get(EARLIER, "")),
        )
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise sqlite3.DatabaseError(f"settings are not readable ({error})") from error


def _document_row(row: Sequence[Any], times: Mapping[str, str]) -> DocumentRow:
    number, chunks_read, *rest = row
    added = times.get(f"{_DOCUMENT}{number}", "")
    return DocumentRow(*rest, id=number, chunks_read=chunks_read, added=added)


def put_documents(connection: Connection, documents: Mapping[int, NewDocument], at: str) -> None:
    """Add documents, by id, of which nothing was read yet."""
    for number, new in documents.items():
        connection.execute(
            "INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?)",
            (
                number,
                new.path,
                new.title,
                new.sha256,
                new.kind,
                new.pages,
                new.tokens,
                new.chunks,
                new.digest,
            ),
        )
        put_times(connection, {f"{_DOCUMENT}{number}": new.added or at})
    stated = [(number, new.author, new.date) for number, new in documents.items()]
    if rows := [row for row in stated if row[1:] != (None, None)]:
        METADATA.put(connection, rows)


def put_progress(connection: Connection, document: int, chunks_read: int) -> None:
    """Record how much of a document was read."""
    connection.execute("UPDATE documents SET chunks_read = ? WHERE id = ?", (chunks_read, document))


def put_segments(connection: Connection, rows: Sequence[SegmentRow]) -> None:
    """Record these as the files of long-term memory."""
    connection.execute("DELETE FROM segments")
    connection.executemany(
        "INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?)",
        [(row.number, row.file, row.tokens, row.skip, row.bytes, row.sha256) for row in rows],
    )


def put_state(connection: Connection, state: State) -> None:
    """Record the state of the memory and seal all rows; the last step of a commit."""
    marks = "?, " * len(fields(state))
    connection.execute(f"INSERT OR REPLACE INTO state VALUES (1, {marks}'')", astuple(state))
    put_seals(connection)


def put_times(connection: Connection, times: Mapping[str, str]) -> None:
    """Set wall-clock values: `created`, `updated`, `document/<id>`, `file/<name>`."""
    connection.executemany("INSERT OR REPLACE INTO times VALUES (?, ?)", list(times.items()))


def change_times(connection: Connection, times: Mapping[str, str]) -> None:
    """Set wall-clock values of a memory beside its commits, and seal them."""
    with transaction(connection):
        put_times(connection, times)
        put_seals(connection)


def put_note(connection: Connection, note: str | None) -> None:
    """Record the user's note, or that there is none. Seals nothing."""
    connection.execute("DELETE FROM settings NOT INDEXED WHERE key = ?", (_NOTE,))
    if note is not None:
        connection.execute("INSERT INTO settings VALUES (?, ?)", (_NOTE, note))


def put_checked(connection: Connection, stamps: Mapping[str, str]) -> None:
    """Record how files were when they were known to be intact; forget those that are not named."""
    put_times(connection, {_FILE + file: stamp for file, stamp in stamps.items()})
    connection.execute(
        f"DELETE FROM times WHERE what LIKE '{_FILE}%' AND substr(what, {len(_FILE) + 1}) NOT IN "
        "(SELECT file FROM segments UNION SELECT stm_file FROM state)"
    )


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


def _open(file: Path, mode: str) -> Connection:
    uri = f"{file.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)


def _configure(connection: Connection) -> None:
    for pragma in ("synchronous = EXTRA", "fullfsync = ON", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")
