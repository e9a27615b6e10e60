"""A random part of a set, in its original order. Does no I/O."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from mplus_cli.datasets.values import Book, Passage


def draw_questions(passages: Sequence[Passage], limit: int | None, seed: int) -> list[Passage]:
    """At most `limit` questions, each as likely as any other, with their passages."""
    total = question_count(passages)
    if limit is None or limit >= total:
        return list(passages)
    kept = set(random.Random(seed).sample(range(total), limit))
    chosen, number = [], 0
    for passage in passages:
        own = []
        for question in passage.questions:
            if number in kept:
                own.append(question)
            number += 1
        if own:
            chosen.append(replace(passage, questions=tuple(own)))
    return chosen


def draw_books(books: Sequence[Book], limit: int | None, seed: int) -> list[Book]:
    """At most `limit` books."""
    if limit is None or limit >= len(books):
        return list(books)
    kept = set(random.Random(seed).sample(range(len(books)), limit))
    return [book for number, book in enumerate(books) if number in kept]


def question_count(passages: Sequence[Passage]) -> int:
    """The number of questions of passages."""
    return sum(len(passage.questions) for passage in passages)
