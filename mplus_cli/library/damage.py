"""Which documents a damaged file of a memory holds parts of, judged by the chunks in the files around it.

Looks at the rows of `memory.db` and at tensors; repairs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mplus_cli.library import files
from mplus_cli.library.tensors import DamagedFile
from mplus_cli.library.values import View


def titles_in(folder: Path, view: View, rows: Sequence[tuple[Any, ...]], file: str) -> list[str]:
    """The titles of the documents whose chunks may be in a file that cannot be trusted, in order.

    Args:
        rows: of all chunks, beginning with number and document.
    """
    assert view.state is not None
    geometry = view.identity.geometry
    first, last = 0, view.chunks - 1
    if geometry.get("drop", "oldest") == "oldest":  # else any chunk may be in any file
        found = False
        for name in (*(row.file for row in view.segments), view.state.stm_file):
            if name == file:
                found = True
            elif (held := _chunks_in(folder, view, name)) is not None:
                if found:
                    last = min(last, held[0])
                    break
                first = max(first, held[1])
    documents = {row[1] for row in rows if first <= row[0] <= last}
    return [row.title for row in view.documents if row.id in documents]


def _chunks_in(folder: Path, view: View, file: str) -> tuple[int, int] | None:
    """The first and the last chunk that a file has memory tokens of; None if it has none, or is damaged."""
    assert view.state is not None
    try:
        if file == view.state.stm_file:
            chunks = files.open_stm(folder, view.state, "cpu").tokens.chunks
        else:
            row = next(row for row in view.segments if row.file == file)
            chunks = files.open_segment(folder, row).tokens.chunks
    except DamagedFile:
        return None
    return (int(chunks.min()), int(chunks.max())) if chunks.numel() else None
