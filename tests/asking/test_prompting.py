"""What chunks are ranked by: the question as a prompt, within a bound of tokens."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from models.checkpoints import load
from mplus_cli.asking.lexical import end_of
from mplus_cli.asking.prompting import RANKED_TOKENS, measure
from mplus_cli.asking.question import Question
from mplus_cli.runtime.tokens import PlainTokenizer

SPARE = 8
"""Tokens that a prompt has besides the question, and may have more for a word without the space before it."""


@pytest.fixture(scope="module")
def session(tiny_checkpoint_folder: Path) -> Any:
    loaded = load(tiny_checkpoint_folder, dtype=torch.float32)
    loaded.model.config = dataclasses.replace(loaded.model.config, max_prompt_tokens=1500)
    return SimpleNamespace(
        loaded=loaded,
        model=SimpleNamespace(config=loaded.model.config, room=1800),
        tokenizer=loaded.tokenizer,
        plain_tokenizer=PlainTokenizer(loaded.tokenizer),
    )


def ranked_by(session: Any, text: str, *turns: tuple[str, str]) -> tuple[int, ...]:
    return measure(session, Question(text, turns=turns, max_new_tokens=8)).bare_ids


def prompt(session: Any, text: str) -> tuple[int, ...]:
    return tuple(session.loaded.prompt.render(session.tokenizer, text)[0])


def test_a_question_is_ranked_by_whole(session: Any) -> None:
    assert ranked_by(session, " Who keeps the goat? ") == prompt(session, "Who keeps the goat?")


@pytest.mark.parametrize(
    "text", ["She asked him why. " * 60 + "Who came?", "為什麼" * 90, "a" * 900]
)
def test_of_a_long_one_the_end_counts(session: Any, text: str) -> None:
    """Cut at a word where there is one; in tokens, of which a character may be several."""
    found = ranked_by(session, text)
    frame = len(prompt(session, "a")) - 1
    assert RANKED_TOKENS - SPARE <= len(found) - frame <= RANKED_TOKENS + SPARE
    ends = [end_of(text, at) for at in range(len(text))]
    assert found in [prompt(session, end) for end in ends]


def test_a_follow_up_is_ranked_with_the_question_before_it(session: Any) -> None:
    turns = (("Who is he?", "Pim."), ("Who kept the goat?", "Orla Finch did. " * 90))
    found = ranked_by(session, "What else?", *turns)
    assert found == prompt(session, "Who kept the goat? What else?")
    long = ranked_by(session, "What else?", ("Who kept the goat on the rocks? " * 30, "Orla."))
    frame = len(prompt(session, "a")) - 1
    assert RANKED_TOKENS - SPARE <= len(long) - frame <= RANKED_TOKENS + SPARE
    assert long[-8:] == found[-8:], "both end with what is asked last"


def test_the_end_of_a_text_begins_with_a_word() -> None:
    assert [end_of("ab cd  ef", at) for at in (0, 1, 2, 3, 4, 7)] == [
        *("ab cd  ef", "cd  ef", "cd  ef", "cd  ef", "ef", "ef")
    ]
    assert end_of("ab cd", 4) == "d"
    assert end_of("", 0) == ""
