"""The sources of an answer: the order they are shown in."""

from __future__ import annotations

from mplus_cli.asking.passages import score_text
from mplus_cli.asking.sources import Evidence
from mplus_cli.library import ChunkRow

TEXTS = ("The goat was grey.", "It rained.", "Its name was Admiral.")


def test_what_holds_the_answer_is_never_behind_what_does_not() -> None:
    rows = tuple(ChunkRow(at, 1, "Log", "log", at, text, 9, 1, 1) for at, text in enumerate(TEXTS))
    scored = tuple(score_text("What was the goat called?", text) for text in TEXTS)
    found = Evidence(rows, (0.5, 0.3, 0.2), scored, (0.0,) * 3)
    for answer, order in (("", [0, 1, 2]), ("Admiral", [2, 0, 1]), ("Bishop", [0, 1, 2])):
        assert [source.chunk for source in found.sources(answer)] == order
    sources = found.sources("Admiral")
    assert [source.score for source in sources] == [0.2, 0.5, 0.3], "their own, as before"
