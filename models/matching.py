"""How an answer is compared with gold answers: SQuAD v1.1's rules, for training and evaluation alike.

Rajpurkar et al. 2016 (arXiv 1606.05250), their evaluation script. Works on text alone.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_PRINTED = str.maketrans("–—…", "   ", "“”„«»‘’‚")
"""What a printed book has in the place of ASCII; a dash stands between words, often without a space."""


def normalise(text: str) -> str:
    """Lower case, ASCII punctuation deleted, articles dropped, single spaces: "the U.S." is "us"."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact(answer: str, golds: Sequence[str]) -> bool:
    """Whether the answer equals a gold answer after normalisation; then it is a `hit` too."""
    given = normalise(answer)
    return any(given == normalise(gold) for gold in golds)


def hit(answer: str, golds: Sequence[str]) -> bool:
    """Whether a gold answer occurs in the answer, word for word after normalisation.

    A gold answer that normalises to nothing ("The") occurs only in an answer that does too.
    """
    given = f" {normalise(answer)} "
    return any(f" {normalise(gold)} " in given for gold in golds)


def stands_in(text: str, golds: Sequence[str]) -> bool:
    """Whether a gold answer occurs in a text of a book: a `hit`, and printed quotes and dashes, which
    SQuAD's rules do not know, are no part of a word."""
    return hit(text.translate(_PRINTED), [gold.translate(_PRINTED) for gold in golds])


def f1(answer: str, golds: Sequence[str]) -> float:
    """Token F1 with the best gold answer, 0 to 1."""
    return max(
        (_f1(normalise(answer).split(), normalise(gold).split()) for gold in golds), default=0.0
    )


def _f1(given: Sequence[str], wanted: Sequence[str]) -> float:
    same = (Counter(given) & Counter(wanted)).total()
    return 2 * same / (len(given) + len(wanted)) if same else 0.0
