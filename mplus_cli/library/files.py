"""The files of a memory's folder: which ones a commit names, writing new ones, opening them.

Knows the folder and what the database said of it; not the database, and no lock.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from models.durable import make_folder
from mplus_cli.library import tensors
from mplus_cli.library.tensors import LTM_FOLDER, SEGMENT_FORMAT, STM_FORMAT, Written
from mplus_cli.library.values import SegmentRow, State, View

if TYPE_CHECKING:
    import torch

    from models.memory import Memory, Segment, ShortTermMemory

_OURS = re.compile(r"(\.?stm-\d+|ltm/\.?\d+)\.safetensors(\.tmp)?")


def segment_file(number: int) -> str:
    """The name of segment `number`, in the memory's folder."""
    return f"{LTM_FOLDER}/{number}.safetensors"


def stm_file(commit: int) -> str:
    """The name of short-term memory as of a commit."""
    return f"stm-{commit}.safetensors"


def write_segment(folder: Path, number: int, segments: Sequence[Segment]) -> SegmentRow:
    """Write segments as one file of long-term memory; OSError if that fails."""
    make_folder(folder / LTM_FOLDER)
    file = segment_file(number)
    joined = tensors.join_segments(segments)
    metadata = {"format": SEGMENT_FORMAT, "version": tensors.segment_version(joined)}
    written = tensors.write(folder / file, joined, metadata)
    kept = sum(len(segment) for segment in segments)
    return SegmentRow(number, file, kept, 0, written.bytes, written.sha256)


def write_stm(folder: Path, commit: int, stm: ShortTermMemory) -> Written:
    """Write short-term memory as of a commit; OSError if that fails."""
    metadata = {"format": STM_FORMAT, "version": "1"}
    return tensors.write(folder / stm_file(commit), tensors.split_stm(stm), metadata)


def open_segment(folder: Path, row: SegmentRow) -> Segment:
    """A segment, mapped; DamagedFile if it is not what was written."""
    from models.memory import Segment

    segment = tensors.make_segment(row.file, tensors.open_mapped(folder, row.file, row.bytes))
    if len(segment) != row.tokens:
        raise tensors.DamagedFile(row.file, f"has {len(segment)} tokens instead of {row.tokens}")
    if not row.skip:
        return segment
    return Segment(segment.tokens.slice(row.skip, row.tokens), segment.born[:, row.skip :])


def open_stm(folder: Path, state: State, device: torch.device | str) -> ShortTermMemory:
    """Short-term memory, on `device`; DamagedFile if it is not what was written."""
    mapped = tensors.open_mapped(folder, state.stm_file, state.stm_bytes)
    stm = tensors.make_stm(state.stm_file, mapped, device)
    if len(stm) != state.stm_tokens:
        reason = f"has {len(stm)} tokens instead of {state.stm_tokens}"
        raise tensors.DamagedFile(state.stm_file, reason)
    return stm


def open_memory(folder: Path, view: View, device: torch.device | str) -> Memory:
    """The memory that a commit left; DamagedFile if a file is not what was written."""
    from models.memory import Memory

    if view.state is None:
        raise ValueError("nothing was committed")
    # Short-term memory first: it is the file that the next commit removes.
    stm = open_stm(folder, view.state, device)
    segments = tuple(open_segment(folder, row) for row in view.segments)
    return Memory(stm, segments, view.state.clock, view.state.chunks)


def named_files(view: View) -> dict[str, tuple[int, str]]:
    """Size and SHA-256 of every file that a commit names."""
    files = {row.file: (row.bytes, row.sha256) for row in view.segments}
    if view.state is not None:
        files[view.state.stm_file] = (view.state.stm_bytes, view.state.stm_sha256)
    return files


def remove_unnamed(folder: Path, view: View) -> None:
    """Delete what an interrupted or an earlier commit left; only while the memory is locked.

    What cannot be deleted (on Windows, a file that a reader has mapped) waits for the next time.
    """
    named = named_files(view)
    for path in _files(folder):
        name = path.relative_to(folder).as_posix()
        if name not in named and _OURS.fullmatch(name):
            with suppress(OSError):
                path.unlink()


def _files(folder: Path) -> Iterator[Path]:
    yield from list(folder.iterdir())
    if (folder / LTM_FOLDER).is_dir():
        yield from list((folder / LTM_FOLDER).iterdir())
