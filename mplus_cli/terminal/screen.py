"""The screen: the only module that prints. Answers and JSON on stdout, everything else on stderr.

If stderr is not a terminal nothing is redrawn: a meter writes a plain line now and then. All text goes
out through `_write` or through the consoles of `terminal.consoles`, which let nothing through that
controls a terminal. What `--quiet` hides is decided here: notes, warnings and progress, but no result and
no failure, not even one of a part of the work (`failed`). Decides how things look, not what they mean.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal

from mplus_cli.terminal.capabilities import can_redraw, console_size, is_terminal, is_wrapped
from mplus_cli.terminal.meter import Meter
from mplus_cli.visible import escaped, one_line, visible
from mplus_cli.wording import excerpt

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

Tells = Literal["little", "usual", "much"]
_tells: ContextVar[Tells] = ContextVar("tells", default="usual")
"""`--quiet`: results and errors alone; `--verbose`: what is in force, and what an answer took."""
_mid_line: ContextVar[bool] = ContextVar("mid_line", default=False)
"""Whether the last piece of an answer ended in the middle of a line."""
_COLUMNS = re.compile(r"\S.*?\s{2,}(?=\S)")
"""The first column of a line, and the space behind it."""
_STATES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@contextmanager
def telling(tells: Tells) -> Iterator[None]:
    """Set how much is written to stderr, for the block."""
    token = _tells.set(tells)
    try:
        yield
    finally:
        _tells.reset(token)


def is_quiet() -> bool:
    """Whether no progress, no notes and no passages are wanted (`--quiet`)."""
    return _tells.get() == "little"


def is_verbose() -> bool:
    """Whether details are wanted (`--verbose`)."""
    return _tells.get() == "much"


def out(text: str) -> None:
    """A line on stdout."""
    _write(sys.stdout, text.replace("\n", " ") + "\n")


def piece(text: str) -> None:
    """Part of an answer on stdout, flushed at once."""
    if not text:
        return
    _mid_line.set(not text.endswith("\n"))
    _write(sys.stdout, text)
    sys.stdout.flush()


def flush() -> None:
    """Write out what is buffered, so that a closed pipe shows here."""
    sys.stdout.flush()


def json_out(value: Any) -> None:
    """One JSON value on stdout; invisible characters are escaped, and none is lost."""
    _write(sys.stdout, escaped(json.dumps(value, indent=2, ensure_ascii=False)) + "\n")


def json_line(value: Any) -> None:
    """One JSON value on a line of stdout."""
    _write(sys.stdout, escaped(json.dumps(value, ensure_ascii=False)) + "\n")


def note(text: str) -> None:
    """A line on stderr, unless quiet; on a terminal, broken between words."""
    if not is_quiet():
        _say(text)


def detail(text: str) -> None:
    """A line on stderr that only `--verbose` shows."""
    if is_verbose():
        dim(text)


def _say(text: str) -> None:
    _plain(sys.stderr, _wrapped(text))


def _wrapped(text: str, indent: int = 0) -> str:
    line = one_line(text)
    if not is_terminal():
        return line
    columns = max(_console(stderr=True).width - indent, 1)
    return textwrap.fill(line, columns, break_long_words=False, break_on_hyphens=False)


def dim(text: str, *, stderr: bool = True) -> None:
    """An indented, dimmed line; on a terminal what does not fit is indented further, not to look like another
    line."""
    stream, line = sys.stderr if stderr else sys.stdout, text.replace("\n", " ")
    if not stream.isatty():
        _plain(stream, f"  {line}")
        return
    from rich.text import Text

    console, whole = _console(stderr=stderr), Text(line)
    is_short = whole.cell_len <= console.width - 2
    parts = [whole] if is_short else whole.wrap(console, max(console.width - 4, 1))
    for number, part in enumerate(parts):
        indent = "    " if number else "  "
        console.print(Text(indent + part.plain, style="dim"), overflow="fold")


def row(text: str) -> None:
    """An indented, dimmed line on stderr; of two columns the second is wrapped beside the first."""
    found = _COLUMNS.match(text)
    if found is None or not is_terminal():
        dim(text)
        return
    columns = _console(stderr=True).width - 2
    hanging = " " * min(found.end(), 2 * columns // 3)
    for line in textwrap.wrap(text, columns, subsequent_indent=hanging, break_on_hyphens=False):
        dim(line)


def aside(text: str) -> None:
    """An indented line on stderr, unless quiet."""
    if not is_quiet():
        _plain(sys.stderr, textwrap.indent(_wrapped(text, 2), "  "))


def quotation(
    text: str,
    span: tuple[int, int],
    mark: tuple[int, int] | None = None,
    *,
    keep_lines: bool = False,
) -> None:
    """An indented excerpt of a text on stderr, with the marked part bold on a terminal.

    Args:
        keep_lines: show it as it is written, not as it is quoted (`wording.excerpt`).
    """
    first, last = mark or (span[1], span[1])
    edges = ((span[0], first), (first, last), (last, span[1]))
    parts = [text[a:b] if keep_lines else excerpt(text, a, b) for a, b in edges]
    if not is_terminal():
        lines = "".join(parts).strip().splitlines()
        _plain(sys.stderr, "\n".join(f"  {line}".rstrip() for line in lines))
        return
    from rich.padding import Padding
    from rich.text import Text

    styled = Text.assemble(parts[0], (parts[1], "bold"), parts[2])
    show(Padding(styled, (0, 2)), stderr=True)


def warning(text: str) -> None:
    """A warning on stderr, unless quiet: the work is done all the same."""
    if not is_quiet():
        failed(text)


def failed(text: str) -> None:
    """A part of the work that failed while the rest went on, on stderr, quiet or not."""
    _say(f"mplus: warning: {text}")


def error(text: str) -> None:
    """A failure on stderr: one line."""
    _say(f"mplus: error: {text}")


def interrupted() -> None:
    """The message after Ctrl-C, on stderr; on a line of its own even if ^C was echoed. What is kept, the
    command has said."""
    message = "mplus: interrupted"
    with contextlib.suppress(OSError):
        if is_terminal():
            # A terminal has echoed ^C: overwrite it, below an answer that was cut short.
            sys.stderr.write("\n" if _mid_line.get() else "\r")
        _plain(sys.stderr, message)


def check_line(state: str, name: str, message: str, fix: str) -> None:
    """A line of `mplus doctor` on stdout."""
    from rich.text import Text

    line = Text(f"{state:<5}", style=_STATES[state])
    line.append(f"{name:<13}{one_line(message)}", style="none")
    if fix and state != "ok":
        line.append(f": {one_line(fix)}", style="none")
    show(line)


def traceback(failure: BaseException) -> None:
    """A failure's traceback on stderr, for `--debug`."""
    import traceback as traceback_module

    _write(sys.stderr, "".join(traceback_module.format_exception(failure)))


