"""The standard streams of a process, made safe to use even if they are closed, full, abandoned by their
reader or of a narrow encoding."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_STDERR = 2


class OutputLost(Exception):
    """Stdout could not be written to; the cause is the system's error."""


class _Output:
    """Stdout, whose failures are raised as `OutputLost`."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with self._watched():
            count: int = self._stream.write(text)
            return count

    def writelines(self, lines: Iterable[str]) -> None:
        with self._watched():
            self._stream.writelines(lines)

    def flush(self) -> None:
        with self._watched():
            self._stream.flush()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputLost(error.strerror or str(error)) from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class ReaderLeft(Exception):
    """The reader of stderr has left."""


class _Messages(_Output):
    """Stderr: that its reader has left is told from other broken pipes."""

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError as error:
            raise ReaderLeft from error


class _Closed(io.StringIO):
    """Replaces a stdout that was closed."""

    def write(self, text: str) -> int:
        raise OSError(errno.EBADF, "stdout is closed")


@contextmanager
def standard_streams() -> Iterator[None]:
    """During the block the standard streams take any text, and closed ones (`>&-`) are replaced.

    Characters that the terminal's encoding lacks become question marks. The descriptors of closed streams
    are occupied, or a file that is opened next would get one, and with it what a library prints.
    """
    before = sys.stdin, sys.stdout, sys.stderr
    if None in before:
        while (number := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
            pass
        os.close(number)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    with (
        Path(os.devnull).open(encoding="utf-8") as nothing,
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
    ):
        sys.stdin = sys.stdin or nothing
        sys.stdout, sys.stderr = _Output(sys.stdout or _Closed()), _Messages(sys.stderr or nowhere)
        try:
            yield
        finally:
            sys.stdin, sys.stdout, sys.stderr = before


def close_output() -> None:
    """Discard further output: its reader has gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError, OutputLost):
            stream.flush()
            continue
        with contextlib.suppress(OSError, ValueError, AttributeError):
            os.dup2(nowhere, stream.fileno())
