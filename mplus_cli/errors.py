"""Exit codes, and the errors that a user can cause.

Knows no terminal: the screen module renders an error as one line.
"""

from __future__ import annotations

from enum import IntEnum


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
