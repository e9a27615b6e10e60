"""Atomic files and folders: whenever the process dies, they are whole, either new or as they were.

Both are written under a hidden name beside their place, synced, and put in place in one step. What a
killed process left behind is deleted by the next one that writes the same name. Independent of what is
written.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

TEMPORARY = ".tmp"
_NO_REPLACE, _EXCHANGE = 1, 2  # of renameat2(2)
_UNSUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)


class Unconfirmed(OSError):
    """The change was made, but the disk did not confirm it: a power cut may undo it."""


@contextmanager
def new_file(path: Path, *, mode: int = 0o666, replace: bool = True) -> Iterator[BinaryIO]:
    """A file to write that becomes `path` when the block ends, and is deleted if the block fails.

    After the block its content and its name are on disk.

    Args:
        mode: its permissions, before the umask.
        replace: whether an existing file is replaced.

    Raises:
        BlockingIOError: another process is writing it.
        FileExistsError: there is something else than a regular file, or a file that may not be replaced.
        Unconfirmed: it is in place, but its folder could not be synced.
    """
    check_place(path)
    temporary = beside(path)

    def make() -> None:
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))

    with _alone(path, make, temporary.unlink):
        try:
            with open(temporary, "r+b") as file:
                yield file
                sync_file(file)
            check_place(path)
            _move(temporary, path, replace)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    _confirm(path)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill that replaces `folder` when the block ends, and is deleted if it fails.

    After the block all of it is on disk. Its files get the permissions that the umask allows.
    Where the system cannot exchange two names, `folder` is missing for a moment: call `recover` before
    opening it.

    Raises:
        BlockingIOError: another process is writing it.
        NotADirectoryError: there is something else than a folder.
        Unconfirmed: it is in place, but its parent could not be synced.
    """
    folder = folder.absolute()
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "is not a folder", str(folder))
    make_folder(folder.parent)
    work = beside(folder)
    with _alone(folder, work.mkdir, lambda: _finish(folder)):
        fresh = work / "new"
        try:
            fresh.mkdir()
            yield fresh
            _settle(fresh)
            _take_place(fresh, folder, work / "old")
            _confirm(folder)
        finally:
            _finish(folder, ignore_errors=True)


def recover(folder: Path) -> None:
    """Restore a folder whose writer was killed while replacing it."""
    work = beside(folder.absolute())
    while not os.path.lexists(folder) and os.path.lexists(work / "old"):
        descriptor = _lock(work, wait=True)
        try:
            if _is_at(descriptor, work):
                _finish(folder.absolute())
        finally:
            _close(descriptor)


def rename(old: Path, new: Path) -> None:
    """Rename a file or folder within its folder, and sync that to disk.

    Raises:
        Unconfirmed: it has the new name, but the folder could not be synced.
    """
    os.rename(old, new)
    _confirm(new)


def make_folder(folder: Path, *, mode: int = 0o777) -> None:
    """Make a folder and its missing parents, and sync their names to disk."""
    if folder.is_dir():
        return
    make_folder(folder.parent, mode=mode)
    folder.mkdir(mode, exist_ok=True)
    sync_folder(folder.parent)


def beside(path: Path) -> Path:
    """The hidden name under which `path` is written."""
    return path.with_name(f".{path.name}{TEMPORARY}")


def meant(name: str) -> str:
    """The path whose hidden name this is, as messages call it; any other as it is."""
    folder, hidden = os.path.split(name)
    if not (hidden.startswith(".") and hidden.endswith(TEMPORARY)):
        return name
    return os.path.join(folder, hidden[1 : -len(TEMPORARY)])


def check_place(path: Path) -> None:
    """Check that a new file would replace nothing but a regular file; FileExistsError if not."""
    if path.exists() and not path.is_file():
        raise FileExistsError(errno.EEXIST, "is not a regular file", str(path))


def sync_file(file: BinaryIO) -> None:
    """Sync an open file to disk."""
    file.flush()
    if sys.platform == "darwin":
        import fcntl

        # fsync leaves the data in the drive's cache there.
        fcntl.fcntl(file.fileno(), fcntl.F_FULLFSYNC)
    else:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Sync a folder's names to disk (Windows does so by itself)."""
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno != errno.EINVAL:  # the file system has no fsync for folders
                raise
        finally:
            os.close(descriptor)


