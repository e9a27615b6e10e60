"""The sentences that speak to a question, and where the answer stands in them."""

from __future__ import annotations

import re

import pytest
import torch

from models.reranker import Attended
from mplus_cli.asking.lexical import find_words
from mplus_cli.asking.passages import (
    CUT,
    FEW,
    LONGEST,
    SENTENCES,
    best_of_all,
    first_passage,
    memory_tokens,
    score_text,
    split_passages,
)
from mplus_cli.documents.sentences import split_sentences

TEXT = (
    "The boat was small. Mr. Finch kept a goat named Admiral.\n\n"
    "It ate the rope!  “Who fed it?” asked Pim. " + "The rain went on and on for days. " * 12
)


def sentences(text: str) -> list[str]:
    return [text[start:stop] for start, stop in split_sentences(text)]


def test_sentences_are_whole() -> None:
    assert sentences(TEXT)[:5] == [
        "The boat was small.",
        "Mr. Finch kept a goat named Admiral.",
        "It ate the rope!",
        "“Who fed it?” asked Pim.",
        "The rain went on and on for days.",
    ]
    assert sentences("  no full stop\n\nA heading\n\n") == ["no full stop", "A heading"]
    assert sentences(" \n ") == [] == sentences("")


def test_passages_are_runs_of_sentences_that_are_not_too_long() -> None:
    whole = list(split_sentences(TEXT))
    starts, stops = {start for start, _ in whole}, {stop for _, stop in whole}
    for start, stop in split_passages(TEXT):
        assert start in starts and stop in stops
        held = [span for span in whole if start <= span[0] and span[1] <= stop]
        assert len(held) <= SENTENCES
        assert len(held) == 1 or stop - start <= (CUT if len(held) <= FEW else LONGEST)


def test_a_few_long_sentences_are_shown_together_and_more_of_short_ones() -> None:
    long, short = "It rained on the house and on the hill " * 5 + "again.", "It was a goat."
    text = " ".join([long] * 4)
    lengths = {text[start:stop].count("again.") for start, stop in split_passages(text)}
    assert lengths == {1, 2, 3} and len(long) * 3 > LONGEST
    assert max(stop - start for start, stop in split_passages(text)) <= CUT
    assert {text[a:b].count("again.") for a, b in split_passages(text, longest=450)} == {1, 2}
    talk = " ".join([short] * 9)
    most = max(talk[start:stop].count("goat") for start, stop in split_passages(talk))
    assert most == SENTENCES


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("goat", ["goat"]),
        ("The goat.", ["goat"]),
        ("a GOAT NAMED admiral", ["a goat named Admiral"]),
        ("fed it? asked", ["fed it?” asked"]),
        ("oat", []),
        ("goat Admiral", []),
        ("kept a goat", ["kept a goat"]),
        ("", []),
        ("?!", []),
    ],
)
def test_where_an_answer_stands(answer: str, found: list[str]) -> None:
    assert [TEXT[start:stop] for start, stop in find_words(TEXT, answer)] == found


def test_a_name_that_ends_like_an_article_stays_whole() -> None:
    assert find_words("It was Emma Hart.", "Emma Hart") == [(7, 16)]


def test_the_passage_shares_words_with_the_question() -> None:
    best = score_text("Who kept the goat?", TEXT).best()
    assert best is not None and best.answer is None
    assert "Finch kept a goat" in TEXT[slice(*best.span)]


def test_the_answer_decides_between_passages() -> None:
    text = "It rained. " * 80 + "The goat was grey. " + "It blew. " * 80 + "Its name was Admiral."
    scored = score_text("What was the goat?", text)
    unanswered, answered = scored.best(), scored.best("Admiral")
    assert unanswered and "goat was grey" in text[slice(*unanswered.span)]
    assert answered and answered.answer and text[slice(*answered.answer)] == "Admiral"
    assert answered.span[0] <= answered.answer[0] and answered.answer[1] <= answered.span[1]
    assert scored.best("Bishop") == unanswered


