"""The documents of a damaged memory whose text is intact, and from which it can be rebuilt.

Reads the rows of `memory.db`, no tensors, and writes nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mplus_cli.errors import MismatchError
from mplus_cli.library import chunk_rows, database
from mplus_cli.library.schema import NOTE, check_view
from mplus_cli.library.seal import wrong_seals
from mplus_cli.library.side_tables import METADATA
from mplus_cli.library.values import ChunkRow, DocumentRow, View

if TYPE_CHECKING:
    from mplus_cli.library.stored import StoredMemory


@dataclass(frozen=True, slots=True)
class LostDocument:
    """A document that cannot be kept."""

    title: str
    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Salvage:
    """What is sound of a memory."""

    view: View
    """As its rows have it, sound or not."""
    documents: tuple[DocumentRow, ...]
    chunks: tuple[ChunkRow, ...]
    """Of these documents, in the order they were read in."""
    lost: tuple[LostDocument, ...]
    doubts: tuple[str, ...]
    """What may still be wrong, as lines for the user."""

    def without(self, lost: LostDocument, number: int) -> Salvage:
        """The same without a document, by its number, that turns out to be lost."""
        return replace(
            self,
            documents=tuple(row for row in self.documents if row.id != number),
            chunks=tuple(row for row in self.chunks if row.document_id != number),
            lost=(*self.lost, lost),
        )


def find_sound(stored: StoredMemory) -> Salvage:
    """Find the documents whose text is intact.

    Raises:
        MismatchError: its database cannot be read, or says what cannot be.
    """
    with (
        database.connect(stored.folder, stored.name) as connection,
        database.transaction(connection, write=False),
    ):
        view = database.view_within(connection)
        if not NOTE.allows(view.note):
            view = replace(view, note=None)
        for wrong in check_view(view):
            raise sqlite3.DatabaseError(f"{wrong}, so that nothing can be kept")
        sealed = not [*wrong_seals(connection)]
        stated = METADATA.is_intact(connection)
        chunks, _ = chunk_rows.read_sound(connection)
    if view.state is None:
        raise MismatchError(
            f'memory "{stored.name}" is damaged and has no text: remove it with `mplus memory rm '
            f"{stored.name}`"
        )
    if not stated:
        bare = tuple(replace(row, author=None, date=None) for row in view.documents)
        view = replace(view, documents=bare)
    sound = {row.id for row in view.documents if _is_whole(row, chunks)}
    return Salvage(
        view,
        tuple(row for row in view.documents if row.id in sound),
        tuple(row for row in chunks if row.document_id in sound),
        tuple(_lost(row, chunks) for row in view.documents if row.id not in sound),
        tuple(_doubts(sealed, stated)),
    )


def _is_whole(row: DocumentRow, chunks: list[ChunkRow]) -> bool:
    positions = [chunk.position for chunk in chunks if chunk.document_id == row.id]
    return bool(positions) and positions == [*range(row.chunks_read)]


def _lost(row: DocumentRow, chunks: list[ChunkRow]) -> LostDocument:
    sound = sum(chunk.document_id == row.id for chunk in chunks)
    return LostDocument(
        row.title, row.path, f"{row.chunks_read - sound} of {row.chunks_read} chunks damaged"
    )


def _doubts(sealed: bool, stated: bool) -> Iterator[str]:
    if not sealed:
        yield "titles, paths, page counts and times may be damaged: check `mplus memory show`"
    if not stated:
        yield "authors and dates are damaged and left out"
