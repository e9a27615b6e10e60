"""Exit codes, and the errors that a user can cause, each with a message of one line."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

from models.durable import Unconfirmed, meant

DISK_FULL = (
    "the disk is full: free some space and run the same command again (what was committed is kept)"
)
_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


class ExitCode(IntEnum):
    """What a command returns to the shell."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    """The command line, a setting or a name is not valid."""
    MISMATCH = 3
    """A memory and a model do not fit each other, or one is damaged."""
    PARTIAL = 4
    """Some documents or questions could not be read; the others were."""
    REFUSED = 5
    """`ask --strict`: no answer is likely enough to be right."""
    INTERRUPTED = 130


def partial(total: int, failed: int) -> ExitCode:
    """The exit code where `failed` of `total` documents could not be read."""
    if not failed:
        return ExitCode.DONE
    return ExitCode.FAILED if failed == total else ExitCode.PARTIAL


EXIT_CODES = {
    ExitCode.DONE: "done",
    ExitCode.FAILED: "failed, or `find` found nothing",
    ExitCode.USAGE: "the command line or a setting is not valid",
    ExitCode.MISMATCH: "a memory and a model do not fit each other, or one is damaged",
    ExitCode.PARTIAL: "some documents or questions could not be read; the others were",
    ExitCode.REFUSED: "`ask --strict`: no answer is likely enough to be right",
    ExitCode.INTERRUPTED: "interrupted",
}
"""What each exit code means, as the help and the documentation say it."""


class MplusError(Exception):
    """A failure whose message is one line that says what is wrong and what to do."""

    exit_code = ExitCode.FAILED


class UsageError(MplusError):
    """The command line, a setting or a name is not valid."""

    exit_code = ExitCode.USAGE


class MismatchError(MplusError):
    """A memory and a model do not fit each other, or one is damaged."""

    exit_code = ExitCode.MISMATCH


def is_disk_full(error: BaseException) -> bool:
    """Whether a system call failed for lack of space."""
    return isinstance(error, OSError) and error.errno in _FULL


@contextmanager
def disk_errors() -> Iterator[None]:
    """Turn a failed system call into an MplusError that says what to do."""
    try:
        yield
    except OSError as error:
        raise explained(error) from error


def explained(error: OSError) -> MplusError:
    """A failed write as a line that says what to do."""
    if is_disk_full(error):
        return MplusError(DISK_FULL)
    what = meant(str(error.filename)) if error.filename else "the memory"
    if isinstance(error, BlockingIOError):
        return MplusError(f"{what} is being written by another process: wait for it")
    reason = error.strerror or type(error).__name__
    if error.errno == errno.EROFS:
        return MplusError(
            f"cannot write {what}: {reason}: write elsewhere (--home names the folder of memories)"
        )
    if error.errno == errno.EIO:
        return MplusError(f"cannot write {what}: {reason}: check the disk")
    return MplusError(f"cannot write {what}: {reason}: check the folder and its permissions")


@contextmanager
def done_unless_power_fails(what: str) -> Iterator[None]:
    """Turn `Unconfirmed` into an MplusError that says what was done nevertheless."""
    try:
        yield
    except Unconfirmed as error:
        raise MplusError(
            f"{what}, but the disk did not confirm it ({error.strerror}): check the disk"
        ) from error