def test_what_was_considered_decides_between_passages_that_fit_alike() -> None:
    """By its share; not against the words of the question, nor against the answer that is given."""
    text = " ".join(
        ("It rained." * 60, "The goat was grey.", "It blew." * 60, "The goat was white.")
    )
    scored = score_text("What was the goat?", text)

    def shown(answer: str = "", *considered: tuple[str, float]) -> str:
        best = scored.best(answer, considered)
        assert best is not None
        return text[slice(*best.span)]

    assert "grey" in shown("", ("grey", 0.6), ("white", 0.4))
    assert "white" in shown("", ("grey", 0.4), ("white", 0.6))
    assert "grey" in shown("grey", ("grey", 0.4), ("white", 0.6))
    assert "goat" in shown("", ("blew", 1.0))


def test_memory_tokens_that_are_near_decide_without_words() -> None:
    text = "One is here. " * 40 + "Two is there. " + "Three is far. " * 40
    offsets = [(at, at + 1) for at in range(len(text))]
    near = torch.zeros(3, len(text) // 2)
    place = text.index("Two")
    near[:, place // 2 : place // 2 + 3] = 1.0
    best = score_text("anything", text, near, offsets).best()
    assert best is not None and "Two is there." in text[slice(*best.span)]


def test_a_passage_without_an_end_is_cut_at_words() -> None:
    text = "word " * 400 + "treasure " + "word " * 400
    for answer in ("treasure", ""):
        best = score_text("Where is the treasure?", text).best(answer)
        assert best is not None
        shown = text[slice(*best.span)]
        assert len(shown) <= 700 and set(shown.split()) == {"word", "treasure"}


def test_a_text_without_a_word_has_no_passage() -> None:
    assert score_text("who?", " \n").best("x") is None


def test_headings_are_left_out() -> None:
    text = "He slept. CHAPTER IV The wind rose The sea was grey. He woke."
    heading = (text.index("CHAPTER"), text.index(" The sea"))
    shown = [text[start:stop] for start, stop in split_passages(text, [heading])]
    assert shown == ["He slept.", "The sea was grey.", "The sea was grey. He woke.", "He woke."]
    (start, stop) = score_text("what was grey?", text, headings=[heading]).best().span  # type: ignore[union-attr]
    assert text[start:stop].startswith("The sea was grey.")
    # What a forged memory says of headings is wrong, and no reason to fail.
    for wrong in ([(50, 900)], [(40, 44), (3, 9)], [(900, 901)]):
        for start, stop in split_passages(text, wrong):
            assert 0 <= start < stop


def test_the_second_passage_shares_nothing_with_the_first() -> None:
    text = ("The storm came in March. " * 20) + "The goat ate the rope. " + ("It rained. " * 50)
    text += "The goat was called Admiral."
    best = score_text("What was the goat called?", text).best()
    assert best is not None and best.second is not None
    assert "Admiral" in text[slice(*best.span)]
    assert "ate the rope" in text[slice(*best.second)]
    assert best.second[1] <= best.span[0] or best.span[1] <= best.second[0]
    only = score_text("What?", "One sentence.").best()
    assert only is not None and only.second is None


def test_the_best_passages_of_several_texts_share_a_count() -> None:
    texts = [
        score_text("Who came?", "Ann came. Bob slept. It rained."),
        score_text("Who came?", ""),
    ]
    texts.append(score_text("Who came?", "Cid came. Dan left."))
    assert all(len(text.passages) == len(text.scores) for text in texts)

    def score(wanted: dict[str, float]) -> list[list[float]]:
        return [
            [wanted.get(text.text[start:stop], -1.0) for start, stop in text.passages]
            for text in texts
        ]

    def best(wanted: dict[str, float], count: int) -> list[str]:
        found = best_of_all(texts, score(wanted), count)
        return [texts[number].text[slice(*span)] for number, span in found]

    three = {"It rained.": 2.0, "Cid came.": 3.0, "Ann came.": 1.0}
    assert best(three, 2) == ["Cid came.", "It rained."]
    rained = best_of_all(texts, score(three), 2, apart=[(0, (0, 9))])
    assert (2, (0, 9)) in rained and (0, (0, 9)) not in rained, "another text has the same span"
    shared = {"Ann came. Bob slept.": 2.0, "Bob slept.": 1.9, "Dan left.": 1.0, "It rained.": 0.5}
    assert best(shared, 3) == ["Ann came. Bob slept.", "Dan left.", "It rained."]


@pytest.mark.parametrize(
    "heading",
    [
        "CHAPTER IV. THE STORM",
        "Chapter 4",
        "THE STORM",
        "IV",
        "[12]",
        "PART TWO\n\nIV",
    ],
)
def test_no_passage_begins_with_a_heading(heading: str) -> None:
    """Also where no place records it; but one that holds the answer stays."""
    text = f"{heading}\n\nThe goat ate the rope of the boat."
    scored = score_text("In chapter 4, the storm, what ate the rope?", text)
    best = scored.best()
    assert best is not None and text[slice(*best.span)] == "The goat ate the rope of the boat."
    word = re.findall(r"\w+", heading)[-1]
    held = scored.best(word)
    assert held is not None and held.answer and held.span[0] <= held.answer[0]
    part = first_passage(text, (0, len(text)))
    assert part is not None and text[slice(*part)].startswith("The goat")


@pytest.mark.parametrize(
    "line",
    ["“NO!”", "KILL HIM!", "Ann Lee", "It rained, and", "Chapter 3 says so.", "# Feed the goat"],
)
def test_what_is_no_heading_stays(line: str) -> None:
    text = f"{line}\n\nThe goat ate the rope."
    assert first_passage(text, (0, len(text))) == (0, len(text))


@pytest.mark.parametrize(
    "text",
    [
        "COME HOME AT ONCE\n\nGOAT ATE ROPE\n\nANN",
        "SKU: A12 | RED\nSKU: B13 | BLUE\nSKU: C14 | GREY",
        "12\n\n13\n\n14",
    ],
)
def test_a_text_in_capitals_loses_no_line(text: str) -> None:
    assert first_passage(text, (0, len(text))) == (0, len(text))
    assert first_passage(f"{text}\n\nIt rained.", (0, len(text))) == (0, len(text))


def test_passages_outside_of_a_part_are_left_out() -> None:
    text = score_text("Who came?", "Ann came. Bob came.")
    inside = text.only((10, 19))
    assert [text.text[slice(*span)] for span in inside.passages] == ["Bob came."]
    assert len(inside.scores) == len(inside.coverage) == len(inside.shared) == 1
    assert text.only((0, 0)).passages == ()
    half = score_text("Who came?", "Ann came with the dog of the old miller.")
    assert half.only((9, 20)).passages == half.passages, "a sentence that began before"


def test_passages_at_which_attention_heads_look_gain() -> None:
    """By nothing else where similarities tell none apart; and not where they are unknown."""
    text = "One is here. Two is there. Three is far. Four is near."
    offsets = [(at, at + 1) for at in range(len(text))]
    place = text.index("Three") // 2
    shares = torch.full((1, len(text) // 2), 0.01)
    shares[:, place + 1 : place + 5] = 0.2
    attended = Attended(shares, torch.tensor([3.0]))
    near = torch.ones(3, shares.shape[1])
    plain = score_text("anything", text, near, offsets)
    scored = score_text("anything", text, near, offsets, attended=attended)
    runs = memory_tokens(scored.passages, shares.shape[1], [start for start, _ in offsets])
    gains = [after - before for before, after in zip(plain.scores, scored.scores, strict=True)]
    assert gains == pytest.approx(attended.of_runs(runs), abs=1e-5)
    best = scored.best()
    assert best is not None and "Three is far." in text[slice(*best.span)]
    assert score_text("anything", text, attended=attended) == score_text("anything", text)


def test_memory_tokens_of_passages() -> None:
    """Those that hold any of a passage's text tokens; at least one, and none beyond the last."""
    starts = list(range(0, 40, 4))  # ten tokens of four characters, in five memory tokens
    assert memory_tokens([(0, 8), (8, 20), (0, 40)], 5, starts) == [(0, 1), (1, 3), (0, 5)]
    assert memory_tokens([(4, 12)], 5, starts) == [(0, 2)]
    assert memory_tokens([(38, 40), (40, 44)], 5, starts) == [(4, 5), (4, 5)]
    assert memory_tokens([(0, 4), (4, 8)], 1, starts) == [(0, 1), (0, 1)]
    assert memory_tokens([], 5, starts) == []
