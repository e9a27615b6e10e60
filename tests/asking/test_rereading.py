"""Which passages of the recalled chunks a model reads again."""

from __future__ import annotations

from mplus_cli.asking.passages import score_text
from mplus_cli.asking.rereading import (
    PASSAGE,
    SENTENCE,
    TOGETHER,
    passages_by_words,
    passages_for_second,
    together,
)

RAIN = "The rain went on and on for days. " * 8
GOAT = f"{RAIN}Mr. Finch kept a goat. It was named Admiral. {RAIN}It ate the rope. {RAIN}"
DOOR = f"The door was red. {RAIN}Mr. Finch had painted it. {RAIN}"


def test_the_best_text_gives_most_passages_and_comes_first() -> None:
    question = "Which goat of Mr. Finch was named Admiral and ate the rope?"
    shown = passages_by_words(question, [RAIN, DOOR, GOAT], 2)
    assert len(shown) == 3
    assert "named Admiral." in shown[0] and "It ate the rope." in shown[1]
    assert "Mr. Finch had painted it." in shown[2]
    assert passages_by_words(question, [DOOR, GOAT], 1)[0] in shown[:2]


def test_passages_are_short_and_of_one_line_each() -> None:
    sentence = "and so the goat went on, " * 60
    for text in passages_by_words("Where did the goat go?", [GOAT, sentence, "\n", ""], 4):
        assert "\n" not in text and len(text) <= max(4 * PASSAGE, SENTENCE)


def test_neighbours_of_a_paragraph_are_one_passage() -> None:
    text = f"The goat, as old as the hills, {'very ' * 30}slept. The goat woke {'up ' * 30}then."
    assert passages_by_words("Which goat slept, which goat woke?", [text, RAIN], 2)[0] == text
    apart = text.replace(" The goat woke", "\n\nThe goat woke")
    assert len(passages_by_words("Which goat slept, which goat woke?", [apart, RAIN], 2)) == 3


def test_nothing_to_show() -> None:
    assert passages_by_words("Who?", [], 2) == []
    assert passages_by_words("Who?", ["", " \n"], 2) == []


def test_passages_of_all_texts_compete_where_answers_may_stand() -> None:
    def text(*sentences: str) -> str:
        return "\n\n".join(f"{sentence} {'so ' * 40}on." for sentence in sentences)

    question = "What was the goat of Mr. Finch called?"
    goat = text("Mr. Finch kept a goat", "Mr. Finch was called", "It ate")
    snow, far = text("Nobody spoke", "It snowed"), text("The goat of Mr. Finch was called Admiral")
    texts = [score_text(question, one, longest=PASSAGE) for one in (goat, snow, far)]
    alone = [one[:6] for one in together(texts)]
    assert alone == ["Mr. Fi", "Mr. Fi", "It ate", "The go"], "that of the last text too"
    assert len(alone) == TOGETHER
    named = [one[:6] for one in together(texts, [("Nobody", -0.1), ("elsewhere", 0.0)])]
    assert named == ["Mr. Fi", "Mr. Fi", "Nobody", "The go"], "as an answer stands there"
    unlikely = together(texts, [("Nobody", -30.0)])
    assert [one[:6] for one in unlikely] == alone, "it is as good as none"
    assert together([]) == []
    by_words = passages_for_second(question, [RAIN, far, goat], 2)
    assert {one[:6] for one in by_words} >= {"Mr. Fi", "The go"}
    assert not any("rain went on" in one for one in by_words)
