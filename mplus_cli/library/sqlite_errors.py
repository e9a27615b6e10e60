"""What SQLite raises, as errors of mplus that say what to do."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mplus_cli.errors import DISK_FULL, MismatchError, MplusError, is_disk_full

_PROBE_BYTES = 1 << 16


@contextmanager
def sqlite_errors(file: Path, name: str) -> Iterator[None]:
    """Turn what SQLite raises about the database `file` of memory `name` into an MplusError."""
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter: damage that SQLite quotes
        raise _explained(error, file, name) from error


def _explained(error: sqlite3.Error | UnicodeDecodeError, file: Path, name: str) -> MplusError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if not file.parent.is_dir():
        return MplusError(
            f'memory "{name}" was removed or renamed in the meantime: `mplus memory list` shows those '
            "there are"
        )
    is_io = code == sqlite3.SQLITE_IOERR
    if code == sqlite3.SQLITE_FULL or (is_io and _has_no_room(file.parent)):
        return MplusError(DISK_FULL)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return MplusError(f'memory "{name}" is busy: run the command again')
    if not file.exists():
        return MismatchError(
            f'memory "{name}" is damaged: {file.name} is missing: put it back, or remove the '
            "memory and read its documents again"
        )
    if is_io:
        return MplusError(f'memory "{name}" cannot be used: {error}: check the disk of {file}')
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
        return MplusError(
            f'memory "{name}" cannot be used: {error}: check {file} and its permissions'
        )
    return MismatchError(
        f'memory "{name}" is damaged: {file.name}: {error}: `mplus memory verify {name}` says more, '
        f"`mplus memory repair {name}` keeps what is intact"
    )


def _has_no_room(folder: Path) -> bool:
    """Whether a few bytes find no room: a full disk may show only when SQLite syncs its file, and
    SQLite calls that an I/O error."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return is_disk_full(error)
    return False
