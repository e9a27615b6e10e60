"""Keeps a library private to its user: finds what an earlier mplus left readable by others, and closes it.

Works where the file system has permissions (on Windows the user's folder is private already).
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from mplus_cli.errors import disk_errors

FILE, FOLDER = 0o600, 0o700
"""The permissions of what is new."""
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def open_to_others(home: Path) -> list[Path]:
    """The parts of the library under `home` that others may read or enter, not looking inside closed
    folders."""
    return [] if sys.platform == "win32" else list(_open(_parts(home)))


def close_to_others(home: Path) -> None:
    """Remove all permissions of others; MplusError if the user may not do that."""
    with disk_errors():
        for path in open_to_others(home):
            path.chmod(stat.S_IMODE(path.stat().st_mode) & ~_OTHERS)


def _parts(home: Path) -> Iterator[Path]:
    """The memories and the questions asked; the model and its folder are not private."""
    yield from (home / "memories", home / "history", home / "history.db")


def _open(paths: Iterator[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_symlink() or not path.exists():
            continue
        if path.stat().st_mode & _OTHERS:
            yield path
            if path.is_dir():
                with os.scandir(path) as entries:
                    inside = [Path(entry) for entry in entries]
                yield from _open(iter(inside))
