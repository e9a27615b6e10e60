"""What memories take on the disk, and what interrupted processes left beside them.

A file that two memories share (see `forking`) counts for each, and once for all. Handles no tensors.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from models.durable import TEMPORARY
from mplus_cli.errors import MplusError
from mplus_cli.library import database, files
from mplus_cli.library.library import NEW, TRASH, Library
from mplus_cli.library.stored import StoredMemory
from mplus_cli.library.tensors import LTM_FOLDER


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes of one memory."""

    name: str
    total: int
    long_term: int
    short_term: int
    text: int
    """The database: texts, places, documents."""
    shared: int
    """Of the total, in files that other memories have too."""
    left_over: int
    """Of the total, in files that no commit names."""

    def to_json(self) -> dict[str, Any]:
        """An entry of `mplus memory du --json`."""
        return asdict(self)


def usage(stored: StoredMemory) -> Usage:
    """What a memory takes; of a damaged one everything that is there, nothing of it left over."""
    held = dict(_files(stored.folder))
    left = set(_unnamed(stored))
    parts = {"long": 0, "short": 0, "text": 0}
    for path, status in held.items():
        if path.parent.name == LTM_FOLDER:
            parts["long"] += status.st_size
        elif path.name.startswith(database.FILE):
            parts["text"] += status.st_size
        else:
            parts["short"] += status.st_size
    return Usage(
        name=stored.name,
        total=sum(parts.values()),
        long_term=parts["long"],
        short_term=parts["short"],
        text=parts["text"],
        shared=sum(status.st_size for status in held.values() if status.st_nlink > 1),
        left_over=sum(status.st_size for path, status in held.items() if path in left),
    )


def total_bytes(library: Library) -> int:
    """What all memories take together, shared files once, with what is left over."""
    found = {(one.st_dev, one.st_ino): one.st_size for _, one in _files(library.folder)}
    return sum(found.values())


def leftovers(library: Library) -> list[Path]:
    """Files and folders that no memory needs: what killed processes left, or living ones write now."""
    found = [entry for entry in _entries(library.folder) if _is_work(entry.name)]
    for name in library.names():
        found += _unnamed(library.open(name))
    return sorted(found)


def collect(library: Library) -> list[tuple[Path, int]]:
    """Delete leftovers, except what a running process is writing; returns what was deleted, with its
    bytes."""
    before = [(path, _size(path)) for path in leftovers(library)]
    library.clean()
    for name in library.names():
        with suppress(MplusError), library.open(name).writer():
            pass  # whoever may write a memory first clears away what is not named
    return [(path, held) for path, held in before if not path.exists()]


def _unnamed(stored: StoredMemory) -> list[Path]:
    try:
        return files.unnamed(stored.folder, stored.view())
    except (MplusError, OSError):
        return []


def _is_work(name: str) -> bool:
    return name.startswith((NEW, TRASH)) or (name.startswith(".") and name.endswith(TEMPORARY))


def _size(path: Path) -> int:
    with suppress(OSError):
        if not path.is_dir():
            return path.stat().st_size
    return sum(status.st_size for _, status in _files(path))


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for entry in _entries(folder):
        with suppress(OSError):
            if entry.is_dir() and not entry.is_symlink():
                yield from _files(entry)
            else:
                yield entry, entry.stat()


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []
