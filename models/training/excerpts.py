"""Excerpts of text in whole sentences: around a position, from anywhere in books, from a passage."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from models.training.data import Passage

_SENTENCE = re.compile(r"(?<=[.!?])[\"')\]”’]*\s+")


def around(text: str, at: int, size: int) -> str:
    """Whole sentences of a text around a position, at most `size` characters; where one sentence is
    longer, `size` characters of it."""
    if len(text) <= size:
        return text
    starts = [0, *(match.end() for match in _SENTENCE.finditer(text)), len(text)]
    first = max(number for number, start in enumerate(starts[:-1]) if start <= at)
    last = first + 1
    while True:
        grown = False
        for begin, stop in ((first, last + 1), (first - 1, last)):
            if begin < 0 or stop >= len(starts):
                continue
            if starts[stop] - starts[begin] <= size:
                first, last, grown = begin, stop, True
        if not grown:
            break
    found = text[starts[first] : starts[last]].strip()
    if len(found) <= size:
        return found
    begin = max(min(at - size // 2, len(text) - size), 0)
    return text[begin : begin + size]


def windows(books: Sequence[str], count: int, size: int, seed: int) -> list[str]:
    """Excerpts of whole sentences of at most `size` characters from anywhere in books, in proportion to
    their length."""
    draw = random.Random(seed)
    lengths = [len(book) for book in books]
    found: list[str] = []
    for book in draw.choices(books, lengths, k=count) if books else ():
        start = draw.randrange(max(len(book) - 2 * size, 1))
        stretch = " ".join(book[start : start + 2 * size].split())
        found.append(around(stretch, len(stretch) // 2, size))
    return found


def part_of(passage: Passage, size: int, draw: random.Random) -> str:
    """An excerpt of a passage of at most `size` characters: all of it where it fits."""
    text = passage.text
    return around(text, draw.randrange(max(len(text), 1)), size)
