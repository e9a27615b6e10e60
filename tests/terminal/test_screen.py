"""A meter where nothing moves, what --quiet hides, and where a line is broken off."""

from __future__ import annotations

import io
import os
import re
import sys
from contextvars import copy_context
from types import SimpleNamespace

import pytest

from mplus_cli.ingest.events import MergeStarted, Reread
from mplus_cli.terminal import meter as meters
from mplus_cli.terminal import screen
from mplus_cli.terminal.ingest_view import IngestView


def test_plain_lines_say_how_long_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(meters, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with screen.meter() as meter:
        # Gone on with: what was done before says nothing of the pace.
        for second, done in ((0, 400), (20, 450), (60, 600), (100, 600), (300, 600)):
            now[0] = second
            meter.report("reading", done, 1000, "p. 9")
    assert capsys.readouterr().err.splitlines() == [
        "reading: 60 %, about 2 min left: p. 9",
        "reading: 60 %, about 3 min left: p. 9",
        "reading: 60 %, about 10 min left: p. 9",
    ]


def test_quiet_hides_warnings_and_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    """The screen decides it, for every command."""
    said = {}
    for tells in ("usual", "little"):
        with screen.telling(tells), screen.meter() as meter:
            view = IngestView(meter)
            screen.note("a note")
            screen.warning("page 3 is empty")
            view.note("a view's note")
            view.warn(["page 4 is empty"])
            view.fail("b.pdf is damaged")
            screen.error("no")
        said[tells] = capsys.readouterr().err.splitlines()
    assert said["little"] == ["mplus: warning: not read: b.pdf is damaged", "mplus: error: no"]
    assert len(said["usual"]) == 6


@pytest.mark.parametrize(("tells", "times"), [("usual", 1), ("little", 0)])
def test_the_pace_is_measured_once_and_where_it_is_shown(tells: str, times: int) -> None:
    asked: list[None] = []
    with screen.telling(tells), screen.meter() as meter:
        view = IngestView(meter, pace=lambda: asked.append(None))
        view.show(MergeStarted("all", "one", 2, 3, 30))
        view.show(Reread(1, 0, 2, 20))
    assert len(asked) == times


def test_what_is_interrupted_in_the_middle_of_a_line_stays_readable(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screen, "is_terminal", lambda: True)
    for text, start in (("Rats", "\n"), ("Ratsey\n", "\r")):
        copy_context().run(lambda text=text: (screen.piece(text), screen.interrupted()))
        assert capsys.readouterr().err.startswith(f"{start}mplus: interrupted")
    screen.interrupted()  # what another answer left does not show here
    assert capsys.readouterr().err.startswith("\r")


def test_a_second_column_stays_beside_the_first(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a narrow terminal; what has one column, and what goes to a pipe, is left as it is."""
    line = "/find WORDS              the passages that fit these words, without an answer"
    screen.row(line)
    monkeypatch.setattr(screen, "is_terminal", lambda: True)
    monkeypatch.setattr(screen, "_console", lambda *, stderr: SimpleNamespace(width=50))
    screen.row(line)
    screen.row("asking all documents")
    assert capsys.readouterr().err.splitlines() == [
        f"  {line}",
        "  /find WORDS              the passages that fit",
        "                           these words, without an",
        "                           answer",
        "  asking all documents",
    ]


def test_a_plain_terminal_has_its_own_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """`rich` takes it for 80 columns, so that tables would be cut into pieces by a narrower one."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

        def fileno(self) -> int:
            return 2

    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((60, 20)))
    monkeypatch.delenv("COLUMNS", raising=False)
    for term in ("dumb", "xterm"):
        monkeypatch.setenv("TERM", term)
        assert screen.width() == 60


def test_what_does_not_fit_beside_the_indent_is_indented(monkeypatch: pytest.MonkeyPatch) -> None:
    """A place of two lines is no two places."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setattr(screen, "is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    screen.dim('The Bell That Answered, p. 4-5 (6-7), "2. The Kettle and Crow"')
    screen.dim("The Bell That Answered, p. 1")
    screen.dim("x" * 38)
    screen.aside("None of these passages contains the words of the answer:")
    lines = [re.sub(r"\x1b\[[\d;]*m", "", line).rstrip() for line in shown.getvalue().splitlines()]
    assert lines == [
        "  The Bell That Answered, p. 4-5",
        '    (6-7), "2. The Kettle and Crow"',
        "  The Bell That Answered, p. 1",
        f"  {'x' * 38}",
        "  None of these passages contains the",
        "  words of the answer:",
    ]
