"""Answers as spans of the text: contiguous, from word to word, and more than the question's own words."""

from __future__ import annotations

from typing import Any

import pytest

from mplus_cli.asking.quoting import Quotable
from mplus_cli.asking.spans import TextSpan, says_something
from mplus_cli.runtime.spelling import Spelling

TEXT = "the keeper wrote in the logbook of the boat"


@pytest.fixture
def begin(tiny_tokenizer: Any) -> Any:
    """Makes the start of an answer from texts."""
    table = Spelling.of(tiny_tokenizer)
    assert table is not None

    def start(question: str, *texts: str) -> TextSpan:
        source = Quotable(table, texts, 4.0, [2])
        return TextSpan(
            source, lambda ids: says_something(question, tiny_tokenizer.decode(list(ids)))
        )

    return start


def follow(span: TextSpan, tokenizer: Any, text: str) -> TextSpan | None:
    """The span that spells a text; None where it stands nowhere."""
    for token in tokenizer(text, add_special_tokens=False)["input_ids"]:
        ahead = span.ahead()
        if token not in ahead:
            return None
        span = ahead[token]
    return span


@pytest.mark.parametrize(
    "answer", ["the keeper", "keeper wrote in the logbook", "boat", "The boat"]
)
def test_what_stands_in_a_row_can_be_said(begin: Any, tiny_tokenizer: Any, answer: str) -> None:
    span = follow(begin("who?", TEXT), tiny_tokenizer, answer)
    assert span is not None and span.may_end


@pytest.mark.parametrize("answer", ["keeper boat", "the boat the", "storm", "eeper"])
def test_nothing_else_can(begin: Any, tiny_tokenizer: Any, answer: str) -> None:
    assert follow(begin("who?", TEXT), tiny_tokenizer, answer) is None


def test_no_answer_runs_from_one_text_into_the_next(begin: Any, tiny_tokenizer: Any) -> None:
    assert follow(begin("who?", "the keeper", "wrote"), tiny_tokenizer, "keeper wrote") is None


def test_it_ends_between_words_only(begin: Any, tiny_tokenizer: Any) -> None:
    span = begin("who?", TEXT)
    first = tiny_tokenizer("k", add_special_tokens=False)["input_ids"][0]
    assert not span.may_end and not span.ahead()[first].may_end


def test_an_answer_of_the_question_s_own_words_must_go_on(begin: Any, tiny_tokenizer: Any) -> None:
    echo = follow(begin("Where did the keeper go?", TEXT), tiny_tokenizer, "the keeper")
    assert echo is not None and not echo.may_end
    more = follow(echo, tiny_tokenizer, " wrote")
    assert more is not None and more.may_end


@pytest.mark.parametrize(
    ("question", "answer", "says"),
    [
        ("What is the name of Sir Walter's estate?", "Sir Walter", False),
        ("What is the name of Sir Walter's estate?", "Sir Walter Elliot", True),
        ("What was Admiral Croft's first name?", "Croft", False),
        ("Who came?", "he", False),
        ("Who came?", "", False),
        ("How many came?", "two", True),
        ("Was it a goat or a sheep?", "a goat", True),
        ("Between Anna and Bob, who is older?", "Anna", True),
        ("Which of Anna and Bob is older?", "Bob", True),
        ("Which of the boats sank?", "the boats", False),
    ],
)
def test_what_says_something(question: str, answer: str, says: bool) -> None:
    assert says_something(question, answer) is says
