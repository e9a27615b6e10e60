"""Exit codes, and the errors that a user can cause.

Knows no terminal: the screen module renders an error as one line.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

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
    """A memory or a model does not fit, or is damaged."""
    PARTIAL = 4
    """Some documents could not be read; the others were."""
    INTERRUPTED = 130


class MplusError(Exception):
    """A failure whose message is one line that says what is wrong and what to do."""

    exit_code = ExitCode.FAILED


class UsageError(MplusError):
    """The command line, a setting or a name is not valid."""

    exit_code = ExitCode.USAGE


class MismatchError(MplusError):
    """A memory or a model does not fit, or is damaged."""

    exit_code = ExitCode.MISMATCH


def is_disk_full(error: BaseException) -> bool:
    """Whether a system call failed for want of space."""
    return isinstance(error, OSError) and error.errno in _FULL


@contextmanager
def disk_errors() -> Iterator[None]:
    """Turn a failed system call into an MplusError that says what to do."""
    try:
        yield
    except OSError as error:
        if is_disk_full(error):
            raise MplusError(DISK_FULL) from error
        if isinstance(error, BlockingIOError):
            message = f"{error.filename} is being written by another process: wait for it"
            raise MplusError(message) from error
        what = f" {error.filename}" if error.filename else " the memory"
        reason = error.strerror or type(error).__name__
        message = f"cannot write{what}: {reason}: check the folder and its permissions"
        raise MplusError(message) from error
