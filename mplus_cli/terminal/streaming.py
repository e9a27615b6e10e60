"""Shows an answer as it grows on a terminal: words are not broken, and Markdown is redrawn.

Prints through the screen. Where there is no terminal, text goes out as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mplus_cli.terminal import capabilities, screen
from mplus_cli.visible import visible


class WrappedText:
    """Text that arrives in pieces, with lines broken between words at the width of the terminal."""

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._column = 0
        self._space = ""
        self._word = ""

    def push(self, text: str) -> str:
        """The text that can be written now: all but the word that is still growing."""
        return "".join(self._character(character) for character in text)

    def close(self) -> str:
        """The last word."""
        return self._flush()

    def _character(self, character: str) -> str:
        if not character.isspace():
            self._word += character
            return ""
        ready = self._flush()
        if character == "\n":
            self._column, self._space = 0, ""
            return ready + "\n"
        self._space += character
        return ready

    def _flush(self) -> str:
        from rich.cells import cell_len

        if not self._word:
            return ""
        space, size = self._space, cell_len(self._word)
        if self._column and self._column + cell_len(space) + size > self._columns:
            space, self._column = "\n", 0
        self._column += size + (0 if space == "\n" else cell_len(space))
        ready, self._space, self._word = space + self._word, "", ""
        return ready


@contextmanager
def growing_text() -> Iterator[Callable[[str], None]]:
    """Writes an answer's pieces to stdout; ends the line when the block ends without an error."""
    if not capabilities.is_wrapped():
        yield screen.piece
        screen.piece("\n")
        return
    wrapped = WrappedText(screen.width())
    try:
        yield lambda text: screen.piece(wrapped.push(text))
    finally:
        screen.piece(wrapped.close())
    screen.piece("\n")


@contextmanager
def growing_markdown() -> Iterator[Callable[[str], None]]:
    """Draws an answer's text so far as Markdown on stdout, until the block ends; plain text where nothing
    may be redrawn."""
    from rich.live import Live
    from rich.markdown import Markdown
    from rich.spinner import Spinner

    if not capabilities.can_redraw():
        with growing_text() as write:
            yield _rest_of(write)
        return
    console, text = screen.console(), ""

    def grow(whole: str) -> None:
        nonlocal text
        text = whole
        live.update(Markdown(visible(whole), hyperlinks=False))

    with _no_echo(), Live(Spinner("dots"), console=console, vertical_overflow="visible") as live:
        try:
            yield grow
        finally:
            live.update(Markdown(visible(text), hyperlinks=False))


def _rest_of(write: Callable[[str], None]) -> Callable[[str], None]:
    """A function that writes only the new part of a growing text."""
    written = 0

    def grow(whole: str) -> None:
        nonlocal written
        write(whole[written:])
        written = len(whole)

    return grow


@contextmanager
def _no_echo() -> Iterator[None]:
    """Keep typed characters off the screen meanwhile: they would shift what is redrawn."""
    try:
        import termios
    except ImportError:  # Windows
        yield
        return
    try:
        before = termios.tcgetattr(sys.stdin)
    except (termios.error, OSError, ValueError):
        yield
        return
    quiet = list(before)
    quiet[3] = before[3] & ~termios.ECHO
    termios.tcsetattr(sys.stdin, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSANOW, before)
