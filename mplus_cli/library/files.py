"""The files of a memory's folder: which ones a commit names, writing new ones, opening them.

Works on the folder and what the database says about it, not on the database itself, and takes no lock.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from models.durable import make_folder
from mplus_cli.library import tensors
from mplus_cli.library.privacy import FOLDER
from mplus_cli.library.tensors import LTM_FOLDER, SEGMENT_FORMAT, STM_FORMAT, WrittenFile
from mplus_cli.library.values import INTERIM, SegmentRow, State, View

if TYPE_CHECKING:
    import torch

    from models.memory import Memory, Segment, ShortTermMemory

_OURS = re.compile(rf"(\.?stm-|ltm/\.?)({INTERIM}-)?\d+\.safetensors(\.tmp)?")
_BLOCK = 1 << 20


def segment_file(mark: int | str) -> str:
    """The name of a file of long-term memory, in the memory's folder."""
    return f"{LTM_FOLDER}/{mark}.safetensors"


def stm_file(mark: int | str) -> str:
    """The name of a file of short-term memory."""
    return f"stm-{mark}.safetensors"


def interim_mark(chunks: int) -> str:
    """The mark in the names of an interim commit's files, in place of a full commit's number."""
    return f"{INTERIM}-{chunks}"


def stamp(path: Path) -> str:
    """A stamp that shows whether a file was changed: its times, its size and its inode.

    A program may set the time of modification back; the other time is the system's own.
    """
    found = path.stat()
    return f"{found.st_mtime_ns} {found.st_size} {found.st_ino} {found.st_ctime_ns}"


def write_segment(
    folder: Path, number: int, segments: Sequence[Segment], mark: str | None = None
) -> SegmentRow:
    """Write segments as one file of long-term memory, named by its number or a mark of its own; OSError
    if that fails."""
    make_folder(folder / LTM_FOLDER, mode=FOLDER)
    file = segment_file(number if mark is None else mark)
    joined = tensors.join_segments(segments)
    metadata = {"format": SEGMENT_FORMAT, "version": tensors.segment_version(joined)}
    written = tensors.write(folder / file, joined, metadata)
    kept = sum(len(segment) for segment in segments)
    return SegmentRow(number, file, kept, 0, written.bytes, written.sha256)


def write_stm(folder: Path, mark: int | str, stm: ShortTermMemory) -> WrittenFile:
    """Write short-term memory as of a commit; OSError if that fails."""
    metadata = {"format": STM_FORMAT, "version": "1"}
    return tensors.write(folder / stm_file(mark), tensors.split_stm(stm), metadata)


def open_segment(folder: Path, row: SegmentRow) -> Segment:
    """A segment, mapped; DamagedFile if it is not what was written."""
    mapped = tensors.map_file(folder, row.file, row.bytes)
    segment = replace(tensors.make_segment(row.file, mapped.tensors), give_back=mapped.give_back)
    if len(segment) != row.tokens:
        raise tensors.DamagedFile(row.file, f"has {len(segment)} tokens instead of {row.tokens}")
    if not row.skip:
        return segment
    return replace(
        segment,
        tokens=segment.tokens.slice(row.skip, row.tokens),
        born=segment.born[:, row.skip :],
    )


def open_stm(folder: Path, state: State, device: torch.device | str) -> ShortTermMemory:
    """Short-term memory, copied to `device`; DamagedFile if it is not what was written."""
    mapped = tensors.open_mapped(folder, state.stm_file, state.stm_bytes)
    copied = {name: tensor.to(device, copy=True) for name, tensor in mapped.items()}
    stm = tensors.make_stm(state.stm_file, copied)
    if len(stm) != state.stm_tokens:
        reason = f"has {len(stm)} tokens instead of {state.stm_tokens}"
        raise tensors.DamagedFile(state.stm_file, reason)
    return stm


def open_memory(folder: Path, view: View, device: torch.device | str) -> Memory:
    """The memory that a commit left, long-term memory mapped, short-term memory copied to `device`.

    Raises:
        DamagedFile: a file is not what was written.
        ValueError: nothing was committed yet.
    """
    from models.memory import Memory

    if view.state is None:
        raise ValueError("nothing was committed")
    # Short-term memory first: it is the file that the next commit removes.
    stm = open_stm(folder, view.state, device)
    segments = tuple(open_segment(folder, row) for row in view.segments)
    return Memory(stm, segments, view.state.clock, view.state.chunks)


def check_changed(folder: Path, view: View) -> dict[str, str]:
    """Compare every file that has changed since it was last known to be intact with its checksum.

    Returns:
        How those files are now, by name.

    Raises:
        DamagedFile: one is missing, or is not what was written.
    """
    found = {}
    for file, (_, sha256) in named_files(view).items():
        try:
            now = stamp(folder / file)
            if view.checked.get(file) == now:
                continue
            if digest(folder / file) != sha256:
                raise tensors.DamagedFile(file, "is not what was written: its checksum differs")
        except FileNotFoundError as error:
            raise tensors.DamagedFile(file, "is missing") from error
        except OSError as error:
            raise tensors.DamagedFile(file, f"cannot be read ({error.strerror})") from error
        found[file] = now
    return found


def digest(path: Path, progress: Callable[[int], None] = lambda _: None) -> str:
    """The SHA-256 of a file, in hexadecimal; `progress` is called with the bytes that are done."""
    found, done = hashlib.sha256(), 0
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            found.update(block)
            progress(done := done + len(block))
    return found.hexdigest()


def named_files(view: View) -> dict[str, tuple[int, str]]:
    """Size and SHA-256 of every file that a commit names."""
    files = {row.file: (row.bytes, row.sha256) for row in view.segments}
    if view.state is not None:
        files[view.state.stm_file] = (view.state.stm_bytes, view.state.stm_sha256)
    return files


def remove_unnamed(folder: Path, view: View) -> None:
    """Delete what an interrupted or an earlier commit left; only while the memory is locked.

    Files that cannot be deleted (on Windows, those that a reader has mapped) are left for the next time.
    """
    for path in unnamed(folder, view):
        with suppress(OSError):
            path.unlink()


def unnamed(folder: Path, view: View) -> list[Path]:
    """The files of mplus that a commit does not name, nor the one to go back to."""
    named = set(named_files(view))
    if view.earlier is not None:
        named.add(view.earlier.state.stm_file)
    found = [(path, path.relative_to(folder).as_posix()) for path in _files(folder)]
    return [path for path, name in found if name not in named and _OURS.fullmatch(name)]


def _files(folder: Path) -> Iterator[Path]:
    yield from list(folder.iterdir())
    if (folder / LTM_FOLDER).is_dir():
        yield from list((folder / LTM_FOLDER).iterdir())
