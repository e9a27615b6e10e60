"""The tables of `memory.db`: their definitions, and whether those in a file are what was written.

SQLite keeps definitions as text in the file itself, where a changed byte may give other columns or
another key. They are compared with those here, and a setting or a time is never looked up in an index,
of which SQLite keeps no digest and neither do we: only tables are sealed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

_TABLES = {
    "settings": "(key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "times": "(what TEXT PRIMARY KEY, at TEXT NOT NULL)",
    "documents": """(
    id INTEGER PRIMARY KEY, path TEXT NOT NULL, title TEXT NOT NULL, sha256 TEXT NOT NULL,
    kind TEXT NOT NULL, pages INTEGER, tokens INTEGER NOT NULL, chunks INTEGER NOT NULL,
    chunks_read INTEGER NOT NULL, digest TEXT NOT NULL)""",
    "chunks": """(
    number INTEGER PRIMARY KEY, document INTEGER NOT NULL REFERENCES documents (id),
    position INTEGER NOT NULL, text TEXT NOT NULL, tokens INTEGER NOT NULL,
    first_page INTEGER, last_page INTEGER)""",
    "places": """(
    number INTEGER PRIMARY KEY REFERENCES chunks (number), place TEXT NOT NULL)""",
    "checksums": """(
    number INTEGER PRIMARY KEY REFERENCES chunks (number), sha256 TEXT NOT NULL)""",
    "segments": """(
    number INTEGER PRIMARY KEY, file TEXT NOT NULL, tokens INTEGER NOT NULL,
    skip INTEGER NOT NULL, bytes INTEGER NOT NULL, sha256 TEXT NOT NULL)""",
    "state": """(
    id INTEGER PRIMARY KEY CHECK (id = 1), number INTEGER NOT NULL, clock INTEGER NOT NULL,
    chunks INTEGER NOT NULL, tokens INTEGER NOT NULL, stm_file TEXT NOT NULL,
    stm_tokens INTEGER NOT NULL, stm_bytes INTEGER NOT NULL, stm_sha256 TEXT NOT NULL,
    chunks_sha256 TEXT NOT NULL, seal TEXT NOT NULL)""",
    "metadata": """(
    document INTEGER PRIMARY KEY REFERENCES documents (id), author TEXT, date TEXT)""",
}
_INDEX = "documents_sha256", "documents", "CREATE INDEX documents_sha256 ON documents (sha256)"
_LATER = ("places", "checksums", "metadata")
"""Tables that a memory of an earlier mplus does not have until something is put there."""


def create_tables(connection: sqlite3.Connection) -> None:
    """Make the tables of a new memory; `metadata` comes with its first row."""
    for name in _TABLES:
        if name != "metadata":
            create_table(connection, name)
        if name == _INDEX[1]:
            connection.execute(_INDEX[2])


def create_table(connection: sqlite3.Connection, name: str) -> None:
    """Make a table, if it is not there yet."""
    connection.execute(f"CREATE TABLE IF NOT EXISTS {name} {_TABLES[name]}")


def has_table(connection: sqlite3.Connection, name: str) -> bool:
    """Whether there is such a table."""
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return connection.execute(query, (name,)).fetchone() is not None


def check_tables(connection: sqlite3.Connection) -> None:
    """Compare the definitions in the file with those here; sqlite3.DatabaseError if one is wrong."""
    for wrong in wrong_tables(connection):
        raise sqlite3.DatabaseError(wrong)


def wrong_tables(connection: sqlite3.Connection) -> Iterator[str]:
    """What is wrong with the definitions in the file. Tables of a later mplus may be there as well."""
    query = "SELECT name, type, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL"
    found = {name: rest for name, *rest in connection.execute(query)}
    wanted = {
        name: ["table", name, f"CREATE TABLE {name} {columns}"]
        for name, columns in _TABLES.items()
        if name in found or name not in _LATER
    }
    if _INDEX[0] in found:
        wanted[_INDEX[0]] = ["index", *_INDEX[1:]]
    for name, definition in wanted.items():
        if found.get(name) != definition:
            yield f"table {name} is not defined as it was written"


def setting(connection: sqlite3.Connection, key: str) -> str | None:
    """The value of a setting, None without one."""
    query = "SELECT value FROM settings NOT INDEXED WHERE key = ?"
    row = connection.execute(query, (key,)).fetchone()
    return None if row is None else str(row[0])


def put_setting(connection: sqlite3.Connection, key: str, value: str) -> None:
    """Write a setting, over an earlier value."""
    connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (key, value))
