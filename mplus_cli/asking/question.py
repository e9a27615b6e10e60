"""A question and how to answer it, with the checks that need no model."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mplus_cli.errors import UsageError

DEFAULT_NEW_TOKENS = 256
KEPT_TURNS = 20
"""Of a conversation; older ones are forgotten."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question, and how to answer it."""

    text: str
    turns: tuple[tuple[str, str], ...] = ()
    """Earlier questions and answers of a chat, oldest first. The last `KEPT_TURNS` count."""
    max_new_tokens: int | None = None
    """None: up to `DEFAULT_NEW_TOKENS`, or as many as fit."""
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    reread: int | None = None
    """How many of the best chunks to show the model as text: passages of them, if it was trained for
    that. None: as many as it was trained with, where the answer is taken from the text (`quote`)."""
    documents: tuple[str, ...] = ()
    """Names of the documents to ask; all of them if empty."""
    quote: bool = True
    """Whether the answer is a span of the recalled text or, where it is sampled, kept close to it; if the
    checkpoint is set up for that."""
    strict: bool = False
    """Whether to give no answer rather than one that is likely to be wrong."""


def check(question: Question) -> None:
    """Check what can be checked before a model is loaded.

    Raises:
        UsageError: the question has no words, or a number is out of range.
    """
    if not any(map(str.isalnum, question.text)):
        state = "has no words" if question.text.strip() else "is empty"
        raise UsageError(f'the question {state}: for example: mplus ask "Who is the narrator?"')
    check_options(question)


def check_options(question: Question) -> None:
    """Check all of a question but its text; UsageError if a number is out of range."""
    if question.max_new_tokens is not None and question.max_new_tokens < 1:
        raise UsageError(f"--max-new-tokens is {question.max_new_tokens}: give 1 or more")
    if not (math.isfinite(question.temperature) and question.temperature >= 0):
        raise UsageError(f"--temperature is {question.temperature}: give 0 (greedy) or more")
    if not 0 < question.top_p <= 1:
        raise UsageError(f"--top-p is {question.top_p}: give more than 0, up to 1")
    if not 0 <= question.seed < 1 << 63:
        raise UsageError(f"--seed is {question.seed}: give a whole number from 0 to 2^63 - 1")
    if question.strict and (question.temperature or not question.quote):
        raise UsageError(
            "--strict needs an answer that stands in the text: leave out --temperature and --no-quote"
        )
    if question.reread is not None and question.reread < 0:
        raise UsageError(f"--reread is {question.reread}: give 0 or more")
