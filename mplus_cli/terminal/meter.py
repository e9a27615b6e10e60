"""A progress meter. It is given the stream that it writes to."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from mplus_cli.visible import one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

_LINE_SECONDS = 30.0
"""Seconds between plain lines."""
_PACE_SECONDS = 120.0
"""Steps from which a bar's time left is estimated: their lengths vary greatly."""


class Meter:
    """One line of progress that is redrawn, or plain lines now and then, or nothing.

    Args:
        note: writes a plain line.
        console: to draw on; None where nothing may be redrawn.
    """

    def __init__(
        self, note: Callable[[str], None], console: Console | None, *, quiet: bool = False
    ) -> None:
        self._note = note
        self._console = console
        self._quiet = quiet
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._what = ""
        self._drawn = ("", False)
        self._last_line = 0.0
        self._begun = (0.0, 0)
        """When the current work was first reported, and how far it was then."""

    def report(self, what: str, done: int = 0, total: int | None = None, detail: str = "") -> None:
        """Show what is being done and how far it has come; `total` None: not known."""
        if self._quiet:
            return
        if self._console is not None:
            self._draw(self._console, what, done, total, detail)
        elif what != self._what:
            self._last_line = time.monotonic()
            self._begun = (self._last_line, done)
        elif total and time.monotonic() - self._last_line >= _LINE_SECONDS:
            self._last_line = time.monotonic()
            said = f"{what}: {done * 100 // total} %{self._left(done, total)}"
            self._note(f"{said}: {detail}" if detail else said)
        self._what = what

    def close(self) -> None:
        """Remove the display."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _left(self, done: int, total: int) -> str:
        """The time left at the pace so far; empty before there is one."""
        since, first = self._begun
        if done <= first:
            return ""
        seconds = (time.monotonic() - since) * (total - done) / (done - first)
        if seconds < 60:
            return ", less than a minute left"
        return f", about {seconds / 60:,.0f} min left"

    def _draw(self, console: Console, what: str, done: int, total: int | None, detail: str) -> None:
        label = one_line(what)
        if self._progress is not None and (what, total is None) != self._drawn:
            self.close()
        if self._progress is None:
            self._drawn = (what, total is None)
            self._progress = _new_progress(console, bounded=total is not None)
            self._task = self._progress.add_task(label, total=total, detail=detail)
            self._progress.start()
        assert self._task is not None
        self._progress.update(self._task, completed=done, total=total, detail=detail)


def _new_progress(console: Console, *, bounded: bool) -> Progress:
    """A display of one task, with a bar and the time left if the total is known."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
    from rich.table import Column

    bar = (
        BarColumn(bar_width=10),
        TextColumn("{task.fields[detail]}", markup=False, table_column=Column(no_wrap=True)),
        TimeRemainingColumn(compact=True),
    )
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
        *(bar if bounded else ()),
        console=console,
        transient=True,
        speed_estimate_period=_PACE_SECONDS,
    )
