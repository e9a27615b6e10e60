"""Which passages of the recalled chunks a model reads again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mplus_cli.asking.lexical import match_words
from mplus_cli.asking.passages import score_text
from mplus_cli.asking.rereading import (
    PASSAGE,
    ROUND,
    SENTENCE,
    Fitting,
    in_rounds,
    passages_by_words,
    passages_for_second,
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
        return "\n\n".join(f"{sentence} {'so ' * 90}on." for sentence in sentences)

    question = "What was the goat of Mr. Finch called?"
    goat = text("Mr. Finch kept a goat", "Mr. Finch was called", "It ate")
    snow = text("It rained", "It snowed", "It thawed", "Nobody spoke")
    far = text("The goat of Mr. Finch was called Admiral")
    texts = (goat, snow, far)
    fitting = [
        Fitting(score_text(question, one, longest=PASSAGE), match, score)
        for one, match, score in zip(
            texts, match_words(question, texts), (3.0, 2.0, 1.0), strict=True
        )
    ]

    def beginnings(
        texts: Sequence[Fitting], answers: Sequence[tuple[str, float]] = ()
    ) -> list[list[str]]:
        return [[one[:6] for one in now] for now in in_rounds(texts, answers)]

    its = ["Mr. Fi", "Mr. Fi", "It ate", "The go"]
    first, second = beginnings(fitting)
    assert first == its, "that of the last text too"
    assert len(first) == ROUND and second == ["It rai", "It sno", "It tha", "Nobody"], "each once"
    named, _ = beginnings(fitting, [("Nobody", -0.1), ("elsewhere", 0.0)])
    assert named == ["Mr. Fi", "Mr. Fi", "Nobody", "The go"], "as an answer stands there"
    unlikely = beginnings(fitting, [("Nobody", -30.0)])
    assert unlikely == [first, second], "it is as good as none"
    assert list(in_rounds([])) == [[]], "what memory suggests is judged all the same"
    low = [*fitting[:2], replace(fitting[2], score=-60.0)]
    assert "The go" in beginnings(low)[1], "its chunk hardly fits"
    further = beginnings([*fitting, fitting[0]])
    assert further == [first, second, its[:3]], "chunks that are further behind come last"
    by_words = passages_for_second(question, [RAIN, far, goat], 2)
    assert {one[:6] for one in by_words} >= {"Mr. Fi", "The go"}
    assert not any("rain went on" in one for one in by_words)


def test_a_passage_beside_the_words_of_the_question_comes_before_one_far_from_them() -> None:
    question, gap = "Which animal did the miller of Stoke keep?", "So on it went. " * 60
    text = f"The miller of Stoke was proud. He had an ass. {gap}They saw an ox."
    scored = score_text(question, text, longest=PASSAGE)
    flat = replace(scored, scores=(0.0,) * len(scored.scores))
    (match,) = match_words(question, [text])
    shown = " ".join(next(in_rounds([Fitting(flat, match, 0.0)])))
    assert "ass" in shown and "ox" not in shown
