"""Reading a snapshot: checking every byte of the file, then making a memory's folder of it.

A digest is no signature: what the file says is checked as well, as if anyone had written it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mplus_cli.errors import MismatchError, MplusError
from mplus_cli.library import chunk_rows, database, files, tensors
from mplus_cli.library.names import is_valid_name
from mplus_cli.library.seal import Row, chain
from mplus_cli.library.tensors import DamagedFile
from mplus_cli.library.values import (
    ModelIdentity,
    NewDocument,
    Progress,
    SegmentRow,
    State,
)
from mplus_cli.place import Place

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = "mplus-snapshot"
VERSION = database.SCHEMA_VERSION
NO_DIGEST = "0" * 64
SEGMENT_TOKENS = 8192
"""Memory tokens per layer in each file that long-term memory is cut into."""
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot whose digest is right. Its content is not checked yet."""

    file: Path
    name: str
    memory: Mapping[str, Any]

    @classmethod
    def open(cls, file: Path, progress: Progress | None) -> Snapshot:
        """Check the digest of a file and read what it says about the memory.

        Raises:
            MismatchError: the file is damaged, no snapshot, or of a newer mplus.
            MplusError: it cannot be read.
        """
        try:
            memory = json.loads(_checked_metadata(file, progress)["memory"])
            name = memory["name"]
            if not isinstance(name, str) or not is_valid_name(name):
                raise ValueError("its name is not valid")
        except OSError as error:
            raise MplusError(f"cannot read {file}: {error.strerror}: check the name") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise _damaged(file) from error
        return cls(file, name, memory)


def restore(snapshot: Snapshot, folder: Path, name: str) -> None:
    """Make the memory in an empty folder; MismatchError if its content does not fit together."""
    try:
        mapped = tensors.open_mapped(snapshot.file.parent, snapshot.file.name)
        _restore(snapshot, mapped, folder, name)
    except (DamagedFile, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(snapshot.file) from error


def _restore(snapshot: Snapshot, mapped: Mapping[str, Tensor], folder: Path, name: str) -> None:
    from mplus_cli.library.verify import check_database, check_memory

    memory, file = snapshot.memory, snapshot.file.name
    identity = ModelIdentity(**memory["model"])
    rows = _chunk_rows(mapped["chunks"])
    segments = _write_segments(file, mapped, folder)
    stm = tensors.make_stm(file, _under("stm.", mapped), "cpu")
    written = files.write_stm(folder, 1, stm)
    state = State(
        commit=1,
        clock=memory["clock"],
        chunks=memory["chunks"],
        tokens=memory["tokens"],
        stm_file=files.stm_file(1),
        stm_tokens=memory["stm_tokens"],
        stm_bytes=written.bytes,
        stm_sha256=written.sha256,
        chunks_sha256=chain("", rows),
    )
    database.create(folder, name, identity, memory["created"], memory["updated"])
    with database.connect(folder, name) as connection, database.transaction(connection):
        for number, values in enumerate(memory["documents"], start=1):
            fields = dict(values)
            added, read = fields.pop("added"), fields.pop("chunks_read")
            database.put_documents(connection, {number: NewDocument(**fields)}, added)
            database.put_progress(connection, number, read)
        chunk_rows.put_chunks(connection, rows)
        chunk_rows.put_places(connection, _places(mapped.get("places"), len(rows)))
        database.put_segments(connection, segments)
        database.put_state(connection, state)
        named = [row.file for row in segments] + [state.stm_file]
        database.put_checked(connection, {file: files.stamp(folder / file) for file in named})
    view, problems = check_database(folder, name)
    problems += check_memory(view, files.open_memory(folder, view, "cpu"))
    if problems or view.ltm_tokens != memory["ltm_tokens"]:
        raise ValueError("its parts do not fit together")


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
    values = json.loads(text.numpy().tobytes())
    return [
        (number, document, position, content, tokens, first, last)
        for number, (document, position, content, tokens, first, last) in enumerate(values)
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


def _write_segments(file: str, mapped: Mapping[str, Tensor], folder: Path) -> list[SegmentRow]:
    """Cut long-term memory into files of the folder."""
    from models.memory import Segment

    parts = _under("ltm.", mapped)
    if not parts:
        return []
    whole = tensors.make_segment(file, parts)
    rows: list[SegmentRow] = []
    for start in range(0, len(whole), SEGMENT_TOKENS):
        stop = min(start + SEGMENT_TOKENS, len(whole))
        cut = Segment(whole.tokens.slice(start, stop), whole.born[:, start:stop])
        rows.append(files.write_segment(folder, len(rows) + 1, [cut]))
    return rows


def _under(prefix: str, mapped: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in mapped.items()
        if name.startswith(prefix)
    }


def _damaged(file: Path) -> MismatchError:
    return MismatchError(
        f"{file} is damaged or no snapshot: copy it again, or save it again where it came from"
    )
