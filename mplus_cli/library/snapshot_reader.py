"""Reading a snapshot: checking every byte of the file, then making a memory's folder of it.

A digest is not a signature: what the file says is checked as well, as if anyone had written it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mplus_cli.errors import MismatchError, MplusError
from mplus_cli.library import chunk_rows, database, files, tensors
from mplus_cli.library.names import may_exist
from mplus_cli.library.schema import check_chunks, check_counts, check_view
from mplus_cli.library.shapes import check_numbers
from mplus_cli.library.side_tables import Row, chain
from mplus_cli.library.tensors import DamagedFile
from mplus_cli.library.values import (
    DocumentRow,
    ModelIdentity,
    Progress,
    SegmentRow,
    State,
    View,
)
from mplus_cli.place import Place

if TYPE_CHECKING:
    from torch import Tensor

    from models.memory import Segment, ShortTermMemory

FORMAT = "mplus-snapshot"
VERSION = database.SCHEMA_VERSION
NO_DIGEST = "0" * 64
SEGMENT_TOKENS = 8192
"""Memory tokens per layer in each file that long-term memory is cut into."""
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot whose digest is right, and whose header says what it may. Its tensors are not checked
    yet."""

    file: Path
    name: str
    view: View
    """The memory after a first commit, of which no file is written yet."""
    ltm_tokens: int

    @classmethod
    def open(cls, file: Path, progress: Progress | None) -> Snapshot:
        """Check the digest of a file and read what it says about the memory.

        Raises:
            MismatchError: the file is damaged, is not a snapshot, or was written by a newer mplus.
            MplusError: it cannot be read.
        """
        try:
            memory = json.loads(_checked_metadata(file, progress)["memory"])
            name, ltm_tokens = memory["name"], memory["ltm_tokens"]
            view = _view(memory)
            wrong = [*check_view(view)] or [*check_counts(view)]
            if wrong:
                raise ValueError(wrong[0])
            if not isinstance(name, str) or not may_exist(name):
                raise ValueError("its name is none of a memory")
        except OSError as error:
            raise MplusError(f"cannot read {file}: {error.strerror}: check the name") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise _damaged(file, error) from error
        return cls(file, name, view, ltm_tokens)


