"""What the terminal can do: whether anybody reads and types there, how wide it is, what it can show."""

from __future__ import annotations

import os
import sys
from typing import Any

_WIDE = 240
"""Columns of a table that goes to a file or a pipe."""


def is_terminal() -> bool:
    """Whether stderr is a terminal."""
    return sys.stderr.isatty()


def is_wrapped() -> bool:
    """Whether stdout is a terminal, which breaks long lines."""
    return sys.stdout.isatty()


def can_redraw() -> bool:
    """Whether what is on stderr may be redrawn: not on `TERM=dumb`, nor for a screen reader."""
    return is_terminal() and not _is_dumb()


def is_interactive() -> bool:
    """Whether a user is there to type."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def is_conversation() -> bool:
    """Whether a user is there to type, and to read stdout."""
    return is_interactive() and sys.stdout.isatty()


def has_unicode() -> bool:
    """Whether stdout can show block characters."""
    return (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") == "utf8"


def console_size(stream: Any) -> tuple[int | None, int | None]:
    """Columns and lines for a console of `rich` on a stream; None where `rich` finds them itself."""
    if not stream.isatty():
        return _WIDE, None
    if not _is_dumb():
        return None, None
    try:  # `rich` takes a dumb terminal for 80 by 25
        size = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return None, None
    return size.columns or None, size.lines or None


def _is_dumb() -> bool:
    return os.environ.get("TERM", "").lower() in ("dumb", "unknown")
