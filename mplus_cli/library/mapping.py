"""The map of a memory: which chunks its short-term and its long-term memory hold, and how much.

Prints nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mplus_cli.library.values import (
    ChunkPlace,
    ChunkRow,
    DocumentSpan,
    MemoryMap,
    View,
)

if TYPE_CHECKING:
    from torch import Tensor

    from models.memory import Memory
    from mplus_cli.library.stored import StoredMemory


def draw_map(stored: StoredMemory) -> MemoryMap:
    """The map of a stored memory; an empty one of a memory that has read nothing."""
    if stored.view().state is None:
        return MemoryMap((), (), (), 0, 0)
    return draw_loaded(stored, *stored.load_view())


def draw_loaded(stored: StoredMemory, view: View, memory: Memory) -> MemoryMap:
    """The map of a memory as `load_view` returned it, whatever has been committed since."""
    rows = stored.all_chunks(view)
    short = _count([memory.stm.tokens.chunks], view.chunks)
    long = _count([segment.tokens.chunks for segment in memory.segments], view.chunks)
    places = tuple(
        ChunkPlace(
            row.number,
            row.document_id,
            row.first_page,
            row.last_page,
            short[row.number],
            long[row.number],
            row.place,
        )
        for row in rows
    )
    spans = tuple(DocumentSpan(document, _runs(rows, document.id)) for document in view.documents)
    return MemoryMap(spans, places, view.segments, len(memory.stm), memory.ltm_tokens)


def _count(parts: Iterable[Tensor], chunks: int) -> list[float]:
    """Memory tokens of each chunk, the mean of the layers, in tensors (L or 1, n) of numbers."""
    import torch

    counts = torch.zeros(chunks, dtype=torch.float64)
    for part in parts:
        # Numbers under 0 came with the checkpoint: no chunk of this memory.
        read = part[(part >= 0) & (part < chunks)]
        counts += torch.bincount(read, minlength=chunks) / part.shape[0]
    found: list[float] = counts.tolist()
    return found


def _runs(rows: Iterable[ChunkRow], document_id: int) -> tuple[tuple[int, int], ...]:
    """The numbers of a document's chunks as (first, last) of each unbroken run."""
    runs: list[tuple[int, int]] = []
    for row in rows:
        if row.document_id != document_id:
            continue
        if runs and runs[-1][1] == row.number - 1:
            runs[-1] = (runs[-1][0], row.number)
        else:
            runs.append((row.number, row.number))
    return tuple(runs)
