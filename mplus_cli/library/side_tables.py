"""The tables of `memory.db` that came after the first format: places, checksums and metadata.

Each has a row for some of the chunks or documents, and its digest is a setting: an mplus that does not
know the table goes on to read and write this format, and a memory that such a one wrote is read here
without it.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mplus_cli.library.tables import create_table, has_table, put_setting, setting

Row = tuple[int | str | None, ...]
"""A row of a table, as it is digested."""


def chain(start: str, rows: Iterable[Row]) -> str:
    """A digest over rows, given the one over those before them ("" if none)."""
    for row in rows:
        content = json.dumps(row, separators=(",", ":"))
        start = hashlib.sha256(f"{start}{content}".encode()).hexdigest()
    return start


@dataclass(frozen=True, slots=True)
class SideTable:
    """One of them."""

    name: str
    key: str
    """Its first column, which refers to `of`."""
    of: str
    columns: tuple[str, ...]
    """Those behind the key."""

    def exists(self, connection: sqlite3.Connection) -> bool:
        """Whether anything was ever put there."""
        return has_table(connection, self.name)

    def joined(self, connection: sqlite3.Connection) -> tuple[str, str]:
        """What a query of the rows that it belongs to selects of it, and how it joins it."""
        if not self.exists(connection):
            return ", ".join("NULL" for _ in self.columns), ""
        selected = ", ".join(f"{self.name}.{column}" for column in self.columns)
        return selected, f"LEFT JOIN {self.name} ON {self.name}.{self.key} = {self.of}"

    def rows(self, connection: sqlite3.Connection) -> Iterable[Row]:
        """Its rows, ascending."""
        if not self.exists(connection):
            return ()
        selected = ", ".join((self.key, *self.columns))
        return connection.execute(f"SELECT {selected} FROM {self.name} ORDER BY {self.key}")

    def put(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
        """Add rows, ascending, behind those that are there."""
        create_table(connection, self.name)
        marks = ", ".join("?" for _ in (self.key, *self.columns))
        connection.executemany(f"INSERT INTO {self.name} VALUES ({marks})", rows)
        put_setting(connection, self.setting, chain(setting(connection, self.setting) or "", rows))

    def is_intact(self, connection: sqlite3.Connection) -> bool:
        """Whether its rows are those that were put there."""
        return chain("", self.rows(connection)) == (setting(connection, self.setting) or "")

    @property
    def setting(self) -> str:
        """The key in `settings` of the digest over its rows; absent where nothing was ever put there."""
        return f"{self.name}_sha256"


PLACES = SideTable("places", "number", "chunks.number", ("place",))
"""Where in its document a chunk stands."""
CHECKSUMS = SideTable("checksums", "number", "chunks.number", ("sha256",))
"""The digest of a chunk and its place."""
METADATA = SideTable("metadata", "document", "documents.id", ("author", "date"))
"""Who wrote a document and when, where its file says so."""
