"""Near misses: questions about a passage whose answering sentence is left out before it is written.

A reader that never sees such questions answers whenever the passage is on the right topic (the
unanswerable questions of SQuAD 2.0 are of this kind, Rajpurkar et al. 2018, arXiv 1806.03822). Works on
text alone.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from models.matching import stands_in

MOST = 2
"""Questions asked about the sentence left out, at most: some data sets have dozens a sentence."""
_BREAK = re.compile(r"(?<=[.!?])[\"')\]”’]*\s+(?=[\"'(\[“‘]?[A-Z0-9])")


@dataclass(frozen=True, slots=True)
class TextWithGap:
    """A text without one of its sentences. Questions are numbered as they were given."""

    text: str
    missed: tuple[int, ...]
    """Questions that only the sentence answered, `MOST` of them at most."""
    kept: tuple[int, ...]
    """Questions that only other sentences answer; those that it answered too are in neither."""


def leave_out(
    text: str, answers: Sequence[Sequence[str]], draw: random.Random
) -> TextWithGap | None:
    """A text without a sentence that alone answers a question; None if there is no such sentence.

    Args:
        answers: the gold answers of each question.
    """
    sentences = split(text)
    holders = [
        {number for number, sentence in enumerate(sentences) if stands_in(sentence, golds)}
        for golds in answers
    ]
    alone = sorted({number for held in holders if len(held) == 1 for number in held})
    if len(sentences) < 2 or not alone:
        return None
    gone = draw.choice(alone)
    missed = [number for number, held in enumerate(holders) if held == {gone}]
    kept = [number for number, held in enumerate(holders) if held and gone not in held]
    left = " ".join(sentence for number, sentence in enumerate(sentences) if number != gone)
    return TextWithGap(left, tuple(draw.sample(missed, min(MOST, len(missed)))), tuple(kept))


def split(text: str) -> list[str]:
    """The sentences of a text, without the space between them."""
    bounds = [0, *(match.end() for match in _BREAK.finditer(text)), len(text)]
    parts = (text[start:stop].strip() for start, stop in pairwise(bounds))
    return [part for part in parts if part]
