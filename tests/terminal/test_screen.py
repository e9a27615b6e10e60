"""A meter where nothing moves: plain lines now and then."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from mplus_cli.terminal import screen


def test_plain_lines_say_how_long_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(screen, "time", SimpleNamespace(monotonic=lambda: now[0]))
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
