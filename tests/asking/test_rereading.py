"""Which passages of the recalled chunks a model reads again."""

from __future__ import annotations

from mplus_cli.asking.rereading import PASSAGE, SENTENCE, passages_by_words

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
