"""The rows of `memory.db` that hold chunks, and those that say where in a document each stands.

Places have a table of their own, whose digest is a setting: so an mplus that knows no places goes on
to read and write this format, and a memory that such a one wrote is read here without places.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from mplus_cli.library.seal import Row, chain
from mplus_cli.library.values import ChunkRow
from mplus_cli.place import Place

PLACES = """
CREATE TABLE IF NOT EXISTS places (
    number INTEGER PRIMARY KEY REFERENCES chunks (number), place TEXT NOT NULL)
"""
_DIGEST = "places_sha256"
"""The key in `settings` of a digest over all rows of `places`; absent where there are none."""
_CHUNKS = """
SELECT chunks.number, document, title, path, position, text, chunks.tokens, first_page, last_page,
    {place} FROM chunks JOIN documents ON documents.id = chunks.document {join}
"""


def read_chunks(connection: sqlite3.Connection, below: int) -> list[ChunkRow]:
    """The chunks with numbers under `below`, ascending."""
    query = f"{_query(connection)} WHERE chunks.number < ? ORDER BY chunks.number"
    return [_chunk_row(row) for row in connection.execute(query, (below,))]


def read_rows(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
    """All rows as they stand there, whatever they say."""
    columns = "number, document, position, text, tokens, first_page, last_page"
    return list(connection.execute(f"SELECT {columns} FROM chunks ORDER BY number"))


def read_texts(connection: sqlite3.Connection, below: int) -> list[str]:
    """The texts of the chunks with numbers under `below`, ascending."""
    rows = connection.execute("SELECT text FROM chunks WHERE number < ? ORDER BY number", (below,))
    return [text for (text,) in rows]


def read_numbers(connection: sqlite3.Connection, documents: Sequence[int]) -> list[int]:
    """The numbers of the chunks of documents, by their ids."""
    marks = ", ".join("?" * len(documents))
    query = f"SELECT number FROM chunks WHERE document IN ({marks})"
    return [number for (number,) in connection.execute(query, tuple(documents))]


def read_chunk(connection: sqlite3.Connection, number: int) -> ChunkRow | None:
    """Chunk `number`, None where there is none."""
    query = f"{_query(connection)} WHERE chunks.number = ?"
    row = connection.execute(query, (number,)).fetchone()
    return _chunk_row(row) if row else None


def put_chunks(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Add chunks."""
    connection.executemany("INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


def put_places(connection: sqlite3.Connection, places: Mapping[int, Place]) -> None:
    """Add places, by the numbers of their chunks, ascending."""
    if not places:
        return
    connection.execute(PLACES)
    rows = [(number, place.dumps()) for number, place in places.items()]
    connection.executemany("INSERT INTO places VALUES (?, ?)", rows)
    digest = chain(_places_digest(connection), rows)
    connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (_DIGEST, digest))


def are_places_intact(connection: sqlite3.Connection) -> bool:
    """Whether the rows of `places` are those that were written."""
    rows: Iterable[Row] = ()
    if _has_places(connection):
        rows = connection.execute("SELECT number, place FROM places ORDER BY number")
    return chain("", rows) == _places_digest(connection)


def check_places(connection: sqlite3.Connection) -> Iterator[str]:
    """What cannot be in the rows of `places`."""
    if _has_places(connection):
        for number, place in connection.execute("SELECT number, place FROM places"):
            try:
                Place.loads(place)
            except ValueError as error:
                yield f"place {number} is not readable ({error})"


def _query(connection: sqlite3.Connection) -> str:
    """The query for chunks, with their places where the memory has any."""
    if not _has_places(connection):
        return _CHUNKS.format(place="NULL", join="")
    return _CHUNKS.format(place="place", join="LEFT JOIN places ON places.number = chunks.number")


def _has_places(connection: sqlite3.Connection) -> bool:
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'places'"
    return connection.execute(query).fetchone() is not None


def _places_digest(connection: sqlite3.Connection) -> str:
    query = "SELECT value FROM settings WHERE key = ?"
    row = connection.execute(query, (_DIGEST,)).fetchone()
    return str(row[0]) if row else ""


def _chunk_row(row: Sequence[Any]) -> ChunkRow:
    *values, text = row
    try:
        place = None if text is None else Place.loads(text)
    except ValueError as error:
        raise sqlite3.DatabaseError(f"place {row[0]} is not readable ({error})") from error
    return ChunkRow(*(*values, place))
