"""How sure an answer is: the file beside the weights, the chance, and what it is worked out from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mplus_cli.asking.confidence import (
    FEATURES,
    FILE,
    SECOND_FEATURES,
    Calibration,
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


@pytest.mark.parametrize(
    "damage",
    [
        lambda values: "{",
        lambda values: "[]",
        lambda values: json.dumps(values | {"format": 2}),
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


def test_the_chance_is_a_logistic_regression() -> None:
    found = Calibration.from_dict(VALUES)
    values = [0.0] * len(FEATURES)
    assert found.chance(values) == pytest.approx(0.2689, abs=1e-4)
    values[FEATURES.index("near")] = 0.5
    assert found.chance(values) == pytest.approx(0.5)
    values[FEATURES.index("near")] = -1e9
    assert found.chance(values) > 0


def test_a_second_opinion_counts_where_it_was_fitted() -> None:
    assert not Calibration.from_dict(VALUES).has_second
    weights = SECOND | {"both": 2.0}
    found = Calibration.from_dict(
        VALUES | {"confidence": VALUES["confidence"] | {"weights": weights}}
    )
    assert found.has_second
    assert found.chance([*[0.0] * (len(SECOND) - 1), 0.5]) == pytest.approx(0.5)


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
