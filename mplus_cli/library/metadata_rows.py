"""The rows of `memory.db` that say who wrote a document and when, where its file says so.

They have a table of their own, made with its first row, whose digest is a setting: as with places, an
mplus that knows nothing of it goes on to read and write this format.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

from mplus_cli.library.seal import Row, chain
from mplus_cli.library.tables import create_table, has_table, put_setting, setting
from mplus_cli.library.values import NewDocument

_DIGEST = "metadata_sha256"
"""The key in `settings` of a digest over all rows of `metadata`; absent where there are none."""


def columns(connection: sqlite3.Connection) -> tuple[str, str]:
    """What a query of `documents` selects for author and date, and what it joins for that."""
    if not has_table(connection, "metadata"):
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
    create_table(connection, "metadata")
    connection.executemany("INSERT INTO metadata VALUES (?, ?, ?)", rows)
    put_setting(connection, _DIGEST, chain(setting(connection, _DIGEST) or "", rows))


def is_metadata_intact(connection: sqlite3.Connection) -> bool:
    """Whether the rows of `metadata` are those that were written."""
    rows: Iterable[Row] = ()
    if has_table(connection, "metadata"):
        rows = connection.execute("SELECT document, author, date FROM metadata ORDER BY document")
    return chain("", rows) == (setting(connection, _DIGEST) or "")
