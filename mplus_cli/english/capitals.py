"""A question typed in capitals, in ordinary letters. Works on texts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice

_WORD = re.compile(r"[^\W_]+")
ENOUGH = 25
"""Places of a word in the texts that are looked at."""


def is_shouted(question: str) -> bool:
    """Whether all letters are capitals, as with Caps Lock."""
    return question.isupper()


def in_ordinary_letters(question: str, texts: Callable[[], Sequence[str]]) -> str:
    """A question as it would be typed without Caps Lock: each word as the texts mostly have it, in lower
    case one that they do not have, and the first with a capital. Any other question stays as it is.

    Args:
        texts: gives the texts that are in memory.
    """
    if not is_shouted(question):
        return question
    known: dict[str, str] = {}
    held = texts()

    def usual(found: re.Match[str]) -> str:
        word = found[0]
        if word not in known:
            known[word] = _usual(word, held)
        return known[word]

    told = _WORD.sub(usual, question)
    return re.sub(r"[^\W\d_]", lambda first: first[0].upper(), told, count=1)


def _usual(word: str, texts: Sequence[str]) -> str:
    """The form of a word that the texts have most often, within sentences if it is there."""
    alone = rf"{re.escape(word)}(?!\w)"
    for pattern in (rf"(?<=[\w,;]\s){alone}", rf"(?<!\w){alone}"):
        places = (found[0] for text in texts for found in re.finditer(pattern, text, re.I))
        if counts := Counter(islice(places, ENOUGH)):
            return max(counts, key=counts.__getitem__)
    return word.lower()
