"""Rebuilds a damaged memory from the documents whose text is intact, read again in their order.

The damaged memory is left untouched until the new one is complete. Yields typed events and prints nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from mplus_cli.errors import MismatchError, MplusError
from mplus_cli.ingest.events import Event, Rebuilt
from mplus_cli.ingest.rebuilding import pieces_again, reread_rows
from mplus_cli.library import StoredMemory
from mplus_cli.library.salvage import LostDocument, Salvage, find_sound
from mplus_cli.library.schema import same_geometry
from mplus_cli.runtime.session import Session


def find_readable(session: Session, stored: StoredMemory) -> Salvage:
    """What of a memory can be read again: documents whose text is what was written, and gives the tokens
    that it gave.

    Raises:
        MismatchError: nothing can, or another model wrote the memory.
    """
    salvage = find_sound(stored)
    wrote, own = salvage.view.identity, session.identity
    if not own.wrote(wrote) or not same_geometry(wrote.geometry, own.geometry):
        raise MismatchError(
            f'memory "{stored.name}" says that model {wrote} wrote it; it cannot be repaired with {own}: '
            "use that model, or read its documents into a new memory"
        )
    for row in salvage.documents:
        chunks = [chunk for chunk in salvage.chunks if chunk.document_id == row.id]
        try:
            pieces_again(row, chunks, session.plain_tokenizer)
        except MplusError:
            lost = LostDocument(
                row.title, row.path, "its text no longer gives the tokens that were read"
            )
            salvage = salvage.without(lost, row.id)
    if not salvage.documents:
        raise MismatchError(
            f'nothing of memory "{stored.name}" can be kept: load it from a saved file, or remove it '
            f"(`mplus memory rm {stored.name}`) and read its documents again"
        )
    return salvage


def repair(session: Session, stored: StoredMemory, salvage: Salvage) -> Iterator[Event]:
    """Put a memory of what can be read again in the place of a damaged one.

    Raises:
        MplusError: the memory is being written or has changed in the meantime, or the disk is full.
    """
    with session.library.rebuilding(stored.name, salvage.view) as (locked, fresh):
        if find_sound(locked).view.state != salvage.view.state:
            raise MplusError(
                f'memory "{stored.name}" has changed in the meantime: run the same command again'
            )
        yield from reread_rows(
            {row.id: row for row in salvage.documents},
            salvage.chunks,
            fresh,
            session.model,
            session.plain_tokenizer,
            start=session.loaded.initial_memory,
        )
    yield Rebuilt()
