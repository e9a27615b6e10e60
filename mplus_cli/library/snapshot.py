"""Snapshots: a memory as one portable safetensors file, with its text, checked when it is loaded.

The file has the tensors of long-term memory in one piece (`ltm.*`), those of short-term memory
(`stm.*`), the chunks' texts as UTF-8 JSON (`chunks`) and their places (`places`, where there are
any: an mplus without places does without), and in its metadata `format`, `version`,
`memory` (JSON: name, identity, counts, documents, times; under `metadata` the documents' authors and
dates, and the user's `note`, which an mplus without them passes over) and `sha256`: the digest of the whole
file, with zeros in the place of these 64 digits. Its bytes depend on the memory alone, not on how
long-term memory was cut into files.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from models.durable import new_file
from mplus_cli.errors import MplusError, UsageError, disk_errors, done_unless_power_fails, explained
from mplus_cli.library import database, tensors
from mplus_cli.library.names import validate_name
from mplus_cli.library.privacy import FILE
from mplus_cli.library.snapshot_reader import FORMAT, NO_DIGEST, Snapshot, restore
from mplus_cli.library.tensors import TensorParts
from mplus_cli.library.values import ChunkRow, Progress, View

if TYPE_CHECKING:
    from mplus_cli.library.library import Library
    from mplus_cli.library.stored import StoredMemory


def save(
    stored: StoredMemory, file: Path, progress: Progress | None = None, *, overwrite: bool = False
) -> None:
    """Write a memory to one file, which appears when it is complete, for its user alone to read.

    Raises:
        UsageError: something is there that may not be overwritten, or that is not a regular file.
        MplusError: the memory is empty, or the file cannot be written.
        MismatchError: the memory is damaged.
    """
    check_place(file, overwrite)
    view, memory = stored.load_view()
    parts = {f"stm.{name}": part for name, part in tensors.split_stm(memory.stm).items()}
    if memory.segments:
        joined = tensors.join_segments(memory.segments)
        parts |= {f"ltm.{name}": part for name, part in joined.items()}
    rows = stored.all_chunks(view)
    parts["chunks"] = _text(rows)
    if any(row.place for row in rows):
        parts["places"] = _places(rows)
    metadata = {
        "sha256": NO_DIGEST,  # first, so that no other text with zeros comes before it
        "format": FORMAT,
        "version": str(database.format_version(view.identity.geometry)),
        "memory": json.dumps(_describe(stored.name, view), sort_keys=True),
    }
    try:
        with (
            done_unless_power_fails(f"{file} is written"),
            new_file(file, mode=FILE, replace=overwrite) as target,
        ):
            _write(target, parts, metadata, progress)
    except FileExistsError:
        check_place(file, overwrite)
        raise
    except OSError as error:
        raise explained(error) from error


def check_place(file: Path, overwrite: bool) -> None:
    """Check that a file may be written; UsageError or MplusError if not."""
    if str(file) == "-":
        raise UsageError("standard output takes no file of this kind: name a file")
    if file.is_dir():
        raise UsageError(f"{file} is a folder: name a file in it")
    if not file.parent.is_dir():
        raise MplusError(f"there is no folder {file.parent}: make it first")
    if file.exists() and not file.is_file():
        raise UsageError(f"{file} is not a regular file: name one, or a new one")
    if os.path.lexists(file) and not overwrite:
        raise UsageError(f"{file} exists already: choose another name, or give --force")


def load(
    library: Library, file: Path, name: str | None = None, progress: Progress | None = None
) -> StoredMemory:
    """Make a memory of a snapshot; everything is checked before it appears.

    Args:
        name: what to call it; by default what it was called when it was saved.

    Raises:
        UsageError: the name is not valid, or taken.
        MismatchError: the file is damaged, is not a snapshot, or was written by a newer mplus.
        MplusError: the file cannot be read, or the disk is full.
    """
    snapshot = Snapshot.open(file, progress)
    name = snapshot.name if name is None else name
    validate_name(name)
    if name in library.names():
        raise UsageError(f'there is already a memory "{name}": load it with --as and another name')
    with library.staging() as folder:
        with disk_errors():
            restore(snapshot, folder, name)
        return library.publish(folder, name)


def _describe(name: str, view: View) -> dict[str, object]:
    """What the file says about the memory besides its tensors and texts, as JSON values."""
    assert view.state is not None
    documents = [
        {
            "path": row.path,
            "title": row.title,
            "sha256": row.sha256,
            "kind": row.kind,
            "pages": row.pages,
            "tokens": row.tokens,
            "chunks": row.chunks,
            "chunks_read": row.chunks_read,
            "digest": row.digest,
            "added": row.added,
        }
        for row in view.documents
    ]
    identity = view.identity
    stated = [[row.author, row.date] for row in view.documents]
    known = any(value is not None for values in stated for value in values)
    return {
        "name": name,
        "model": {
            "name": identity.name,
            "fingerprint": identity.fingerprint,
            "geometry": identity.geometry,
        },
        "clock": view.state.clock,
        "chunks": view.state.chunks,
        "tokens": view.state.tokens,
        "stm_tokens": view.state.stm_tokens,
        "ltm_tokens": view.ltm_tokens,
        "documents": documents,
        **({"metadata": stated} if known else {}),
        **({} if view.note is None else {"note": view.note}),
        "created": view.created,
        "updated": view.updated,
    }


def _text(rows: list[ChunkRow]) -> TensorParts:
    """The chunks as UTF-8 JSON in a tensor (1, bytes)."""
    values = [
        [row.document_id, row.position, row.text, row.tokens, row.first_page, row.last_page]
        for row in rows
    ]
    return _json(values)


def _places(rows: list[ChunkRow]) -> TensorParts:
    """The place of each chunk, as a text or null; as UTF-8 JSON in a tensor (1, bytes)."""
    return _json([row.place.dumps() if row.place else None for row in rows])


def _json(values: list[Any]) -> TensorParts:
    import torch

    data = bytearray(json.dumps(values, separators=(",", ":")).encode())
    return TensorParts([torch.frombuffer(data, dtype=torch.uint8)[None]])


def _write(
    file: BinaryIO,
    parts: Mapping[str, TensorParts],
    metadata: Mapping[str, str],
    progress: Progress | None,
) -> None:
    """Write everything in one pass, then the digest of it in its place."""
    start = tensors.header(parts, metadata)
    total = len(start) + sum(part.bytes for part in parts.values())
    digest = hashlib.sha256(start)
    done = file.write(start)
    for part in parts.values():
        for data in part.data():
            digest.update(data)
            done += file.write(data)
            if progress is not None:
                progress(done, total)
    file.seek(start.index(NO_DIGEST.encode()))
    file.write(digest.hexdigest().encode())
