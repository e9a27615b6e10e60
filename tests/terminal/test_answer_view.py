"""What is shown with an answer: the passage that holds it, and what is said where none does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from models.prompts import REFUSAL
from mplus_cli.asking.events import Answer, Retrieved, Source, TextDelta, Usage
from mplus_cli.place import Place
from mplus_cli.terminal.answer_view import show_answer

TEXT = "It rained. The goat was\ncalled Admiral. It ate the rope."
OTHER = Source("Log", (7, 8), 2, 0.1, "Nothing here. Nothing there.", None, (0, 13))
HOLDING = Source("Story", (3, 3), 1, 0.4, TEXT, None, (11, 39), (31, 38))
USAGE = Usage(1, 1, 1, 1, 1, 0.1, 0.2)
ANSWER = Answer("Who?", "Admiral", "m", "model", (OTHER, HOLDING, OTHER), USAGE, "stop")


def shown(capsys: Any, answer: Answer, **options: Any) -> tuple[str, list[str]]:
    deltas = [] if answer.refused or answer.is_unsure else [TextDelta(answer.answer)]
    events = iter([Retrieved(answer.sources), *deltas, answer])
    assert show_answer(events, **options) == answer
    captured = capsys.readouterr()
    return captured.out, captured.err.splitlines()


@pytest.mark.parametrize("stream", [True, False])
def test_the_passage_that_holds_the_answer_comes_first(capsys: Any, stream: bool) -> None:
    out, err = shown(capsys, ANSWER, stream=stream)
    assert out == "Admiral\n"
    assert err[-2:] == ["  The goat was called Admiral.", "  Story, p. 3"]
    assert shown(capsys, ANSWER, stream=stream, sources=False)[0] == "Admiral\n"


def test_paragraphs_are_lines(capsys: Any) -> None:
    text = "It rained.\n\nThe goat was\ncalled Admiral."
    source = replace(HOLDING, text=text, quote_span=(0, len(text)), answer_span=(31, 38))
    assert shown(capsys, replace(ANSWER, sources=(source,)))[1][-3:] == [
        "  It rained.",
        "  The goat was called Admiral.",
        "  Story, p. 3",
    ]


def in_chapter(share: float) -> Source:
    place = Place(("The Ferry",), None, share, share + 0.01)
    return replace(HOLDING, pages=None, place=place, quote_place=None, answer_span=None)


def test_other_passages_are_named_in_one_line_where_they_may_hold_the_answer(capsys: Any) -> None:
    """Below an answer that is sure and stands in the passage above, or below a refusal, they add nothing."""
    first = replace(HOLDING, answer_span=None)
    again = replace(first, pages=(9, 9))
    sequel = replace(again, document="Story, the end")
    unsure = replace(ANSWER, answer=REFUSAL, reason="unsure")
    for sources, line in (
        ((first, OTHER, again, again), "  See also: p. 9; Log, p. 7-8"),
        ((first, sequel), "  See also: Story, the end, p. 9"),
        ((first, first), "  Story, p. 3"),
        (
            (first, *(in_chapter(share) for share in (0.14, 0.2))),
            '  See also: "The Ferry", at 14 % and 20 %',
        ),
    ):
        assert shown(capsys, replace(ANSWER, sources=sources))[1][-1] == line, "it stands nowhere"
        assert shown(capsys, replace(unsure, sources=sources))[1][-1] == line
        assert line in shown(capsys, replace(ANSWER, sources=sources, doubtful=True))[1]
        held = (HOLDING, *sources[1:])
        assert line in shown(capsys, replace(ANSWER, sources=held, doubtful=True))[1]
        for sure in (
            replace(ANSWER, sources=held),
            replace(ANSWER, sources=sources, reason="verdict"),
            replace(unsure, sources=sources, reason="refused"),
            replace(unsure, sources=sources, reason="part"),
        ):
            assert shown(capsys, sure)[1][-1] == "  Story, p. 3"


def test_whole_passages(capsys: Any) -> None:
    out, err = shown(capsys, ANSWER, whole=True)
    assert out == "Admiral\n"
    whole = ["  It rained. The goat was", "  called Admiral. It ate the rope.", "  Story, p. 3"]
    assert err[-7:-2] == ["", *whole, ""], "passages apart"
    assert err.count("  Nothing here. Nothing there.") == 2


def test_sentences_have_their_own_page_and_whole_passages_theirs(capsys: Any) -> None:
    near = replace(HOLDING, pages=(3, 5), quote_pages=(4, 4))
    for whole, pages in ((False, "4"), (True, "3-5")):
        _, err = shown(capsys, replace(ANSWER, sources=(near,)), whole=whole)
        assert err[-1] == f"  Story, p. {pages}"


def test_an_answer_that_stands_nowhere_says_so(capsys: Any) -> None:
    _, err = shown(capsys, replace(ANSWER, sources=(OTHER, OTHER)))
    assert err[-3:] == [
        "  None of these passages contains the words of the answer:",
        "  Nothing here.",
        "  Log, p. 7-8",
    ]


def test_a_refusal_shows_one_passage(capsys: Any) -> None:
    """Not the second best sentences of it too: the reader says that the text does not tell."""
    near = replace(OTHER, second_span=(14, 28))
    refused = replace(
        ANSWER, answer=REFUSAL, sources=(near, replace(HOLDING, answer_span=None)), reason="refused"
    )
    out, err = shown(capsys, refused)
    assert out == "The text does not seem to say.\n"
    assert err[-3:] == ["  Nearest in the text:", "  Nothing here.", "  Log, p. 7-8"]
    assert "  Nothing there." in shown(capsys, replace(refused, reason="unsure"))[1]
    late = replace(near, quote_span=(14, 28), second_span=(0, 13))
    err = shown(capsys, replace(refused, sources=(late,), reason="unsure"))[1]
    assert err.index("  Nothing here.") < err.index("  Nothing there."), "as in the text"
    assert refused.to_json()["refused"] is True and refused.to_json()["reason"] == "refused"
    assert ANSWER.to_json()["refused"] is False and ANSWER.to_json()["reason"] == "stop"


@pytest.mark.parametrize("stream", [True, False])
def test_where_it_is_not_sure_the_passage_is_the_answer(capsys: Any, stream: bool) -> None:
    out, err = shown(capsys, replace(ANSWER, doubtful=True), stream=stream)
    assert out == "Admiral\n"
    first = err.index("  The passage that fits the question best:")
    assert err[first + 1 : first + 3] == ["  Nothing here.", "  Log, p. 7-8"]
    assert err[-1] == "  The likeliest answer, which may be wrong:"


def test_an_answer_too_doubtful_to_be_given_leaves_the_passage(capsys: Any) -> None:
    """It does not claim that the text does not say: that is not known."""
    unsure = replace(ANSWER, answer=REFUSAL, reason="unsure")
    out, err = shown(capsys, unsure)
    assert out == "No clear answer found in the text.\n"
    first = err.index("  The passage that fits the question best:")
    assert err[first + 1] == "  Nothing here."
    assert not any("likeliest" in line or "sure" in line for line in err), "said once"
    assert unsure.to_json()["refused"] is True and unsure.to_json()["reason"] == "unsure"


def test_yes_and_no_need_not_stand_in_a_passage(capsys: Any) -> None:
    verdict = replace(ANSWER, answer="Yes", sources=(OTHER,), reason="verdict")
    assert shown(capsys, verdict)[1][-2:] == ["  Nothing here.", "  Log, p. 7-8"]


def test_without_a_source_there_is_no_message(capsys: Any) -> None:
    out, err = shown(capsys, replace(ANSWER, sources=()))
    assert out == "Admiral\n" and not any(line.startswith("  ") for line in err)
