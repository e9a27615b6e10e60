"""Digests over the rows of `memory.db`, by which a changed byte is known before anything is made of it.

`state.seal` is over all rows but chunks and times, and is compared whenever a memory is looked at. Each
chunk has a digest of its own in `checksums`, so that only those that are read are compared; a row of
`times` covers the times. Two equal runs share all rows but the times. A memory that an earlier mplus
wrote has no `checksums` until its next commit, and what `mplus memory verify` compares till then is the
digest over all chunks.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence

from mplus_cli.library.side_tables import CHECKSUMS, Row, chain
from mplus_cli.library.tables import setting

_TIMES_DIGEST = "sha256"
"""The key in `times` of a digest over the times there, except for how files were when they were checked:
what is wrong there costs a comparison with the file's checksum, no more."""
NOT_WRITTEN = "rows are not those that were written"


def checksum(row: Row) -> str:
    """The digest of a chunk.

    Args:
        row: number, document, position, text, tokens, first_page and last_page, as in `chunks`, and its
            place as text, None without one.
    """
    return chain("", [row])


def seal(connection: sqlite3.Connection) -> str:
    """A digest over all rows but the times; of the chunks, over their digest in `state`."""
    digest = hashlib.sha256()
    for table in ("settings", "documents", "segments", "state"):
        for row in connection.execute(f"SELECT * FROM {table} NOT INDEXED ORDER BY 1"):
            values = row[:-1] if table == "state" else row  # without the seal itself
            digest.update(json.dumps(values).encode())
    return digest.hexdigest()


def put_seals(connection: sqlite3.Connection) -> None:
    """Seal all rows as they are now: the last step of a commit. Times are sealed where chunks are."""
    connection.execute("UPDATE state SET seal = ?", (seal(connection),))
    if setting(connection, CHECKSUMS.setting) is None:
        return
    times = (_TIMES_DIGEST, _seal_times(connection))
    connection.execute("INSERT OR REPLACE INTO times VALUES (?, ?)", times)


def put_checksums(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Add the checksums of chunks: their rows as `checksum` takes them, ascending."""
    CHECKSUMS.put(connection, [(row[0], checksum(row)) for row in rows])


def covered_chunks(connection: sqlite3.Connection) -> int:
    """How many chunks have a checksum; those after them were read by an earlier mplus."""
    if not CHECKSUMS.exists(connection):
        return 0
    (last,) = connection.execute("SELECT max(number) FROM checksums").fetchone()
    return 0 if last is None else int(last) + 1


def is_covered(connection: sqlite3.Connection) -> bool:
    """Whether every row was sealed by an mplus that knows checksums."""
    (chunks,) = connection.execute("SELECT coalesce(max(number) + 1, 0) FROM chunks").fetchone()
    return CHECKSUMS.exists(connection) and covered_chunks(connection) == chunks


def check_seals(connection: sqlite3.Connection) -> None:
    """Compare all rows but those of chunks with their seals; sqlite3.DatabaseError if one is wrong."""
    for wrong in wrong_seals(connection):
        raise sqlite3.DatabaseError(wrong)


def wrong_seals(connection: sqlite3.Connection) -> Iterator[str]:
    """What is wrong with the seals of all rows but those of chunks."""
    try:
        state = connection.execute("SELECT seal FROM state").fetchone()
        if state is not None and state[0] != seal(connection):
            yield NOT_WRITTEN
            return
        times = connection.execute(
            "SELECT at FROM times NOT INDEXED WHERE what = ?", (_TIMES_DIGEST,)
        ).fetchone()
        # Without them an earlier mplus made the memory, or wrote to it since: it seals no times.
        covered = is_covered(connection)
        if (times is None) != (setting(connection, CHECKSUMS.setting) is None) or (
            covered and times is not None and times[0] != _seal_times(connection)
        ):
            yield f"times or {NOT_WRITTEN}"
    except TypeError as error:  # bytes where there should be text
        yield f"{NOT_WRITTEN} ({error})"


def _seal_times(connection: sqlite3.Connection) -> str:
    rows = connection.execute(
        "SELECT what, at FROM times NOT INDEXED WHERE what IN ('created', 'updated', 'rebuilt') "
        "OR what LIKE 'document/%' ORDER BY what"
    )
    return chain(seal(connection), rows)