def get_ready() -> None:
    """Import what draws on a terminal, where there is one."""
    if is_terminal() or is_wrapped():
        _console(stderr=True)


def show(renderable: RenderableType, *, stderr: bool = False) -> None:
    """Something drawn by `rich`."""
    _console(stderr=stderr).print(renderable)


def console() -> Console:
    """The console of stdout, for what draws itself."""
    return _console(stderr=False)


def width() -> int:
    """Columns of stdout."""
    return _console(stderr=False).width


def read_line(prompt: str) -> str:
    """A line that is typed at a plain prompt; EOFError at the end of the input."""
    _write(sys.stderr, prompt)
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.rstrip("\n")


def confirm(question: str) -> bool:
    """Ask a yes-or-no question; no is the default."""
    _write(sys.stderr, f"{_wrapped(f'{question} [y/N]')} ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


@contextmanager
def meter(*, quiet: bool = False) -> Iterator[Meter]:
    """A progress display on stderr for as long as the block runs."""
    shown = Meter(note, _console(stderr=True) if can_redraw() else None, quiet=quiet or is_quiet())
    try:
        yield shown
    finally:
        shown.close()


def _console(*, stderr: bool) -> Console:
    from mplus_cli.terminal.consoles import VisibleConsole

    wide, high = console_size(sys.stderr if stderr else sys.stdout)
    return VisibleConsole(
        stderr=stderr, highlight=False, markup=False, emoji=False, width=wide, height=high
    )


def _plain(stream: Any, text: str) -> None:
    _write(stream, text + "\n")
    stream.flush()


def _write(stream: Any, text: str) -> None:
    """Write text from anywhere, made safe to show."""
    stream.write(visible(text))
