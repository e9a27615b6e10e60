"""Made-up facts: sentences about people, places and things that no model can know, with questions.

Each fact names a subject nobody else has, so a question has one answer however much text is read. Makes
text, not ids: the words are in `fact_words`, the sentences in `fact_templates`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from string import Formatter

from models.training import fact_words as words
from models.training.fact_templates import TRAINED, Template

_TRIES = 100
"""Draws of a name before it is lengthened: by then most names are used."""
_A_BEFORE_VOWEL = re.compile(r"\b([Aa]) (?=[aeiou])")


@dataclass(frozen=True, slots=True)
class Fact:
    """A sentence, a question about it, and its answer, which occurs in the sentence word for word."""

    sentence: str
    question: str
    answer: str


class FactMaker:
    """Draws facts; no person, place, ship, inn, company or book comes twice.

    Args:
        seed: facts are the same for the same seed and templates.
        templates: `TRAINED`, or `HELD_OUT` for templates that no training has seen.
    """

    def __init__(self, seed: int | str, templates: Sequence[Template] = TRAINED) -> None:
        self._random = random.Random(seed)
        self._templates = templates
        self._used: set[str] = set()

    def fact(self) -> Fact:
        """The next fact."""
        sentence, question, answer = self._random.choice(self._templates)
        names = dict.fromkeys(name for _, name, _, _ in Formatter().parse(sentence) if name)
        values = {name: self._value(name) for name in names}
        return Fact(
            _with_articles(sentence.format(**values)),
            _with_articles(question.format(**values)),
            _with_articles(answer.format(**values)),
        )

    def _value(self, field: str) -> str:
        """The value of a template's field; a new name where it has to be unique."""
        draw = self._random
        if field in _NAMES:
            return self._new(_NAMES[field])
        if field in _NUMBERS:
            return str(draw.randint(*_NUMBERS[field]))
        if field in _SPELLED:
            return in_words(draw.randint(*_SPELLED[field]))
        return draw.choice(_LISTS[field]) if field in _LISTS else _MADE[field](draw)

    def _new(self, make: Callable[[random.Random], str]) -> str:
        name = make(self._random)
        for _ in range(_TRIES):
            if name not in self._used:
                break
            name = make(self._random)
        while name in self._used:
            name = f"{name}-{self._random.choice(words.STARTS)}"
        self._used.add(name)
        return name


def place(draw: random.Random) -> str:
    """One of some 18,000 town names."""
    parts = (words.STARTS, words.MIDDLES, words.PLACE_ENDS)
    return "".join(draw.choice(part) for part in parts)


def surname(draw: random.Random) -> str:
    """One of some 3,000 surnames, none of them a town's."""
    return draw.choice(words.STARTS) + draw.choice(words.SURNAME_ENDS)


def _person(draw: random.Random) -> str:
    return f"{draw.choice(words.FIRST_NAMES)} {surname(draw)}"


def _ship(draw: random.Random) -> str:
    return f"{draw.choice(words.ADJECTIVES)} {draw.choice(words.SIGNS)}"


def _inn(draw: random.Random) -> str:
    return " and ".join(draw.sample(words.SIGNS, 2))


def _company(draw: random.Random) -> str:
    return f"{surname(draw)} & {surname(draw)}"


def _book(draw: random.Random) -> str:
    return f"The {draw.choice(words.TRADES).title()}'s {draw.choice(words.ADJECTIVES)} " + (
        draw.choice(words.THINGS).title()
    )


def _pet(draw: random.Random) -> str:
    return draw.choice(words.STARTS) + draw.choice(words.PET_ENDS)


def _word(draw: random.Random) -> str:
    return draw.choice(words.STARTS).lower() + draw.choice(words.PLACE_ENDS)


def in_words(number: int) -> str:
    """A number from 0 to 99 in words."""
    if number < len(words.SMALL_NUMBERS):
        return words.SMALL_NUMBERS[number]
    tens, rest = divmod(number, 10)
    return words.TENS[tens - 2] + (f"-{words.SMALL_NUMBERS[rest]}" if rest else "")


def _with_articles(text: str) -> str:
    return _A_BEFORE_VOWEL.sub(r"\1n ", text)


_NAMES: dict[str, Callable[[random.Random], str]] = {
    "p": _person, "q": _person, "place": place, "place2": place,
    "ship": _ship, "inn": _inn, "company": _company, "book": _book,
}  # fmt: skip
_MADE: dict[str, Callable[[random.Random], str]] = {"pet": _pet, "word": _word}
_NUMBERS = {"n": (11, 999), "n20": (3, 20), "n28": (1, 28), "n90": (18, 97), "year": (1210, 1899)}
_SPELLED = {"words": (2, 99)}
"""Numbers that are written in words."""
_LISTS: dict[str, Sequence[str]] = {
    "colour": words.COLOURS, "animal": words.ANIMALS, "trade": words.TRADES, "thing": words.THINGS,
    "food": words.FOODS, "room": words.ROOMS, "material": words.MATERIALS, "hour": words.HOURS,
    "garment": words.GARMENTS, "relation": words.RELATIONS, "language": words.LANGUAGES,
    "game": words.GAMES, "music": words.MUSIC, "month": words.MONTHS, "weekday": words.WEEKDAYS,
    "illness": words.ILLNESSES, "nth": words.ORDINALS, "season": words.SEASONS, "part": words.PARTS,
}  # fmt: skip
