"""One rule compares answers, in training and in evaluation."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models.matching import exact, hit, normalise, stands_in

WORDS = st.sampled_from(["the", "A", "an", "U.S.", "US", "Eiffel", "tower", "1,066", "-", "é", " "])
TEXTS = st.one_of(st.text(), st.lists(WORDS, max_size=6).map(" ".join))


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The Eiffel Tower.", "eiffel tower"),
        # SQuAD deletes punctuation, it does not put a space in its place.
        ("U.S.-led", "usled"),
        ("an  apple,\ta pear", "apple pear"),
        ("theatre and a band", "theatre and band"),
        ("  The  Cat, an (old) one ", "cat old one"),
        ("The", ""),
        # Only ASCII punctuation goes; an article leaves a space.
        ("rock—the—roll", "rock— —roll"),
    ],
)
def test_squads_normalisation(text: str, normal: str) -> None:
    assert normalise(text) == normal


@pytest.mark.parametrize(
    ("answer", "golds", "right"),
    [
        ("It was the Eiffel Tower.", ["eiffel tower"], True),
        ("in 1973, they said", ["1973"], True),
        ("in 19735", ["1973"], False),
        ("a cat", ["the"], False),
        ("nearly $12 a barrel", ["$12", "x"], True),
        ("the U.S.", ["US"], True),
        ("about 1,066 of them", ["1066"], True),
        # As in SQuAD: what a hyphen joins is one word.
        ("a well-known man", ["well"], False),
        ("anything", [], False),
    ],
)
def test_hits(answer: str, golds: list[str], right: bool) -> None:
    assert hit(answer, golds) is right


@given(answer=TEXTS, golds=st.lists(TEXTS, max_size=4))
@example(answer="the U.S.", golds=["US"])
@example(answer="The", golds=["a"])
@example(answer="", golds=["..."])
def test_what_is_exact_is_a_hit(answer: str, golds: list[str]) -> None:
    for gold in (*golds, answer):
        if exact(answer, [gold]):
            assert hit(answer, [gold])
    assert exact(answer, [answer])
    if exact(answer, golds):
        assert hit(answer, golds)


@given(before=st.lists(WORDS, max_size=3), gold=TEXTS, after=st.lists(WORDS, max_size=3))
def test_a_gold_among_other_words_is_a_hit(before: list[str], gold: str, after: list[str]) -> None:
    if normalise(gold):
        assert hit(" ".join([*before, gold, *after]), [gold])


def test_a_printed_text_holds_an_answer_in_its_quotes() -> None:
    """A cat was called “Bishop,” in a book and nowhere for SQuAD's rules."""
    text = "“That’s Bishop,” said Mrs. Gadd—a thimble…"
    assert not hit(text, ["Bishop"]) and stands_in(text, ["Bishop"])
    assert all(stands_in(text, [gold]) for gold in ("that's", "That’s", "gadd", "a thimble"))
    assert not stands_in(text, ["hat"])
