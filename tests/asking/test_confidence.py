"""How sure an answer is: the file beside the weights, the chance, and what it is worked out from."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mplus_cli.asking.confidence import (
    FEATURES,
    FILE,
    LATER_FEATURES,
    SECOND_FEATURES,
    Calibration,
    Considered,
    Grounds,
    features,
    read_calibration,
)
from mplus_cli.asking.lexical import match_words
from mplus_cli.errors import MismatchError

DEFAULT = Path(__file__).parents[2] / "models" / "weights" / "smollm2-135m"
SECOND = dict.fromkeys(FEATURES + SECOND_FEATURES, 0.0)
VALUES: dict[str, Any] = {
    "format": 1,
    "words": {"bm25": 1.0, "window": 2.0},
    "confidence": {
        "bias": -1.0,
        "weights": dict.fromkeys(FEATURES, 0.0) | {"near": 2.0},
        "refuse": 0.1,
        "doubt": 0.3,
    },
}


def grounds(question: str, *texts: str) -> Grounds:
    return Grounds(question, texts, tuple(match_words(question, texts)), 2.0, True)


def test_a_checkpoint_without_the_file_says_nothing(tmp_path: Path) -> None:
    assert read_calibration(tmp_path) is None
    assert read_calibration(tmp_path / "gone") is None


def test_the_default_has_one() -> None:
    found = read_calibration(DEFAULT)
    assert found is not None
    assert 0 < found.refuse < found.doubt < 1


def test_a_file_without_the_later_features_still_loads() -> None:
    """What earlier versions fitted judges as it did."""
    earlier = {name: 0.5 for name in SECOND if name not in LATER_FEATURES}
    found = calibration(earlier, format=2)
    features = [float(number) for number in range(len(SECOND))]
    known = dict(zip(SECOND, features, strict=True))
    logit = -1.0 + sum(0.5 * known[name] for name in earlier)
    assert found.odds(features) == pytest.approx(math.exp(min(logit, 30.0)))


@pytest.mark.parametrize(
    "damage",
    [
        lambda values: "{",
        lambda values: "[]",
        lambda values: json.dumps(values | {"format": 3}),
        lambda values: json.dumps({"format": 1}),
        lambda values: json.dumps(values | {"words": {"bm25": "much", "window": 1}}),
        lambda values: json.dumps(values | {"words": {"bm25": float("nan"), "window": 1}}),
        lambda values: json.dumps(
            values | {"confidence": values["confidence"] | {"weights": {"near": 1.0}}}
        ),
        lambda values: json.dumps(
            values
            | {
                "confidence": values["confidence"]
                | {"weights": SECOND | {"other": 1.0, "both": 1.0}}
            }
        ),
    ],
)
def test_a_damaged_file_is_reported(tmp_path: Path, damage: Any) -> None:
    (tmp_path / FILE).write_text(damage(VALUES))
    with pytest.raises(MismatchError, match=FILE):
        read_calibration(tmp_path)


def answers(found: Calibration, *given: tuple[str, float]) -> list[Considered]:
    """Answers with a value of the last feature each."""
    zeros = (0.0,) * (len(found.weights) - 1)
    return [Considered(text, 1, -1.0, (*zeros, value)) for text, value in given]


def calibration(weights: dict[str, float], **changes: Any) -> Calibration:
    own = VALUES["confidence"] | {"weights": weights}
    return Calibration.from_dict(VALUES | {"confidence": own} | changes)


def test_alone_an_answer_is_judged_by_a_logistic_regression() -> None:
    """Files of format 1, of earlier versions, go on loading."""
    found = calibration(dict.fromkeys(FEATURES, 0.0) | {FEATURES[-1]: 2.0})
    given = answers(found, ("a goat", 0.0), ("the old goat", 0.5), ("old goat", 0.25))
    assert not found.has_second
    assert found.likeliest(given[:1]) == (0, pytest.approx(0.2689, abs=1e-4))
    assert found.likeliest(given) == (1, pytest.approx(0.5))
    assert found.likeliest(answers(found, ("goat", -1e9)))[1] > 0


def test_answers_compete_and_those_that_say_the_same_count_together() -> None:
    found = calibration(SECOND | {"text_share": 1.0}, format=2)
    assert found.has_second
    logits = {"the old goat": 2.0, "Orla": 1.5, "An old goat": 1.0, "goat's horn": 1.0}
    odds = {text: math.exp(logit - 1.0) for text, logit in logits.items()}
    number, chance = found.likeliest(answers(found, *logits.items()))
    same = odds["the old goat"] + odds["An old goat"]
    assert (number, chance) == (0, pytest.approx(same / (1 + sum(odds.values()))))
    assert found.likeliest(answers(found, ("the", 1.0))) == (0, pytest.approx(0.5))
    far = found.likeliest(answers(found, *((name, 1e9) for name in "bcd")))
    assert far == (0, pytest.approx(1 / 3))


def test_an_answer_is_judged_by_where_heads_look() -> None:
    """By the best passage that holds it; none of them: as far behind as can be."""
    at = FEATURES.index("looked_at")
    texts = ("A goat came. A cat came.", "Then a goat slept.")
    plain = grounds("Who came?", *texts)
    looks = ((((0, 12), -3.0), ((13, 24), -1.0)), (((0, 18), 0.0),))
    seen = replace(plain, looks=looks)
    cases = {"goat": 0.0, "cat": -1.0, "A goat came. A cat": -10.0, "dog": -10.0}
    for answer, behind in cases.items():
        assert features(seen, answer, -1.0, 1, 0.0)[at] == behind
        assert features(plain, answer, -1.0, 1, 0.0)[at] == 0.0
    far = replace(plain, looks=((((0, 24), -99.0),), ()))
    assert features(far, "cat", -1.0, 1, 0.0)[at] == -10.0


def test_an_answer_is_judged_where_it_stands_best() -> None:
    found = grounds(
        "Who kept the goat?", "A storm. Orla  Finch\nkept the goat.", "Orla Finch. " + "Rain. " * 80
    )
    named = dict(zip(FEATURES, features(found, "orla finch", -2.0, 3, -1.0), strict=True))
    assert (named["near"], named["in_best"], named["fits"]) == (pytest.approx(1.0), 1.0, 0.0)
    assert (named["nats_each"], named["refusing"]) == (-0.5, -1.0)
    assert (named["lead"], named["agreed"]) == (2.0, 1.0)
    far = dict(zip(FEATURES, features(found, "Rain", -2.0, 1, -1.0), strict=True))
    assert far["near"] == 0 and far["in_best"] == 0 and far["fits"] == 1
    echo = dict(zip(FEATURES, features(found, "the goat", -2.0, 2, -1.0), strict=True))
    assert echo["repeats"] == 1.0
