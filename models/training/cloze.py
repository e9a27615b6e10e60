"""Cloze questions: a sentence with a name, number or word left out.

They need no labels, so the readers can train on every page of a book (the idea of unsupervised question
answering by cloze translation, arXiv 1906.04980). Some other words are left out too, so that the sentence
must be found in memory and not just continued. Works on text alone.
"""

from __future__ import annotations

import random
import re

from models.training.fact_words import SMALL_NUMBERS, TENS

LEAST_WORDS, MOST_WORDS = 7, 45
"""Length of the sentences that are asked about, in words."""
AROUND = 14
"""Words kept on each side of the answer, at most."""
LEFT_OUT = 0.15
"""Chance that any other word is left out."""

_NUMBER_WORDS = (*SMALL_NUMBERS[2:], *TENS, "hundred")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+")
_SPANS = (
    ("in what year", re.compile(r"\b(?:1\d|20)\d\d\b")),
    ("how many", re.compile(r"\b\d[\d,.]*\d\b|\b\d\b|\b(?:" + "|".join(_NUMBER_WORDS) + r")\b")),
    (
        "who or what",
        re.compile(r"(?<=[a-z,;] )[A-Z][\w'’-]+(?: (?:(?:of|the|de|van|von) )?[A-Z][\w'’-]+)*"),
    ),
    ("what", re.compile(r"\b[a-z]{5,}\b(?: [a-z]{6,}\b)?")),
)


def clozes(text: str, count: int, draw: random.Random) -> list[tuple[str, str]]:
    """Up to `count` questions about sentences of a text, with their answers."""
    sentences = [" ".join(part.split()) for part in _SENTENCE_END.split(text)]
    # The first and the last may be cut off.
    fit = [s for s in sentences[1:-1] if LEAST_WORDS <= s.count(" ") + 1 <= MOST_WORDS]
    chosen = draw.sample(fit, min(count, len(fit)))
    made = (_cloze(sentence, draw) for sentence in chosen)
    return [pair for pair in made if pair is not None]


def _cloze(sentence: str, draw: random.Random) -> tuple[str, str] | None:
    kinds = [(word, list(shape.finditer(sentence))) for word, shape in _SPANS]
    found = [(word, matches) for word, matches in kinds if matches]
    if not found:
        return None
    # Every sentence has plain words: names and numbers mostly come first.
    word, matches = found[-1] if draw.random() < 0.25 else draw.choice(found)
    match = draw.choice(matches)
    left, right = (
        sentence[: match.start()].split()[-AROUND:],
        sentence[match.end() :].split()[:AROUND],
    )
    kept = [[part for part in side if draw.random() >= LEFT_OUT] for side in (left, right)]
    asked = " ".join([*kept[0], word, *kept[1]]).strip(" .,;:!?")
    return f"{asked[:1].upper()}{asked[1:]}?", match.group()
