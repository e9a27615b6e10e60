"""The text of a memory's documents, as it was read. Handles no tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mplus_cli.library.stored import StoredMemory
from mplus_cli.library.values import DocumentRow


def document_texts(
    stored: StoredMemory, wanted: Sequence[DocumentRow]
) -> Iterator[tuple[DocumentRow, str]]:
    """Documents and what was read of each: its chunks, which follow each other without a gap.

    Raises:
        MismatchError: the memory is damaged.
    """
    rows = stored.all_chunks(stored.view())
    for document in wanted:
        yield document, "".join(row.text for row in rows if row.document_id == document.id)
