"""The text of a document as a memory keeps it, a few chunks at a time: a stretch by number, or the chapter
around a passage. Works on a memory's texts; needs no model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mplus_cli.asking.scope import find_document
from mplus_cli.errors import UsageError
from mplus_cli.library import ChunkRow, DocumentRow, StoredMemory

MOST = 64
"""Chunks of an excerpt at most: of 512 tokens each, some 70 pages."""
AROUND = 6
"""Chunks on each side of a passage, where the document has no chapters."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Chunks of one document, in a row; their texts one after the other are the document's text."""

    document: DocumentRow
    rows: tuple[ChunkRow, ...]
    total: int
    """Chunks that the memory has of the document."""

    @property
    def following(self) -> int | None:
        """The position in the document of the first chunk behind these; None at its end."""
        behind = self.rows[-1].position + 1
        return behind if behind < self.total else None

    def to_json(self) -> dict[str, Any]:
        """The object that the server gives."""
        return {
            "document": self.document.title,
            "path": self.document.path,
            "chunks": [
                {
                    "chunk": row.number,
                    "position": row.position,
                    "pages": None if row.first_page is None else [row.first_page, row.last_page],
                    "place": row.place.to_json() if row.place else None,
                    "text": row.text,
                }
                for row in self.rows
            ],
            "total": self.total,
            "next": self.following,
        }


def read_excerpt(stored: StoredMemory, document: str, first: int, count: int) -> Excerpt:
    """Chunks `first` to `first + count - 1` of a document, as far as it has them.

    Raises:
        UsageError: the name means no document, or several, or there is no such chunk.
    """
    row = find_document(stored.documents(), document)
    numbers = sorted(stored.chunk_numbers([row.id]))
    if not 1 <= count <= MOST:
        raise UsageError(f"{count} chunks are asked for: give a number from 1 to {MOST}")
    if not 0 <= first < len(numbers):
        raise UsageError(
            f'there is no chunk {first} in "{row.title}": it has 0 to {len(numbers) - 1}'
            if numbers
            else f'nothing of "{row.title}" was read yet'
        )
    rows = stored.chunks(numbers[first : first + count])
    return Excerpt(row, tuple(rows), len(numbers))


def read_chapter(stored: StoredMemory, number: int) -> Excerpt:
    """The chunks around chunk `number` that stand in the same section, at most `MOST`; where the document
    has no sections, a few on each side.

    Raises:
        UsageError: there is no such chunk.
    """
    view = stored.view()
    if not 0 <= number < view.chunks:
        raise UsageError(f"there is no chunk {number}: the memory has 0 to {view.chunks - 1}")
    middle = stored.chunk(number)
    document = next(row for row in view.documents if row.id == middle.document_id)
    numbers = [n for n in sorted(stored.chunk_numbers([document.id])) if n < view.chunks]
    at = numbers.index(number)
    section = middle.place.section if middle.place else ()
    reach = MOST // 2 if section else AROUND
    low = max(0, at - reach)
    rows = stored.chunks(numbers[low : at + reach])
    first = last = at - low
    while first > 0 and _section(rows[first - 1]) == section:
        first -= 1
    while last + 1 < len(rows) and _section(rows[last + 1]) == section:
        last += 1
    return Excerpt(document, tuple(rows[first : last + 1]), len(numbers))


def _section(row: ChunkRow) -> tuple[str, ...]:
    return row.place.section if row.place else ()
