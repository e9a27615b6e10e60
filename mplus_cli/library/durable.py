"""Files that are whole or not there: written under a temporary name, synced, renamed.

Knows nothing of what is in them.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from mplus_cli.errors import MplusError

DISK_FULL = (
    "the disk is full: free some space and run the same command again (what was committed is kept)"
)
_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
TEMPORARY = ".tmp"


@contextmanager
def disk_errors() -> Iterator[None]:
    """Turn a failed system call into an MplusError that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise MplusError(DISK_FULL) from error
        what = f" {error.filename}" if error.filename else " the memory"
        reason = error.strerror or type(error).__name__
        message = f"cannot write{what}: {reason}: check the folder and its permissions"
        raise MplusError(message) from error


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes the name `path` when the block ends, and vanishes if it fails.

    After the block its content and its name are on the disk. The temporary name is the same for
    every process: the caller holds a lock on the folder.
    """
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        with open(temporary, "wb") as file:
            yield file
            sync_file(file)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_file(file: BinaryIO) -> None:
    """Put what was written to an open file on the disk."""
    file.flush()
    if sys.platform == "darwin":
        import fcntl

        # fsync leaves the data in the drive's cache there.
        fcntl.fcntl(file.fileno(), fcntl.F_FULLFSYNC)
    else:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Put a folder's names on the disk (Windows does so by itself)."""
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno != errno.EINVAL:  # a file system without it
                raise
        finally:
            os.close(descriptor)