def _move(temporary: Path, path: Path, replace: bool) -> None:
    if replace:
        os.replace(temporary, path)
    elif not _renameat2(temporary, path, _NO_REPLACE):
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        os.rename(temporary, path)


def _take_place(fresh: Path, folder: Path, old: Path) -> None:
    if not os.path.lexists(folder):
        os.rename(fresh, folder)
    elif not _renameat2(fresh, folder, _EXCHANGE):
        os.rename(folder, old)
        os.rename(fresh, folder)
        # The old folder is whole: only a process killed between the two renames leaves it behind.
        os.rename(old, fresh)


def _finish(folder: Path, *, ignore_errors: bool = False) -> None:
    """Restore `folder` if its writer died between the two renames, and delete the rest."""
    work = beside(folder)
    fresh, old = work / "new", work / "old"
    if os.path.lexists(old) and not os.path.lexists(folder):
        os.rename(fresh if fresh.exists() else old, folder)
        sync_folder(folder.parent)
    shutil.rmtree(work, ignore_errors=ignore_errors)


def _settle(folder: Path) -> None:
    """Sync every file and folder to disk, files with the permissions that the umask allows."""
    mode = folder.stat().st_mode & 0o666
    for path in folder.rglob("*"):
        if path.is_file():
            if path.stat().st_mode & 0o777 != mode:
                path.chmod(mode)
            with path.open("r+b") as file:
                sync_file(file)
        elif path.is_dir():
            sync_folder(path)
    sync_folder(folder)


def _confirm(path: Path) -> None:
    try:
        sync_folder(path.parent)
    except OSError as error:
        raise Unconfirmed(error.errno, error.strerror, str(path)) from error


@contextmanager
def _alone(place: Path, make: Callable[[], None], clear: Callable[[], None]) -> Iterator[None]:
    """Make what is `beside` a place, which no other process writes meanwhile; a leftover is deleted
    first.

    Raises:
        BlockingIOError: another process is writing it.
    """
    path = beside(place)
    while True:
        try:
            make()
            fresh = True
        except FileExistsError:
            fresh = False
        try:
            descriptor = _lock(path)
        except BlockingIOError as error:
            error.filename = str(place)
            raise
        try:
            # It is another one by now if another process deleted it first.
            if _is_at(descriptor, path):
                if fresh:
                    yield
                    return
                clear()
        finally:
            _close(descriptor)


if sys.platform == "win32":

    def _lock(path: Path, *, wait: bool = False) -> int | None:
        return None

    def _is_at(descriptor: int | None, path: Path) -> bool:
        return os.path.lexists(path)

    def _renameat2(one: Path, other: Path, flags: int) -> bool:
        return False
else:
    import fcntl

    def _lock(path: Path, *, wait: bool = False) -> int | None:
        """A descriptor that holds an exclusive lock on a file or folder; None if it does not exist."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(descriptor)
            reason = "is being written by another process"
            raise BlockingIOError(errno.EWOULDBLOCK, reason, str(path)) from None
        except OSError:
            pass  # the file system has no locks
        return descriptor

    def _is_at(descriptor: int | None, path: Path) -> bool:
        """Whether an open file or folder still has this name."""
        if descriptor is None:
            return False
        try:
            return os.path.samestat(os.fstat(descriptor), os.lstat(path))
        except FileNotFoundError:
            return False

    def _renameat2(one: Path, other: Path, flags: int) -> bool:
        """Rename in one step, without replacing anything or in exchange; False if the system cannot."""
        import ctypes

        call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
        if call is None:
            return False
        here = ctypes.c_int(-100)  # AT_FDCWD
        if not call(here, os.fsencode(one), here, os.fsencode(other), ctypes.c_uint(flags)):
            return True
        number = ctypes.get_errno()
        if number in _UNSUPPORTED:
            return False
        raise OSError(number, os.strerror(number), str(one), None, str(other))


def _close(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)
