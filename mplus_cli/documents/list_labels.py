"""The numbers that a word processor shows before the items of lists and before headings.

Files hold rules ("%1.%2." with two decimal numbers), not numbers. Independent of file formats.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_ROMAN = (
    *((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l")),
    *((40, "xl"), (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i")),
)
_PLACE = re.compile(r"%([1-9])")
_MAX_NUMBER = 5000
_MAX_LABEL = 40  # characters


@dataclass(frozen=True, slots=True)
class Rule:
    """How the items of a level are marked. `form` is "decimal", "lower-letter", "upper-letter",
    "lower-roman", "upper-roman", "bullet" or "none"; in `pattern` %1 is the first level's number."""

    form: str
    pattern: str = ""
    start: int = 1


Rules = Mapping[int, Rule]
"""By level, from 0."""


class Labels:
    """Counts the items of all lists of a document."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[int, int]] = {}

    def restart(self, key: str) -> None:
        """The list begins again."""
        self._counts.pop(key, None)

    def next(self, key: str, rules: Rules, level: int, start: int | None = None) -> str:
        """The label of the next item at `level` of the list that is called `key`, "" if none.

        `start` is its number, where the item itself says so.
        """
        rule = rules.get(level)
        if rule is None:
            return "-"
        if rule.form == "bullet":
            return "-"
        counts = self._counts.setdefault(key, {})
        for deeper in [one for one in counts if one > level]:
            del counts[deeper]
        counts[level] = start if start is not None else counts.get(level, rule.start - 1) + 1
        if rule.form == "none" and not _PLACE.search(rule.pattern):
            return rule.pattern.strip()[:_MAX_LABEL]

        def number(match: re.Match[str]) -> str:
            shown = int(match[1]) - 1
            other = rules.get(shown, Rule("decimal"))
            return _FORMS.get(other.form, str)(counts.get(shown, other.start))

        return _PLACE.sub(number, rule.pattern).strip()[:_MAX_LABEL]


def _letters(number: int) -> str:
    """1 is "a", 27 is "aa", as word processors count."""
    if not 1 <= number <= _MAX_NUMBER:
        return str(number)
    times, letter = divmod(number - 1, 26)
    return chr(ord("a") + letter) * (times + 1) if times < _MAX_LABEL else str(number)


def roman(number: int) -> str:
    """A number in lower-case Roman numerals; in figures where there is none."""
    if not 1 <= number <= _MAX_NUMBER:
        return str(number)
    text = ""
    for value, letters in _ROMAN:
        text += letters * (number // value)
        number %= value
    return text


_FORMS: Mapping[str, Callable[[int], str]] = {
    "decimal": str,
    "lower-letter": _letters,
    "upper-letter": lambda number: _letters(number).upper(),
    "lower-roman": roman,
    "upper-roman": lambda number: roman(number).upper(),
    "none": lambda number: "",
}
