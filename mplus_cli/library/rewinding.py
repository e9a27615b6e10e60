"""Takes the newest document out of a memory by going back to the commit before it, without a model.

That commit's short-term memory was kept. Its long-term memory is the beginning of today's: files that were
merged since are cut apart again, and each must have the bytes that it had.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from models.durable import make_folder
from mplus_cli.library import chunk_rows, database, files
from mplus_cli.library.forking import clear, link
from mplus_cli.library.privacy import FOLDER
from mplus_cli.library.side_tables import Row, chain
from mplus_cli.library.tensors import LTM_FOLDER, DamagedFile
from mplus_cli.library.values import ChunkRow, DocumentRow, Earlier, View

if TYPE_CHECKING:
    from models.memory import Segment
    from mplus_cli.library.stored import StoredMemory


class CannotRewind(Exception):
    """What is kept does not give the earlier commit, byte for byte."""


def can_rewind(stored: StoredMemory, without: Collection[int]) -> bool:
    """Whether a memory can go back to where it had not read these documents, by their numbers, and had
    read everything else."""
    view = stored.view()
    if len(without) == len(view.documents):
        return True
    earlier = view.earlier
    if earlier is None or set(without) != {row.id for row in view.documents[earlier.documents :]}:
        return False
    read = sum(row.chunks_read for row in view.documents[: earlier.documents])
    return (
        read == earlier.state.chunks
        and _forgot_nothing(view, earlier)
        and (stored.folder / earlier.state.stm_file).is_file()
    )


def _forgot_nothing(view: View, earlier: Earlier) -> bool:
    """Whether long-term memory still has all that it had."""
    now, then = view.state, earlier.state
    if now is None:
        return False
    dropped = (now.clock - now.stm_tokens) - (then.clock - then.stm_tokens)
    return view.ltm_tokens == sum(row.kept for row in earlier.segments) + dropped


def rewind(stored: StoredMemory, fresh: StoredMemory, without: Collection[int]) -> None:
    """Write into `fresh`, an empty memory, what `stored` was before it read these documents.

    Raises:
        CannotRewind: that cannot be known any more; `fresh` is empty, as it was.
        MismatchError: the memory is damaged.
        OSError: the disk is full.
    """
    if not can_rewind(stored, without):
        raise CannotRewind
    view = stored.view()
    earlier = view.earlier
    if earlier is None or len(without) == len(view.documents):
        return
    rows = [row for row in stored.all_chunks(view) if row.number < earlier.state.chunks]
    if chain("", map(_row, rows)) != earlier.state.chunks_sha256:
        raise CannotRewind
    try:
        files.check_changed(stored.folder, view)
        _put_files(stored, fresh, view, earlier)
    except (CannotRewind, DamagedFile, FileNotFoundError) as error:
        clear(fresh.folder)
        raise CannotRewind from error
    _put_rows(fresh, view.documents[: earlier.documents], rows, earlier)


def _put_files(stored: StoredMemory, fresh: StoredMemory, view: View, earlier: Earlier) -> None:
    stm = earlier.state.stm_file
    link(stored.folder / stm, fresh.folder / stm)
    if files.digest(fresh.folder / stm) != earlier.state.stm_sha256:
        raise CannotRewind
    held = [files.open_segment(stored.folder, row) for row in view.segments]
    start = 0
    for row in earlier.segments:
        if row in view.segments:
            make_folder(fresh.folder / LTM_FOLDER, mode=FOLDER)
            link(stored.folder / row.file, fresh.folder / row.file)
        else:
            cut = _cut(held, start, start + row.kept)
            if files.write_segment(fresh.folder, row.number, cut) != row:
                raise CannotRewind
        start += row.kept


def _cut(segments: Sequence[Segment], start: int, stop: int) -> list[Segment]:
    """Tokens start..stop of segments that follow each other."""
    from models.memory import Segment

    found, first = [], 0
    for segment in segments:
        low, high = max(start - first, 0), min(stop - first, len(segment))
        if low < high:
            found.append(Segment(segment.tokens.slice(low, high), segment.born[:, low:high]))
        first += len(segment)
    return found


def _put_rows(
    fresh: StoredMemory,
    documents: Sequence[DocumentRow],
    rows: Sequence[ChunkRow],
    earlier: Earlier,
) -> None:
    named = [*(row.file for row in earlier.segments), earlier.state.stm_file]
    with (
        database.connect(fresh.folder, fresh.name) as connection,
        database.transaction(connection),
    ):
        database.put_documents(connection, {row.id: row for row in documents}, database.now())
        for document in documents:
            database.put_progress(connection, document.id, document.chunks_read)
        places = {row.number: row.place for row in rows if row.place is not None}
        chunk_rows.put_chunks(connection, [_row(row) for row in rows], places)
        database.put_segments(connection, earlier.segments)
        database.put_state(connection, earlier.state)
        database.put_checked(connection, {file: files.stamp(fresh.folder / file) for file in named})


def _row(row: ChunkRow) -> Row:
    return (
        *(row.number, row.document_id, row.position, row.text),
        *(row.tokens, row.first_page, row.last_page),
    )