def restore(snapshot: Snapshot, folder: Path, name: str) -> None:
    """Make the memory in an empty folder; MismatchError if its content does not fit together."""
    try:
        mapped = tensors.open_mapped(snapshot.file.parent, snapshot.file.name)
        _restore(snapshot, mapped, folder, name)
    except (
        DamagedFile,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        raise _damaged(snapshot.file, error) from error


def _view(memory: Mapping[str, Any]) -> View:
    """What a header says, as the rows of a memory whose files are still to be written."""
    listed = memory["documents"]
    stated = memory.get("metadata", [[None, None]] * len(listed))
    if len(stated) != len(listed):
        raise ValueError("authors and dates of other documents")
    documents = tuple(
        DocumentRow(id=number, **values, author=author, date=date)
        for number, (values, (author, date)) in enumerate(zip(listed, stated, strict=True), start=1)
    )
    state = State(
        commit=1,
        clock=memory["clock"],
        chunks=memory["chunks"],
        tokens=memory["tokens"],
        stm_file=files.stm_file(1),
        stm_tokens=memory["stm_tokens"],
        stm_bytes=0,
        stm_sha256=NO_DIGEST,
        chunks_sha256="",
    )
    identity = ModelIdentity(**memory["model"])
    times, note = (memory["created"], memory["updated"]), memory.get("note")
    return View(identity, state, (), documents, *times, {}, note=note)


def _restore(snapshot: Snapshot, mapped: Mapping[str, Tensor], folder: Path, name: str) -> None:
    from mplus_cli.library.verify import check_database

    view, file = snapshot.view, snapshot.file.name
    rows = _chunk_rows(mapped["chunks"])
    for wrong in check_chunks(rows, view):
        raise ValueError(wrong)
    places = _places(mapped.get("places"), len(rows))
    stm = tensors.make_stm(file, _under("stm.", mapped))
    parts = _under("ltm.", mapped)
    whole = [tensors.make_segment(file, parts)] if parts else []
    _check_content(snapshot, stm, whole)
    segments = [row for segment in whole for row in _write_segments(segment, folder)]
    _check_numbers({**stm.tokens.tensors(), "tail": stm.tail})
    written = files.write_stm(folder, 1, stm)
    assert view.state is not None
    state = replace(
        view.state,
        stm_bytes=written.bytes,
        stm_sha256=written.sha256,
        chunks_sha256=chain("", rows),
    )
    database.create(folder, name, view.identity, view.created, view.updated)
    with database.connect(folder, name) as connection, database.transaction(connection):
        for row in view.documents:
            database.put_documents(connection, {row.id: row}, row.added)
            database.put_progress(connection, row.id, row.chunks_read)
        chunk_rows.put_chunks(connection, rows, places)
        database.put_note(connection, view.note)
        database.put_segments(connection, segments)
        database.put_state(connection, state)
        named = [row.file for row in segments] + [state.stm_file]
        database.put_checked(connection, {file: files.stamp(folder / file) for file in named})
    _, problems = check_database(folder, name)
    if problems:
        raise ValueError(problems[0].message)


def _check_content(snapshot: Snapshot, stm: ShortTermMemory, whole: Sequence[Segment]) -> None:
    """Check the tensors, all but their numbers, before anything is written; ValueError."""
    from models.memory import Memory
    from mplus_cli.library.verify import check_memory

    state = snapshot.view.state
    assert state is not None
    if (len(stm), sum(map(len, whole))) != (state.stm_tokens, snapshot.ltm_tokens):
        raise ValueError("it has not as many memory tokens as it says")
    row = [SegmentRow(1, files.segment_file(1), len(part), 0, 0, NO_DIGEST) for part in whole]
    view = replace(snapshot.view, segments=tuple(row))
    for problem in check_memory(view, Memory(stm, tuple(whole), state.clock, state.chunks)):
        raise ValueError(f"its memory {problem.message}")


def _check_numbers(parts: Mapping[str, Tensor]) -> None:
    for wrong in check_numbers(parts):
        raise ValueError(f"its memory {wrong}")


def _checked_metadata(file: Path, progress: Progress | None) -> Mapping[str, str]:
    """The metadata of a file whose digest is right; ValueError if it is not."""
    with open(file, "rb") as opened:
        total = os.fstat(opened.fileno()).st_size
        start = tensors.read_header(opened)
        metadata = json.loads(start[8:])["__metadata__"]
        if metadata["format"] != FORMAT:
            raise MismatchError(f"{file} is not a snapshot: make one with `mplus memory save`")
        if int(metadata["version"]) > VERSION:
            raise MismatchError(
                f"{file} is a snapshot of a newer mplus (format {metadata['version']}, this one "
                f"reads up to {VERSION}): upgrade mplus"
            )
        stated = metadata["sha256"].encode()
        if len(stated) != len(NO_DIGEST) or start.count(stated) != 1:
            raise ValueError("no digest")
        digest = hashlib.sha256(start.replace(stated, NO_DIGEST.encode()))
        done = len(start)
        while block := opened.read(_BLOCK):
            digest.update(block)
            done += len(block)
            if progress is not None:
                progress(done, total)
    if digest.hexdigest().encode() != stated:
        raise ValueError("another digest")
    found: Mapping[str, str] = metadata
    return found


def _chunk_rows(text: Tensor) -> list[Row]:
    """The rows of the chunks' texts, in a tensor (1, bytes) of UTF-8 JSON; ValueError."""
    if str(text.dtype) != "torch.uint8":
        raise ValueError("its text is not valid text")
    return [
        (number, document, position, content, tokens, first, last)
        for number, (document, position, content, tokens, first, last) in enumerate(
            json.loads(text.numpy().tobytes())
        )
    ]


def _places(text: Tensor | None, count: int) -> dict[int, Place]:
    """The places of the chunks that have one, by number; ValueError if they are none."""
    if text is None:
        return {}
    values = json.loads(text.numpy().tobytes())
    if len(values) != count:
        raise ValueError("places of other chunks")
    found = enumerate(values)
    return {number: Place.loads(value) for number, value in found if value is not None}


def _write_segments(whole: Segment, folder: Path) -> list[SegmentRow]:
    """Cut long-term memory into files of the folder; ValueError where its numbers are none."""
    from models.memory import Segment

    rows: list[SegmentRow] = []
    for start in range(0, len(whole), SEGMENT_TOKENS):
        stop = min(start + SEGMENT_TOKENS, len(whole))
        cut = Segment(whole.tokens.slice(start, stop), whole.born[:, start:stop])
        _check_numbers(cut.tokens.tensors())  # now, while they are in memory to be written
        rows.append(files.write_segment(folder, len(rows) + 1, [cut]))
    return rows


def _under(prefix: str, mapped: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in mapped.items()
        if name.startswith(prefix)
    }


def _damaged(file: Path, error: Exception) -> MismatchError:
    reason = str(error) if type(error) in (ValueError, DamagedFile) else "a part is missing"
    return MismatchError(
        f"{file} is damaged or is not a snapshot ({reason}): copy it again, or save it again where it "
        "came from"
    )
