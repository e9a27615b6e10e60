"""Locks between processes, one file each in one folder; the system drops them when a process dies.

Independent of what they guard. The files are beside the memories, not in them, so that a memory can be
renamed while its lock is held.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from models.durable import Unconfirmed, make_folder
from mplus_cli.errors import MplusError
from mplus_cli.library.privacy import FILE, FOLDER

WAIT_SECONDS = 30.0
_POLL_SECONDS = 0.02
_NAMES = ".names"
_FAR = 1 << 30  # where Windows locks a byte, so that the process number stays readable


class Locked(Exception):
    """Another process, or this one, has the lock. `pid` is None where it did not say."""

    def __init__(self, pid: int | None) -> None:
        super().__init__(pid)
        self.pid = pid


class Lock:
    """A lock that is held, until `release` or the end of the process."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    def release(self) -> None:
        """Release it; the file is left in place."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def delete(self) -> None:
        """Release it and remove the file; only while `Locks.names` is held.

        A file that cannot be removed stays: what it guarded is done, and the next change of a name
        removes it.
        """
        if sys.platform == "win32":
            self.release()
        with suppress(OSError):
            self._path.unlink()
        self.release()

    @contextmanager
    def deleted_at_end(self) -> Iterator[None]:
        """Delete it when the block ends, or release it if the block failed."""
        try:
            yield
        except Unconfirmed:
            self.delete()
            raise
        except BaseException:
            self.release()
            raise
        self.delete()


class Locks:
    """The locks of a library, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def names(self) -> Iterator[None]:
        """Hold the lock on which names there are, waiting for it; for moments only.

        Raises:
            MplusError: it was not free for `WAIT_SECONDS`.
        """
        make_folder(self.folder, mode=FOLDER)
        lock = self._wait()
        try:
            yield
        finally:
            lock.release()

    def take(self, name: str) -> Lock:
        """Take the lock `name` without waiting; only while `names` is held.

        Raises:
            Locked: someone has it.
        """
        path = self.folder / name
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, FILE)
        try:
            if not _try_lock(descriptor):
                raise Locked(_read_pid(descriptor))
            _write_pid(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        return Lock(path, descriptor)

    def taken(self) -> list[str]:
        """The locks that have a file, held or not, except the one on names."""
        return [entry.name for entry in self.folder.iterdir() if entry.name != _NAMES]

    def is_held(self, name: str) -> bool:
        """Whether a process holds the lock `name` right now; False if that is not known."""
        if not (self.folder / name).exists():
            return False
        with suppress(OSError, MplusError), self.names():
            try:
                self.take(name).release()
            except Locked:
                return True
        return False

    def _wait(self) -> Lock:
        until = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                return self.take(_NAMES)
            except Locked as error:
                if time.monotonic() > until:
                    holder = f" (pid {error.pid})" if error.pid else ""
                    raise MplusError(
                        f"another process{holder} is changing the library: try again in a moment"
                    ) from error
            time.sleep(_POLL_SECONDS)


def _write_pid(descriptor: int) -> None:
    """Say who holds a lock, where there is room for it: on a full disk memories can still be removed."""
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, b"%d\n" % os.getpid())


def _read_pid(descriptor: int) -> int | None:
    os.lseek(descriptor, 0, os.SEEK_SET)
    text = os.read(descriptor, 32).strip()
    return int(text) if text.isdigit() else None


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
