"""Numbers and places in words."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from models.prompts import REFUSAL
from mplus_cli.place import Place
from mplus_cli.wording import (
    MEGABYTE,
    NO_ANSWER,
    NOT_SURE,
    SILENT,
    answer_text,
    excerpt,
    place,
    size,
)


@pytest.mark.parametrize(
    ("pages", "where", "expected"),
    [
        (None, None, "Walden"),
        ((12, 13), None, "Walden, p. 12-13"),
        (None, Place(("Winter Animals",), None, 0.64, 0.65), 'Walden, "Winter Animals", at 64 %'),
        (None, Place((), None, 0.0, 0.01), "Walden, at 0 %"),
        (None, Place(), "Walden"),
        (None, Place(("Walden", "Winter Animals")), 'Walden, "Winter Animals"'),
        (None, Place(("Walden",)), 'Walden, "Walden"'),
        ((4, 4), Place((), ("iv", "iv"), 0.0, 0.1), "Walden, p. iv (4)"),
        ((4, 5), Place((), ("iv", "1"), 0.0, 0.1), "Walden, p. iv-1 (4-5)"),
        ((4, 5), Place((), ("4", "5"), 0.0, 0.1), "Walden, p. 4-5"),
        (
            (4, 4),
            Place(("Part 2", "Chapter 7"), ("iv", "iv"), 0.0, 0.1),
            'Walden, p. iv (4), "Part 2 > Chapter 7"',
        ),
    ],
)
def test_places(pages: tuple[int, int] | None, where: Place | None, expected: str) -> None:
    assert place("Walden", pages, where) == expected


@pytest.mark.parametrize(
    ("answer", "reason", "shown"),
    [
        (REFUSAL, "unsure", NO_ANSWER),
        (REFUSAL, "refused", SILENT),
        (f"Sorry. {REFUSAL}", "refused", f"Sorry. {REFUSAL}"),
        ("Ratsey", "stop", "Ratsey"),
    ],
)
def test_no_answer_is_no_claim_that_there_is_none(answer: str, reason: str, shown: str) -> None:
    assert answer_text(answer, reason) == shown
    assert "does not say" not in NO_ANSWER + SILENT


def test_the_page_says_it_as_the_terminal_does() -> None:
    page = Path(__file__).parents[1] / "mplus_cli" / "server" / "index.html"
    said = page.read_text(encoding="utf-8")
    for words in (NO_ANSWER, SILENT, NOT_SURE):
        assert said.count(words) == 1


def test_sizes_count_in_thousands() -> None:
    assert (size(MEGABYTE), size(256 * MEGABYTE), size(2 << 30)) == ("1.0 MB", "256 MB", "2.1 GB")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("It rained.\n\nHe  slept.", "It rained.\nHe slept."),
        ("“No,” he said,\n\n“never.”", "“No,” he said,\n“never.”"),
        ("Says the Cap'n,\n  We have slipped", "Says the Cap'n,\nWe have slipped"),
        (
            "the goat was\ncalled Admiral",
            "the goat was called Admiral",
        ),  # a line of the same sentence
        ("a paragraph\n\nthat begins so", "a paragraph\nthat begins so"),
        ("the end.\n\n[2] See page 4.\n\nOnce", "the end.\n[2] See page 4.\nOnce"),
    ],
)
def test_paragraphs_of_a_passage_are_seen(text: str, shown: str) -> None:
    assert excerpt(f"x {text}\ny", 2, len(text) + 2) == shown
    for word in re.finditer(r"\S+", text):  # marked, as an answer is
        edges = (0, *word.span(), len(text))
        assert "".join(excerpt(text, *edge) for edge in pairwise(edges)) == shown
