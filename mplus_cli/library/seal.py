"""Digests over rows of `memory.db`, by which `mplus memory verify` recognises them.

Times are left out: they are the only values that differ between equal runs.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable

Row = tuple[int | str | None, ...]
"""A row of `chunks`: number, document, position, text, tokens, first_page, last_page.

Or of `places`: number, place. Or of `metadata`: document, author, date.
"""


def chain(start: str, rows: Iterable[Row]) -> str:
    """A digest over rows of one of these tables, given the one over those before them ("" if none)."""
    for row in rows:
        content = json.dumps(row, separators=(",", ":"))
        start = hashlib.sha256(f"{start}{content}".encode()).hexdigest()
    return start


def seal(connection: sqlite3.Connection) -> str:
    """A digest over all rows but the times; of the chunks, over their digest in `state`."""
    digest = hashlib.sha256()
    for table in ("settings", "documents", "segments", "state"):
        for row in connection.execute(f"SELECT * FROM {table} ORDER BY 1"):
            values = row[:-1] if table == "state" else row  # without the seal itself
            digest.update(json.dumps(values).encode())
    return digest.hexdigest()
