"""Numbers as English texts write them: in figures, in words, as ordinals and as Roman numerals."""

from __future__ import annotations

import re

_UNITS = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
_UNIT_ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth "
    "fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_TEN_ORDINALS = [f"{ten[:-1]}ieth" for ten in _TENS]


def _spelt(units: list[str], tens: list[str]) -> dict[str, int]:
    """The words of 1 to 99."""
    return {
        **{word: number for number, word in enumerate(units, 1)},
        **{word: 10 * number for number, word in enumerate(tens, 2)},
        **{
            f"{ten} {unit}": 10 * number + below
            for number, ten in enumerate(_TENS, 2)
            for below, unit in enumerate(units[:9], 1)
        },
    }


_CARDINALS, _ORDINALS = _spelt(_UNITS, _TENS), _spelt(_UNIT_ORDINALS, _TEN_ORDINALS)
_ROMAN = re.compile(r"c{0,3}(?:xc|xl|l?x{0,3})(?:ix|iv|v?i{0,3})")
_WORTH = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}


def _one_of(words: dict[str, int]) -> str:
    return "|".join(sorted(words, key=len, reverse=True)).replace(" ", "[ -]")


ROMAN = r"[ivxlc]{1,9}"
"""A pattern of what may be a Roman numeral, in lower case; `roman` says whether it is one."""
CARDINAL = rf"(?:{_one_of(_CARDINALS)}|\d{{1,5}})"
"""A pattern of a number in words or figures, in lower case."""
ORDINAL = rf"(?:{_one_of(_ORDINALS)}|\d{{1,4}}(?:st|nd|rd|th))"
"""A pattern of "third", "twenty-first" or "3rd", in lower case."""


def number(text: str) -> int | None:
    """The value of a number in lower case that `CARDINAL` or `ORDINAL` matches; None for anything else."""
    words = text.replace("-", " ")
    if words in _CARDINALS:
        return _CARDINALS[words]
    if words in _ORDINALS:
        return _ORDINALS[words]
    figures = re.fullmatch(r"(\d{1,5})(?:st|nd|rd|th)?", text)
    return int(figures[1]) if figures else None


def roman(text: str) -> int | None:
    """The value of a Roman numeral in lower case, below 400; None for other words."""
    if not text or not _ROMAN.fullmatch(text):
        return None
    worth = [_WORTH[letter] for letter in text]
    return sum(-a if a < b else a for a, b in zip(worth, [*worth[1:], 0], strict=True))
