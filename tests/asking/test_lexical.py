"""Words of a question in texts: stems, BM25, the best window, and what stands near a place."""

from __future__ import annotations

import pytest

from mplus_cli.asking.lexical import WINDOW, match_words, stem, telling_words

TEXTS = (
    "The keeper of the lighthouse was called Orla Finch. She kept a goat named Admiral.",
    "Every night she wrote the weather in a green book and lit the lamp with a brass key.",
    "In March the storm took the boat, and a sailor named Pim swam to the rocks.",
)


@pytest.mark.parametrize(
    "family",
    [
        "story stories",
        "stop stopped stopping stops",
        "make making makes",
        "try tried tries",
        "box boxes",
    ],
)
def test_a_family_of_words_has_one_stem(family: str) -> None:
    assert len({stem(word) for word in family.split()}) == 1


def test_what_every_text_has_tells_nothing() -> None:
    assert telling_words("What is the name of Sir Walter's estate?") == ["sir", "walter", "estat"]


@pytest.mark.parametrize(
    ("question", "best"),
    [("Which goats?", 0), ("What lamps did she light?", 1), ("Who was a SAILOR in the storms?", 2)],
)
def test_the_text_with_the_words_is_first(question: str, best: int) -> None:
    found = match_words(question, TEXTS)
    assert max(range(3), key=lambda number: found[number].bm25) == best


def test_a_word_is_found_whole_only() -> None:
    (found,) = match_words("Who saw the king?", ["They were taking kingdoms. A kingfisher spoke."])
    assert found.bm25 == 0 and (found.start, found.stop) == (0, 0)
    (found,) = match_words("Who saw the king?", ["The kings’ men.\nKing"])
    assert len(found.places) == 2


def test_the_best_window_is_where_most_words_stand_together() -> None:
    text = "A goat. " + "Nothing at all. " * 40 + "The goat ate the green book. " + "No more. " * 40
    (found,) = match_words("Which goat ate a green book?", [text])
    start, stop = found.start, found.stop
    assert text[start:stop] == "goat ate the green book" and found.coverage == pytest.approx(1.0)
    assert stop - start <= WINDOW


def test_words_near_a_place_count_but_not_those_in_it() -> None:
    text = "Sir Walter lived at Kellynch. " + "Nothing. " * 60 + "Sir Walter."
    (found,) = match_words("What was Sir Walter's estate?", [text])
    name = text.index("Kellynch")
    there = found.near(name, name + 8)
    assert 0 < there < 1, "sir and walter, no estate"
    assert found.near(0, len("Sir Walter")) == 0
    assert found.near(name + 300, name + 310) == 0


@pytest.mark.parametrize("question", ["", "?", "the of and", "İstanbul'da ne oldu", "北京 是"])
def test_no_question_and_no_text_is_too_strange(question: str) -> None:
    assert match_words(question, []) == []
    for found in match_words(question, ["", "İİİ stanbul İ", "北京"]):
        assert found.bm25 >= 0 and 0 <= found.coverage <= 1


def test_places_are_right_behind_letters_that_grow_in_lower_case() -> None:
    text = "İİİ the goat"
    (found,) = match_words("goat", [text])
    assert text[found.start : found.stop] == "goat"
