"""Scores against values that published implementations give, and intervals against their definitions."""

from __future__ import annotations

import math

import pytest

from models import matching
from models.prompts import REFUSAL
from mplus_cli.evaluation.figures import mean, share
from mplus_cli.evaluation.values import Probe, Question, Reply, score


def test_squads_exact_match_and_f1() -> None:
    assert matching.exact("The Denver Broncos!", ["denver broncos"]) == 1
    assert matching.exact("Denver Broncos won", ["Denver Broncos"]) == 0
    # 2 words in common of 3 said and 2 wanted: 2 * (2/3) * 1 / (5/3).
    assert matching.f1("Denver Broncos won", ["Denver Broncos"]) == pytest.approx(0.8)
    # Repeated words count as often as in both: 1 of 3 said, 1 of 2 wanted.
    assert matching.f1("no no no", ["no yes"]) == pytest.approx(0.4)
    assert matching.f1("the", ["a"]) == 0
    assert matching.f1("blue", ["red", "dark blue"]) == pytest.approx(2 / 3)


def test_hit_wants_whole_words() -> None:
    assert matching.hit("It was in 1066, I think.", ["1066"]) == 1
    assert matching.hit("It was in 10663.", ["1066"]) == 0


@pytest.mark.parametrize(
    ("answer", "refused"),
    [
        ("The text does not say.", True),
        ("Sorry: the text does NOT say", True),
        (f"{REFUSAL.upper()[:-1]} !", True),
        ("The text says so.", False),
    ],
)
def test_refusal(answer: str, refused: bool) -> None:
    probe = Probe(Question("q", "k", "Who?", ("Ann",)), "0", 1, None, 0)
    assert score("mplus", probe, Reply(answer, (), None, 1, 0.0, 0.0)).refused is refused


def test_wilsons_interval() -> None:
    # Wilson 1927 for 8 of 10, z = 1.96.
    figure = share([1] * 8 + [0] * 2)
    assert figure.value == 0.8
    assert figure.low == pytest.approx(0.4902, abs=1e-4)
    assert figure.high == pytest.approx(0.9433, abs=1e-4)
    assert share([0] * 10).low == 0
    assert share([0] * 10).high == pytest.approx(0.2775, abs=1e-4)


def test_the_bootstrap_is_the_same_every_time() -> None:
    uneven = [math.sqrt(number) for number in range(40)]
    assert len({mean(uneven) for _ in range(3)}) == 1
    figure = mean([0.0, 0.2, 0.9, 1.0, 0.4])
    assert figure.value == pytest.approx(0.5)
    assert figure.low < 0.5 < figure.high
    # The normal interval of this mean is half a width of about 0.34.
    assert figure.high - figure.low == pytest.approx(0.7, abs=0.15)
    assert mean([0.5] * 4).low == mean([0.5] * 4).high == 0.5


def test_nothing_has_no_figure() -> None:
    assert share([]).n == mean([]).n == 0
    assert math.isnan(share([]).value)
