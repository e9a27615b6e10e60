"""What `find` shows: numbered passages, short on a terminal."""

from __future__ import annotations

from typing import Any

import pytest

from mplus_cli.asking.events import Source
from mplus_cli.terminal import capabilities, screen
from mplus_cli.terminal.hits_view import LINES, show_hits

LONG = (
    "It rained for a week, and nobody went out. The cook told stories of other islands, "
    "which were better, warmer and further off. In the evening of the eighth day, when the lamp "
    "was lit, the goat called Admiral came up the stairs by itself and ate the rope of the bell. "
    "So the bell was never rung again, and the ships kept away from the island all that winter."
)


def found(text: str, document: str, page: int) -> Source:
    return Source(document, (page, page), 1, 0.1, text, None, (0, len(text)))


HITS = [found("The goat was\ncalled Admiral.", "Story", 3), found(LONG, "Log", 7)]


def test_passages_are_numbered_and_whole_where_there_is_no_terminal(capsys: Any) -> None:
    show_hits(HITS, "goat")
    assert capsys.readouterr().out.splitlines() == [
        *("1. The goat was called Admiral.", "   Story, p. 3"),
        *(f"2. {LONG}", "   Log, p. 7"),
    ]
    show_hits([found("It rained.\n\nThe goat was\ncalled Admiral.", "Story", 3)], "goat")
    assert capsys.readouterr().out.splitlines()[:2] == [
        *("1. It rained.", "   The goat was called Admiral."),
    ]
    show_hits(HITS * 5, "goat", stderr=True)
    told = capsys.readouterr().err.splitlines()
    assert told[:2] == ["  1.  The goat was called Admiral.", "    Story, p. 3"]
    assert told[-2] == f"  10. {LONG}"


@pytest.mark.parametrize("columns", [60, 80])
def test_on_a_terminal_ten_hits_fit_two_screens(
    capsys: Any, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setattr(capabilities, "is_wrapped", lambda: True)
    monkeypatch.setattr(screen, "width", lambda: columns)
    show_hits(HITS * 5, "a goat and a bell")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5 * (2 + LINES + 1) <= 48
    assert max(map(len, lines)) <= columns
    assert lines[:2] == ["1.  The goat was called Admiral.", "    Story, p. 3"]
    hit = lines[2 : 2 + LINES]
    assert hit[0].startswith("2.  ... ") and hit[-1].endswith(" ...")
    assert "goat" in " ".join(hit) and "bell" in " ".join(hit), "where the words stand"
    assert "It rained" not in hit[0]
    show_hits(HITS[1:], "rain")
    assert capsys.readouterr().out.startswith("1. It rained for a week")


def test_what_was_looked_for_is_bold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capabilities, "is_wrapped", lambda: True)
    shown: list[Any] = []
    monkeypatch.setattr(screen, "show", lambda line, stderr: shown.append(line))
    show_hits(HITS[:1], "which goats were admirals?")
    (line,) = shown
    bold = [line.plain[span.start : span.end] for span in line.spans if span.style == "bold"]
    assert bold == ["goat", "Admiral"]
