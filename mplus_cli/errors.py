"""Errors that a user can cause, each with the exit code of the command-line contract.

Knows no terminal: the screen module renders these as one line.
"""

from __future__ import annotations


class MplusError(Exception):
    """A failure whose message is one line that says what is wrong and what to do."""

    exit_code = 1


class UsageError(MplusError):
    """The command line, a setting or a name is not valid (exit code 2)."""

    exit_code = 2


class MismatchError(MplusError):
    """A memory or a model does not fit or is damaged (exit code 3)."""

    exit_code = 3
