"""Folders that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder` that takes its place when the block ends well.

    A folder that was there is moved aside first and removed last, so that a crash leaves the old
    one, the new one, or (between two renames) the old one under its temporary name.
    """
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    fresh, old = temporary / "new", temporary / "old"
    try:
        fresh.mkdir()
        yield fresh
        _settle(fresh)
        _replace(folder, fresh, old)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _replace(folder: Path, fresh: Path, old: Path) -> None:
    if not folder.exists():
        os.rename(fresh, folder)
        return
    os.rename(folder, old)
    try:
        os.rename(fresh, folder)
    except OSError:
        os.rename(old, folder)
        raise


def _settle(folder: Path) -> None:
    """Flush every file to disk, and give it the permissions that the user's umask asks for."""
    mode = folder.stat().st_mode & 0o666
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(mode)
            with path.open("rb") as file:
                os.fsync(file.fileno())
