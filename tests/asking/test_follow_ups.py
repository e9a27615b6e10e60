"""Questions that follow others in a chat."""

from __future__ import annotations

import pytest

from mplus_cli.asking.follow_ups import resolve
from mplus_cli.asking.question import Question

SEXTON = ("Who is the sexton of Moonfleet?", "Ratsey")
REFUSED = "The text does not say."


def after(question: str, *turns: tuple[str, str]) -> tuple[str, bool]:
    """The question as it is read, and whether the turns are read with it."""
    found = resolve(Question(question, turns=turns))
    return found.text, bool(found.turns)


@pytest.mark.parametrize(
    ("question", "read_as"),
    [
        ("Who is he?", "Who is Ratsey?"),
        ("And where did he live?", "Where did Ratsey live?"),
        ("but his wife was who?", "Ratsey's wife was who?"),
        ("What did Elzevir give him?", "What did Elzevir give Ratsey?"),
        ("What is the name of his wife?", "What is the name of Ratsey's wife?"),
        ("Who is her husband?", "Who is Ratsey's husband?"),
        ("Who saw her in the vault?", "Who saw Ratsey in the vault?"),
        (
            "What trade did he follow before he fished?",
            "What trade did Ratsey follow before he fished?",
        ),
        ("Where was the boy who sold him a gun?", "Where was the boy who sold Ratsey a gun?"),
        ("Why did the lawyers say she must wait?", "Why did the lawyers say Ratsey must wait?"),
    ],
)
def test_a_pronoun_becomes_the_name_of_the_answer(question: str, read_as: str) -> None:
    assert after(question, SEXTON) == (read_as, False)


@pytest.mark.parametrize(
    ("before", "name"),
    [
        (("Who was the mate of the Marigold?", "Absalom Teague, an honest man"), "Absalom Teague"),
        (("Which clergyman was called?", "Mr. Glennie"), "Mr. Glennie"),
        (("In which city did Maskew earn his money?", "Edinburgh"), "Maskew"),
        (("Where did Miss Lomax live?", REFUSED), "Miss Lomax"),
        (("Who is Simeon Droy?", "a long, mournful man"), "Simeon Droy"),
        (("About how old was the jeweller Aldobrand?", "seventy"), "Aldobrand"),
        (("About how old was old Émile?", "seventy"), "Émile"),
    ],
)
def test_whom_a_turn_is_about(before: tuple[str, str], name: str) -> None:
    assert after("Where did he go?", before) == (f"Where did {name} go?", False)


@pytest.mark.parametrize(
    "before",
    [
        ("Who is the sexton of Moonfleet?", REFUSED),
        ("Who is the sexton?", "an old man"),
        ("Who told of the mines?", "Solomon's"),
        ("Who jumped up?", "They, all of them"),
        ("Where did John tell Grace of it?", "in the summer-house"),
        ("Who is Sir Henry's brother?", REFUSED),
        ("What is the name of Maskew's daughter?", "Grace"),
        ("Why?", "The Lord knows."),
        ("", ""),
    ],
)
def test_where_several_may_be_meant_the_turns_are_read_instead(before: tuple[str, str]) -> None:
    assert after("Where did he go?", before) == ("Where did he go?", True)


@pytest.mark.parametrize(
    "question",
    [
        "Who kept it?",
        "Who is the landlady there?",
        "What is its proper name?",
        "Where did they put to sea?",
        "How old was that man?",
        "Why did Elzevir do that?",
        "What did Elzevir say when he found it?",
        "What did the jeweller say about it?",
        "How wide was it where the travellers stepped on to it?",
        "Why?",
        "And Elzevir?",
        "What about the parson?",
        "In which town?",
        "What kind of tree?",
        "Who else was in the vault?",
        "What happened next?",
        "Tell me more.",
    ],
)
def test_questions_that_lean_on_the_turn_before(question: str) -> None:
    assert after(question, SEXTON) == (question, True)


@pytest.mark.parametrize(
    "question",
    [
        "How many clocks hang on the walls of Crispin Vautrey's office?",
        "What was Crispin Vautrey firing when it burst and made him deaf?",
        "What did John Trenchard discover he was holding after he fell?",
        "In what, besides his pockets, did Quatermain carry the diamonds?",
        "How many of the Greys were still on their feet when the battle was won?",
        "And what does the apothecary make his salve from?",
        "And who was head of the Bedesmen?",
        "Where did the sailors go when they left the ship?",
        "Where did the ship get its name?",
        "Who hid the diamond before he died?",
        "How many people are there in the village?",
        "How long does it take to cross the bay?",
        "Who was it that fell down the well?",
        "What is the ship that people called Marigold?",
        "To which animals is that fly's bite harmless?",
        "Is there a lighthouse on the Snout?",
        "At which place in Holland were they put to work on a royal fortress?",
    ],
)
def test_a_question_that_stands_alone_is_read_alone(question: str) -> None:
    assert after(question, SEXTON) == (question, False)


def test_a_name_lasts_from_turn_to_turn() -> None:
    second, third = ("Who is he?", "the sexton"), ("Where did he live?", REFUSED)
    assert after("Was he married?", SEXTON, second, third) == ("Was Ratsey married?", False)
    (_, earlier) = resolve(Question("And why?", turns=(SEXTON, third))).turns
    assert earlier == ("Where did Ratsey live?", REFUSED)


def test_what_still_leans_on_the_turn_keeps_it() -> None:
    assert after("What did he do with it?", SEXTON) == ("What did Ratsey do with it?", True)


def test_a_first_question_is_read_as_it_is() -> None:
    question = Question("And where did he live?", documents=("Moonfleet",), strict=True)
    assert resolve(question) == question


def test_odd_texts() -> None:
    """None takes long, whatever a client sends as an earlier turn."""
    for part in (
        "Who is the sexton ",
        "? ",
        "he ",
        "the a he ",
        "John Doe ",
        "Of the ",
        "\0 he",
        "Mr. ",
    ):
        for text in (part * 30, part * 20000):
            after(text, (text, text), ("Who is he?", text))
            after("Where did he live?", (text, text))
