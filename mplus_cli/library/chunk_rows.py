"""The rows of `memory.db` that hold chunks, each with its place in its document and its checksum."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from mplus_cli.library.seal import checksum, covered_chunks, put_checksums
from mplus_cli.library.side_tables import CHECKSUMS, PLACES, Row, chain
from mplus_cli.library.values import ChunkRow
from mplus_cli.place import Place

_CHUNKS = """
SELECT chunks.number, document, title, path, position, text, chunks.tokens, first_page, last_page,
    {place}, {checksum} FROM chunks LEFT JOIN documents ON documents.id = chunks.document {joins}
"""


def read_chunks(connection: sqlite3.Connection, below: int) -> list[ChunkRow]:
    """The chunks with numbers under `below`, ascending, each compared with its checksum.

    Raises:
        sqlite3.DatabaseError: one is missing or is not what was written.
    """
    return [_chunk_row(row) for row in _read_below(connection, below)]


def read_texts(connection: sqlite3.Connection, below: int) -> list[str]:
    """The texts of the chunks with numbers under `below`, ascending; raises as `read_chunks` does."""
    return [str(_checked(row)[5]) for row in _read_below(connection, below)]


def read_numbers(connection: sqlite3.Connection, documents: Sequence[int]) -> list[int]:
    """The numbers of the chunks of documents, by their ids; raises as `read_chunks` does."""
    (chunks,) = connection.execute("SELECT chunks FROM state").fetchone() or (0,)
    return [row.number for row in read_chunks(connection, chunks) if row.document_id in documents]


def read_rows(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
    """All rows as they are, unchecked."""
    columns = "number, document, position, text, tokens, first_page, last_page"
    return list(connection.execute(f"SELECT {columns} FROM chunks ORDER BY number"))


def read_chunk(connection: sqlite3.Connection, number: int) -> ChunkRow:
    """Chunk `number`, compared with its checksum; sqlite3.DatabaseError if it is not what was written."""
    query = f"{_query(connection)} WHERE chunks.number = ?"
    row = connection.execute(query, (number,)).fetchone()
    if row is None or row[0] != number:
        raise sqlite3.DatabaseError(f"chunk {number} has no text")
    return _chunk_row(row)


def read_sound(connection: sqlite3.Connection) -> tuple[list[ChunkRow], list[str]]:
    """The chunks that are what was written, ascending, and what is wrong with the others."""
    sound, wrong = [], []
    for row in connection.execute(f"{_query(connection)} ORDER BY chunks.number"):
        try:
            sound.append(_chunk_row(row))
        except sqlite3.DatabaseError as error:
            wrong.append(str(error))
    return sound, wrong


def put_chunks(
    connection: sqlite3.Connection, rows: Sequence[Row], places: Mapping[int, Place]
) -> None:
    """Add chunks, and the places of those that have one, by number."""
    connection.executemany("INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    texts = {number: place.dumps() for number, place in places.items()}
    if texts:
        PLACES.put(connection, list(texts.items()))
    put_checksums(connection, [(*row, texts.get(int(row[0] or 0))) for row in rows])


def cover(connection: sqlite3.Connection, chunks: int, chunks_sha256: str) -> None:
    """Add the checksums of chunks that an earlier mplus read without.

    Args:
        chunks: how many there are.
        chunks_sha256: the digest over all of them.

    Raises:
        sqlite3.DatabaseError: they are not those that were read.
    """
    covered = covered_chunks(connection)
    if covered == chunks:
        return
    rows = read_rows(connection)
    if chain("", rows) != chunks_sha256 or not PLACES.is_intact(connection):
        raise sqlite3.DatabaseError("the chunks are not those that were read")
    places = {row[0]: row[1] for row in PLACES.rows(connection)}
    put_checksums(connection, [(*row, places.get(row[0])) for row in rows[covered:]])


def _read_below(connection: sqlite3.Connection, below: int) -> list[Sequence[Any]]:
    query = f"{_query(connection)} WHERE chunks.number < ? ORDER BY chunks.number"
    found = list(connection.execute(query, (below,)))
    if [row[0] for row in found] != [*range(below)]:
        raise sqlite3.DatabaseError(f"{below - len(found)} of {below} chunks have no text")
    return found


def _query(connection: sqlite3.Connection) -> str:
    """The query for chunks, with their places and checksums where the memory has any."""
    (place, places), (digest, checksums) = (side.joined(connection) for side in (PLACES, CHECKSUMS))
    return _CHUNKS.format(place=place, checksum=digest, joins=f"{places} {checksums}")


def _chunk_row(row: Sequence[Any]) -> ChunkRow:
    number, document, title, path, position, *text, place, _ = _checked(row)
    try:
        found = None if place is None else Place.loads(place)
    except ValueError as error:
        raise _damaged(row, error) from error
    return ChunkRow(
        *(*text, found),
        number=number,
        document_id=document,
        document_title=title,
        document_path=path,
        position=position,
    )


def _checked(row: Sequence[Any]) -> Sequence[Any]:
    """A row of `_query`, compared with its checksum where it has one."""
    number, document, title, _, position, text, *rest, stated = row
    try:
        if stated is None:
            text.encode()  # bytes that are not text
        elif checksum((number, document, position, text, *rest)) != stated:
            raise ValueError("it is not what was written")
        if title is None:
            raise ValueError("its document is not there")
    except (ValueError, TypeError, AttributeError) as error:
        raise _damaged(row, error) from error
    return row


def _damaged(row: Sequence[Any], error: Exception) -> sqlite3.DatabaseError:
    return sqlite3.DatabaseError(f'chunk {row[0]}, of "{row[2]}", is damaged ({error})')
