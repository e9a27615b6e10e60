"""The database of questions and answers: its tables, and one transaction at a time.

What is removed is overwritten, and the number of a conversation is not used again.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from models.durable import make_folder
from mplus_cli.errors import DISK_FULL, MplusError, disk_errors
from mplus_cli.library.privacy import FILE, FOLDER

_VERSION = 1
_BUSY_SECONDS = 10.0
_MEMORY = ":memory:"
_CONVERSATIONS = """(
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL DEFAULT '', command TEXT NOT NULL,
    memory TEXT NOT NULL, model TEXT NOT NULL, started TEXT NOT NULL)"""
_SCHEMA = f"""
CREATE TABLE conversations {_CONVERSATIONS};
CREATE TABLE turns (
    id INTEGER PRIMARY KEY, conversation INTEGER NOT NULL
        REFERENCES conversations (id) ON DELETE CASCADE,
    at TEXT NOT NULL, question TEXT NOT NULL, answer TEXT NOT NULL, details TEXT NOT NULL);
CREATE INDEX turns_conversation ON turns (conversation);
"""
# Earlier versions gave the numbers of deleted conversations again. They read and write this table as ever.
_NUMBERED = f"""
CREATE TABLE numbered {_CONVERSATIONS};
INSERT INTO numbered SELECT id, name, command, memory, model, started FROM conversations;
DROP TABLE conversations;
ALTER TABLE numbered RENAME TO conversations;
"""


@contextmanager
def writing(path: Path) -> Iterator[sqlite3.Connection]:
    """The database in one transaction; it is made where there is none.

    Raises:
        MplusError: it is damaged or cannot be written.
    """
    _make(path)
    with _connected(path, path) as connection:
        connection.execute("PRAGMA secure_delete = ON")
        # Before foreign keys count: a table that is replaced would take its turns with it.
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            _prepare(connection, path)
        connection.execute("PRAGMA foreign_keys = ON")
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """The database in one transaction, an empty one where nothing was kept yet. Writes nothing.

    Raises:
        MplusError: it is damaged or cannot be read.
    """
    if path.exists():
        with _connected(path, path) as connection, connection:
            connection.execute("BEGIN")
            if _version(connection, path):
                yield connection
                return
    with _connected(_MEMORY, path) as connection:
        _prepare(connection, path)
        yield connection


@contextmanager
def _connected(database: Path | str, path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(database, timeout=_BUSY_SECONDS)) as connection:
            yield connection
    except (sqlite3.Error, ValueError) as error:
        raise _explained(error, path) from error


def _make(path: Path) -> None:
    """Make the file, for its user alone from the first byte."""
    if not path.exists():
        with disk_errors():
            make_folder(path.parent, mode=FOLDER)
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT, FILE))


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """The version of the tables, 0 where there are none yet; MplusError if it is a newer one."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > _VERSION:
        raise MplusError(f"{path} was written by a newer mplus: upgrade mplus")
    return int(version)


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables, or replace the one that gives numbers again."""
    counts = "SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'"
    if _version(connection, path) == 0:
        statements = f"{_SCHEMA}PRAGMA user_version = {_VERSION}"
    elif connection.execute(counts).fetchone() is None:
        statements = _NUMBERED
    else:
        return
    for statement in statements.split(";\n"):
        connection.execute(statement)


def _explained(error: Exception, path: Path) -> MplusError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return MplusError(DISK_FULL)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return MplusError("the history is being written by another process: try again")
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR):
        return MplusError(f"{path} cannot be used: {error}: check it and its permissions")
    return MplusError(f"{path} is damaged ({error}): move it away, and a new one is made")
