"""Questions typed with Caps Lock."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mplus_cli.english.capitals import in_ordinary_letters

TEXTS = [
    "What a day, said Umbopa; what a king! Good nodded, and Captain Good sat by the fire with Good humour.",
    "“I saw McTavish,” said Umbopa, “in the USA.” He did a good deed.\nFoulata",
]


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("WHO IS UMBOPA?", "Who is Umbopa?"),
        ("WHAT DID CAPTAIN GOOD SEE?", "What did Captain Good see?"),
        ("DID I SEE MCTAVISH IN THE USA?", "Did I see McTavish in the USA?"),
        ("WHO KISSED FOULATA AND GAGOOL?", "Who kissed Foulata and gagool?"),
        ("WHERE IS “UMBOPA'S FIRE” IN CHAPTER 3?", "Where is “Umbopa's fire” in chapter 3?"),
        ("UMBOPA", "Umbopa"),
        ("Who is UMBOPA?", "Who is UMBOPA?"),
        ("who is umbopa?", "who is umbopa?"),
        ("12?", "12?"),
        ("什么是DNA？", "什么是DNA？"),
        ("WHO SAW USA_UMBOPA?", "Who saw USA_Umbopa?"),
    ],
)
def test_a_question_in_capitals_is_read_as_one_in_ordinary_letters(typed: str, read: str) -> None:
    assert in_ordinary_letters([typed, "Why?"], lambda: TEXTS) == [read, "Why?"]


def test_texts_are_looked_at_for_such_questions_alone() -> None:
    def none() -> list[str]:
        raise AssertionError("there is no need for them")

    assert in_ordinary_letters(["Who is Umbopa?"], none) == ["Who is Umbopa?"]


def test_texts_are_read_once_for_all_words_of_all_questions() -> None:
    reads = []

    class Texts(list[str]):
        def __iter__(self) -> Iterator[str]:
            reads.append("read")
            return super().__iter__()

    def fetched() -> list[str]:
        reads.append("fetched")
        return Texts(TEXTS)

    typed = ["WHO IS UMBOPA?", "AND FOULATA?", "Why?", "WHAT DID GAGOOL SAY IN THE USA?"]
    read = ["Who is Umbopa?", "And Foulata?", "Why?", "What did gagool say in the USA?"]
    assert in_ordinary_letters(typed, fetched) == read
    assert reads == ["fetched", "read"]
