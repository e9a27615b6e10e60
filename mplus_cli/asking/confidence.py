"""The probability that an answer is right, from features of all answers that were considered.

Its weights are in `asking.json` beside a checkpoint's weights, and were fitted on questions that the
checkpoint was not trained on (`docs/evaluation/confidence.md`). Works on text and numbers; needs no
network.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.matching import f1
from mplus_cli.asking.lexical import WORD, Match, find_words
from mplus_cli.asking.passages import Span
from mplus_cli.english.answer_type import fits, kind_of
from mplus_cli.errors import MismatchError

FILE = "asking.json"
FORMATS = (1, 2)
"""Of the file: in 1 each answer is judged by itself (logistic regression), in 2 answers compete with each
other and with "none of them" (softmax)."""
SAME = 0.6
"""Token F1 from which on two answers count as the same, where answers compete and in fitting."""
FEATURES = (
    *("nats_each", "refusing", "near", "in_best", "fits", "repeats", "lead", "agreed"),
    "looked_at",
)
"""What an answer is judged by: its log-probability by the token; that of refusing; the share of the
question's words around the place where it stands; whether that is in the best chunk; whether it is of the
kind that is asked for; the share of its words that are the question's; how far the best chunk is ahead of the
third; whether retriever and words agree on the best; how far the passage in which it stands is behind the one
that attention heads look at most."""
SECOND_FEATURES = ("text_each", "text_behind", "text_refusing", "both", "text_share")
"""What it is judged by too, where there is a second opinion: its log-probability by the token to that reader;
how far it is behind the likeliest of all to it; how far refusing is ahead of that one; whether it is the
likeliest to both readers; its share of the probability of all of them and of refusing."""
LATER_FEATURES = ("looked_at", "text_share")
"""What files of earlier versions do not have: it weighs nothing there."""
NOT_LOOKED_AT = -10.0
"""How far behind a passage is at most, and an answer that stands in none."""
UNNAMED = -5.0
"""Log-probability by the token of an answer that the reader of memory did not come to."""


@dataclass(frozen=True, slots=True)
class Considered:
    """A candidate answer."""

    text: str
    tokens: int
    nats: float
    """Its log-probability."""
    features: tuple[float, ...]
    """What it is judged by (`FEATURES`, `SECOND_FEATURES`); empty without a calibration."""


@dataclass(frozen=True, slots=True)
class Grounds:
    """What was found for a question, before there is an answer."""

    question: str
    texts: tuple[str, ...]
    """The texts of the chunks that may be quoted, best first."""
    matches: tuple[Match, ...]
    """The matches of the question's words in these texts."""
    lead: float
    agreed: bool
    looks: tuple[tuple[tuple[Span, float], ...], ...] = ()
    """The passages of each text, and how far each is behind the one that attention heads look at most; empty
    where nothing is known of that."""

    def looked_at(self, places: Sequence[tuple[int, Span]]) -> float:
        """The same for the best passage that holds one of these places, each with the number of its text."""
        if not self.looks:
            return 0.0
        behind = (
            value
            for number, (start, stop) in places
            for (first, last), value in self.looks[number]
            if first <= start and stop <= last
        )
        return max(max(behind, default=NOT_LOOKED_AT), NOT_LOOKED_AT)


@dataclass(frozen=True, slots=True)
class Calibration:
    """The content of `asking.json`."""

    words: tuple[float, float]
    """Weights of BM25 and of the best window's coverage in finding, in nats beside the retriever's
    score."""
    weights: tuple[float, ...]
    """Of `FEATURES` and, if `has_second`, of `SECOND_FEATURES`."""
    bias: float
    refuse: float
    """Below this probability no answer is given."""
    doubt: float
    """Below this probability an answer comes with a warning, and with --strict not at all."""
    compete: bool = False
    """Whether the odds of an answer are those against "none of them", shared with the other answers."""

    @property
    def has_second(self) -> bool:
        """Whether it takes a second opinion into account."""
        return len(self.weights) > len(FEATURES)

    def odds(self, features: Sequence[float]) -> float:
        """The odds of an answer with these features, e^-30 to e^30."""
        logit = self.bias + sum(w * x for w, x in zip(self.weights, features, strict=True))
        return math.exp(max(min(logit, 30.0), -30.0))

    def likeliest(self, answers: Sequence[Considered]) -> tuple[int, float]:
        """The number of the answer with the best odds, and the probability that it is right.

        Where answers compete, it has the probability of those that say the same (`SAME`) too.

        Raises:
            ValueError: there is no answer.
        """
        odds = [self.odds(answer.features) for answer in answers]
        best = max(range(len(odds)), key=odds.__getitem__)
        if not self.compete:
            return best, odds[best] / (1 + odds[best])
        text = answers[best].text
        same = sum(
            own
            for number, (own, answer) in enumerate(zip(odds, answers, strict=True))
            if number == best or f1(answer.text, [text]) >= SAME
        )
        return best, same / (1 + sum(odds))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Calibration:
        """From JSON values; ValueError, KeyError or TypeError where they are not those of this format."""
        if values["format"] not in FORMATS:
            known = " or ".join(map(str, FORMATS))
            raise ValueError(f"format {values['format']!r}, not {known}, which this version reads")
        fitted = values["confidence"]
        weights = fitted["weights"]
        names = FEATURES + SECOND_FEATURES if len(weights) > len(FEATURES) else FEATURES
        if set(weights) | set(LATER_FEATURES) != set(names) | set(LATER_FEATURES):
            raise ValueError(f"weights of {', '.join(sorted(weights))}")
        found = cls(
            words=(float(values["words"]["bm25"]), float(values["words"]["window"])),
            weights=tuple(float(weights.get(name, 0.0)) for name in names),
            bias=float(fitted["bias"]),
            refuse=float(fitted["refuse"]),
            doubt=float(fitted["doubt"]),
            compete=values["format"] > 1,
        )
        numbers = (*found.words, *found.weights, found.bias, found.refuse, found.doubt)
        if not all(map(math.isfinite, numbers)):
            raise ValueError("a number is not finite")
        return found


def read_calibration(folder: Path) -> Calibration | None:
    """The calibration of the checkpoint in a folder; None if it has none.

    Raises:
        MismatchError: the file is damaged or of another version.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        return Calibration.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MismatchError(f"{path} cannot be read ({error}): put it back or remove it") from error


def features(
    grounds: Grounds, answer: str, nats: float, tokens: int, refusing: float
) -> tuple[float, ...]:
    """The values of `FEATURES` for an answer of so many tokens."""
    places = [
        (number, place)
        for number, text in enumerate(grounds.texts)
        for place in find_words(text, answer)
    ]
    stands = [(grounds.matches[number].near(*place), number) for number, place in places]
    near, number = max(stands, key=lambda held: (held[0], -held[1]), default=(0.0, 1))
    words = WORD.findall(answer.lower())
    asked = set(WORD.findall(grounds.question.lower()))
    return (
        nats / (tokens + 1),
        refusing,
        near,
        float(number == 0),
        float(fits(kind_of(grounds.question), answer) is True),
        sum(word in asked for word in words) / max(len(words), 1),
        min(grounds.lead, 10.0),
        float(grounds.agreed),
        grounds.looked_at(places),
    )
