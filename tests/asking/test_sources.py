"""Which chunks are an answer's sources."""

from __future__ import annotations

import pytest

from mplus_cli.asking.passages import score_text
from mplus_cli.asking.sources import SOURCES, Evidence
from mplus_cli.library import ChunkRow

TEXTS = ("Ann came.", "Bob came.", "Cid slept.", "Dan came late.", "The sexton Eve came.")


def evidence(texts: tuple[str, ...]) -> Evidence:
    rows = tuple(
        ChunkRow(
            *(text, 9, None, None),
            number=number,
            document_id=1,
            document_title="Book",
            document_path="",
            position=number,
        )
        for number, text in enumerate(texts)
    )
    scored = tuple(score_text("Who came?", text) for text in texts)
    return Evidence(rows, (0.2,) * len(rows), scored, (0.0,) * len(rows))


@pytest.mark.parametrize(
    ("answer", "considered", "chunks"),
    [
        ("", (), [0, 1, 2]),
        ("Bob", (("Eve", 0.6), ("Bob", 0.4)), [0, 1, 2]),
        ("the sexton Eve", (), [0, 1, 4]),
        ("", (("Bob", 0.1), ("Dan", 0.3)), [0, 1, 3]),
        ("Nobody", (), [0, 1, 2]),
    ],
)
def test_what_the_answer_stands_in_is_among_the_sources(
    answer: str, considered: tuple[tuple[str, float], ...], chunks: list[int]
) -> None:
    found = evidence(TEXTS).of_answer(answer, considered)
    assert [source.chunk for source in found] == chunks and len(found) == SOURCES
    if answer in ("Bob", "the sexton Eve"):
        assert sum(source.answer_span is not None for source in found) == 1


def test_there_may_be_fewer_sources() -> None:
    assert [source.chunk for source in evidence(TEXTS[:2]).of_answer("Ann")] == [0, 1]
    assert evidence(()).of_answer("Ann") == ()
