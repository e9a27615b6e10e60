"""Questions typed in capitals, in ordinary letters. Works on texts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

_WORD = re.compile(r"[^\W_]+")
_INSIDE = re.compile(r"[\w,;]\s")
"""What stands before a word within a sentence."""
ENOUGH = 25
"""Places of a word in the texts that are looked at."""


def is_shouted(question: str) -> bool:
    """Whether all letters are capitals, as with Caps Lock; one without case is no capital."""
    letters = [one for one in question if one.isalpha()]
    return bool(letters) and all(map(str.isupper, letters))


def in_ordinary_letters(questions: Sequence[str], texts: Callable[[], Sequence[str]]) -> list[str]:
    """Questions as they would be typed without Caps Lock: each word as the texts mostly have it, in lower
    case one that they do not have, and the first with a capital. All others stay as they are.

    Args:
        texts: gives the texts that are in memory; called once, or not at all.
    """
    words = {word.casefold() for one in questions if is_shouted(one) for word in _WORD.findall(one)}
    usual = _usual(words, texts()) if words else {}
    return [_lowered(one, usual) if is_shouted(one) else one for one in questions]


def _lowered(question: str, usual: Mapping[str, str]) -> str:
    told = _WORD.sub(lambda found: usual.get(found[0].casefold(), found[0].lower()), question)
    return re.sub(r"[^\W\d_]", lambda first: first[0].upper(), told, count=1)


def _usual(words: Iterable[str], texts: Iterable[str]) -> dict[str, str]:
    """The forms of words that the texts have most often, within sentences if they are there; by the words,
    casefolded."""
    counts = {word: (Counter[str](), Counter[str]()) for word in words}
    for text in texts:
        for found in _WORD.finditer(text):
            if (both := counts.get(found[0].casefold())) is None:
                continue
            start = found.start()
            where = both[0 if _INSIDE.match(text, max(start - 2, 0), start) else 1]
            if where.total() < ENOUGH:
                where[found[0]] += 1
    forms = {word: inside or elsewhere for word, (inside, elsewhere) in counts.items()}
    return {word: max(form, key=form.__getitem__) for word, form in forms.items() if form}
