"""The metrics against values that published implementations give, or their definitions by hand."""

from __future__ import annotations

import math

import pytest

from mplus_cli.evaluation import metrics
from mplus_cli.evaluation.figures import mean, share


def test_squads_exact_match_and_f1() -> None:
    assert metrics.exact("The Denver Broncos!", ["denver broncos"]) == 1
    assert metrics.exact("Denver Broncos won", ["Denver Broncos"]) == 0
    # 2 words in common of 3 said and 2 wanted: 2 * (2/3) * 1 / (5/3).
    assert metrics.f1("Denver Broncos won", ["Denver Broncos"]) == pytest.approx(0.8)
    # Repeated words count as often as in both: 1 of 3 said, 1 of 2 wanted.
    assert metrics.f1("no no no", ["no yes"]) == pytest.approx(0.4)
    assert metrics.f1("the", ["a"]) == 0
    assert metrics.f1("blue", ["red", "dark blue"]) == pytest.approx(2 / 3)


def test_hit_wants_whole_words() -> None:
    assert metrics.hit("It was in 1066, I think.", ["1066"]) == 1
    assert metrics.hit("It was in 10663.", ["1066"]) == 0


def test_refusal() -> None:
    assert metrics.refused("The text does not say.")
    assert metrics.refused("Sorry: the text does NOT say")
    assert not metrics.refused("The text says so.")
    from models.prompts import REFUSAL

    assert metrics.refused(f"{REFUSAL.upper()[:-1]} !")


def test_longbench() -> None:
    score = metrics.METRICS
    # qa_f1_score: precision 1/4, recall 1/1.
    assert score["f1"]("Answer: Paris, in France", ["paris"]) == pytest.approx(0.4)
    assert score["first-line-f1"]("\nParis\nLondon", ["Paris"]) == 1
    assert score["f1"]("\nParis\nLondon", ["Paris"]) == pytest.approx(2 / 3)
    # count_score and retrieval_score: the share of the numbers said that are right.
    assert score["count"]("There are 7, or 8, or 7.", ["7"]) == pytest.approx(2 / 3)
    assert score["count"]("none", ["7"]) == 0
    assert score["retrieval"]("Paragraph 12 or 3", ["Paragraph 12"]) == 0.5


def test_infinitebench() -> None:
    score = metrics.METRICS["first-number"]
    assert score("The pass key is 71432. 5", ["71432"]) == 1
    assert score("5 or 71432", ["71432"]) == 0
    assert score("no number", ["71432"]) == 0


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("C", 1),
        ("C. Bo", 1),
        ("B. Bo", 0),
        # A sentence that begins with "A" counts as option A.
        ("A man called Bo", 0),
        ("The answer is: C", 1),
        ("The answer is Bo.", 1),
        ("The answer is B, not C", 0),
        ("It must be C", 1),
        ("It must be B or C", 0),
        ("no idea", 0),
        ("", 0),
    ],
)
def test_infinitebenchs_choice(answer: str, right: int) -> None:
    assert metrics.choice(answer, ["Bo", "C"]) == right


def test_ruler() -> None:
    assert metrics.match_all("8231 and 42", ["8231", "42", "7", "9"]) == 0.5
    assert metrics.match_all("Magic WORD", ["magic word"]) == 1
    assert metrics.match_any("Paris", ["London", "paris"]) == 1
    assert metrics.match_any("Rome", ["London", "Paris"]) == 0


def test_rouge_l() -> None:
    # Longest common subsequence "police killed": P = R = 2/3... with 4 words wanted: R = 3/4.
    assert metrics.rouge_l("police kill the gunman", ["police killed the gunman"]) == 0.75
    # The example of Google's rouge_score: 5 words in common, precision 0.625, recall 0.5556.
    wanted, said = (
        "The quick brown fox jumps over the lazy dog",
        "The quick brown dog jumps on the log.",
    )
    precision, recall, square = 0.625, 5 / 9, 1.2**2
    expected = (1 + square) * precision * recall / (recall + square * precision)
    assert metrics.rouge_l(said, [wanted]) == pytest.approx(expected)
    # Precision and recall may come from different golds (COCO's, which NarrativeQA used).
    both = metrics.rouge_l("the gunman", ["the gunman", "police killed the gunman"])
    assert both == metrics.rouge_l("the gunman", ["the gunman"]) == pytest.approx(1)
    precision, recall, square = 2 / 2, 2 / 4, 1.2**2
    expected = (1 + square) * precision * recall / (recall + square * precision)
    assert metrics.rouge_l("the gunman", ["police killed the gunman"]) == pytest.approx(expected)
    assert metrics.rouge_l("nothing", ["police killed"]) == 0
    assert metrics.rouge_l("", ["police killed"]) == 0


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
