"""Which answer is given: the words it is judged by, and yes or no against a refusal."""

from __future__ import annotations

from mplus_cli.asking.choosing import Words
from mplus_cli.asking.confidence import FEATURES, Calibration
from mplus_cli.asking.events import Question

TEXTS = ("The goat ate a rope.", "The lamp had a brass key.", "It rained.")
CALIBRATION = Calibration((1.0, 2.0), (0.0,) * len(FEATURES), 0.0, 0.1, 0.4)


def test_in_a_chat_the_question_before_helps_to_find_but_not_to_judge() -> None:
    alone = Words.find(CALIBRATION, Question("Which key?"), TEXTS)
    turns = (("What ate the rope?", "the goat"),)
    later = Words.find(CALIBRATION, Question("Which key?", turns=turns), TEXTS)
    assert later.matches == alone.matches
    assert alone.prior is not None and later.prior is not None
    assert alone.prior[0] == 0 < later.prior[0]
