"""What is taken out of a passage before it is written, and what is asked of it then."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.prompts import REFUSAL
from models.training.chunks import ChunkMaker, Corpus, Mix
from models.training.data import Passage, Question
from models.training.near_misses import MOST, leave_out, split

TEXT = (
    "Ann of Ald painted the door in 1871. It was red, as Mr. Bo had asked. "
    '"No!" he said later. She never saw the door again.'
)


def test_sentences() -> None:
    assert split(TEXT) == [
        "Ann of Ald painted the door in 1871.",
        "It was red, as Mr.",
        "Bo had asked.",
        '"No!" he said later.',
        "She never saw the door again.",
    ]
    assert split("") == []


def test_a_sentence_goes_with_its_answers() -> None:
    answers = [["1871"], ["Ann of Ald"], ["red"], ["the door"], ["blue"]]
    for seed in range(20):
        left = leave_out(TEXT, answers, random.Random(seed))
        assert left is not None
        # "the door" stands in two sentences, "blue" in none.
        if "1871" not in left.text:
            assert (sorted(left.missed), left.kept) == ([0, 1], (2,))
        else:
            assert (left.missed, left.kept) == ((2,), (0, 1, 3))


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        ("Only one sentence, of 1871.", [["1871"]]),
        ("It is red. It is red.", [["red"]]),
        ("It is red. It is round.", [["blue"]]),
        ("It is red. It is round.", []),
        ("", [["red"]]),
    ],
)
def test_where_nothing_can_be_left_out(text: str, answers: list[list[str]]) -> None:
    assert leave_out(text, answers, random.Random(0)) is None


WORDS = st.sampled_from(["red", "round", "door", "boat", "1871", "nine"])


@given(
    sentences=st.lists(st.lists(WORDS, min_size=1, max_size=4), max_size=6),
    golds=st.lists(st.lists(WORDS, min_size=1, max_size=2), max_size=8),
    seed=st.integers(0, 99),
)
def test_what_is_missed_is_nowhere_and_what_is_kept_is_whole(
    sentences: list[list[str]], golds: list[list[str]], seed: int
) -> None:
    text = " ".join(f"The {' '.join(words)}." for words in sentences)
    left = leave_out(text, golds, random.Random(seed))
    if left is None:
        return
    words = left.text.replace(".", " ").split()
    assert 1 <= len(left.missed) <= MOST
    assert all(gold not in words for number in left.missed for gold in golds[number])
    assert all(any(gold in words for gold in golds[number]) for number in left.kept)
    assert len(split(left.text)) == len(sentences) - 1


def encode(text: str) -> list[int]:
    return list(text.encode())


PASSAGES = [
    Passage(
        f"This is number {n}. It was made in {1800 + n}. Nobody knows why it is blue.",
        (
            Question(f"When was number {n} made?", (str(1800 + n),)),
            Question(f"What colour is number {n}?", ("blue",)),
        ),
    )
    for n in range(100, 130)
]
BOOK = "\n".join(f"Line {n} of the book." for n in range(400))


def number_of(question: Question) -> str:
    """The number of the passage that a question is about."""
    return "".join(char for char in question.text if char.isdigit())


def maker(**mixed: Any) -> ChunkMaker:
    return ChunkMaker(encode, Corpus(PASSAGES, [BOOK]), 400, Mix(**mixed), seed=1)


def test_chunks_lack_what_their_near_misses_ask_for() -> None:
    chunks, seen = maker(near_misses=0.5), {True: 0, False: 0}
    by_text = {q.text: q for passage in PASSAGES for q in passage.questions}
    for _ in range(60):
        chunk = chunks.chunk()
        text = bytes(chunk.ids).decode()
        for question in chunk.questions:
            number, gold = number_of(question), by_text[question.text].answers[0]
            there = any(f"number {number}" in part and gold in part for part in text.split("\n\n"))
            missed = question.answers == (REFUSAL,)
            assert there is not missed, question
            seen[missed] += 1
    assert 20 < seen[True] < seen[False]


def test_facts_are_asked_for_what_they_lack() -> None:
    chunks = maker(facts=1.0, near_misses=1.0)
    for _ in range(10):
        chunk = chunks.chunk()
        refused = [q for q in chunk.questions if q.answers == (REFUSAL,)]
        assert refused and len(refused) < len(chunk.questions) + 1


def test_few_questions_of_a_passage_at_a_time() -> None:
    chunks, seen = maker(passage_questions=1), set()
    for _ in range(60):
        asked = chunks.chunk().questions
        assert len(set(map(number_of, asked))) == len(asked)
        seen |= {question.text.split()[0] for question in asked}
    assert seen == {"When", "What"}


def test_sisters_are_of_the_passage_that_comes_next() -> None:
    chunks = maker(sisters=1.0, padding=1.0)
    for _ in range(29):
        before = chunks.chunk().questions
        stray = chunks.stray_question()
        assert stray is not None and stray not in before
        upcoming = chunks.state()["order"]
        if upcoming:
            assert stray in PASSAGES[upcoming[-1]].questions


def test_what_follows_was_not_read() -> None:
    chunks, book = maker(padding=1.0), " ".join(BOOK.split())
    for _ in range(20):
        chunk = chunks.chunk()
        read, following = (bytes(ids).decode().strip() for ids in (chunk.ids, chunk.following))
        at = book.index(following)
        assert book[at - 20 : at].strip() in read and following not in read
