"""The rows of `memory.db` that say who wrote a document and when, where its file says so.

They have a table of their own, made with its first row, whose digest is a setting: as with places, an
mplus that knows nothing of it goes on to read and write this format.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

from mplus_cli.library.seal import Row, chain
from mplus_cli.library.values import NewDocument

_TABLE = """
CREATE TABLE IF NOT EXISTS metadata (
    document INTEGER PRIMARY KEY REFERENCES documents (id), author TEXT, date TEXT)
"""
_DIGEST = "metadata_sha256"
"""The key in `settings` of a digest over all rows of `metadata`; absent where there are none."""


def columns(connection: sqlite3.Connection) -> tuple[str, str]:
    """What a query of `documents` selects for author and date, and what it joins for that."""
    if not _has_table(connection):
        return "NULL, NULL", ""
    return "author, date", "LEFT JOIN metadata ON metadata.document = documents.id"


def put_metadata(connection: sqlite3.Connection, documents: Mapping[int, NewDocument]) -> None:
    """Add what is known of new documents, by their ids, ascending."""
    rows = [
        (number, new.author, new.date)
        for number, new in documents.items()
        if (new.author, new.date) != (None, None)
    ]
    if not rows:
        return
    connection.execute(_TABLE)
    connection.executemany("INSERT INTO metadata VALUES (?, ?, ?)", rows)
    digest = chain(_digest(connection), rows)
    connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (_DIGEST, digest))


def is_metadata_intact(connection: sqlite3.Connection) -> bool:
    """Whether the rows of `metadata` are those that were written."""
    rows: Iterable[Row] = ()
    if _has_table(connection):
        rows = connection.execute("SELECT document, author, date FROM metadata ORDER BY document")
    return chain("", rows) == _digest(connection)


def _has_table(connection: sqlite3.Connection) -> bool:
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'metadata'"
    return connection.execute(query).fetchone() is not None


def _digest(connection: sqlite3.Connection) -> str:
    query = "SELECT value FROM settings WHERE key = ?"
    row = connection.execute(query, (_DIGEST,)).fetchone()
    return str(row[0]) if row else ""
