"""What kind of answer a question asks for, and whether one is of it."""

from __future__ import annotations

import pytest

from mplus_cli.english.answer_type import fits, kind_of


@pytest.mark.parametrize(
    ("question", "kind", "good", "bad"),
    [
        ("How old was Anne?", "number", "twenty-seven", "eldest"),
        ("At what age did he die?", "number", "61", "old"),
        ("How many boats came home?", "number", "a hundred", "the tent"),
        ("How old was he?", "number", "in his sixtieth year", "oneself"),
        ("How large is it?", "number", "threefold", "a fortress"),
        ("How far is it between Rome and Milan?", "number", "300 miles", "far"),
        ("Between Rome and Milan, how many towns lie?", "number", "nine", "many"),
        ("When did the storm come?", "time", "in March", "the boat"),
        ("In which year was it built?", "time", "1814", "the Admiral"),
        ("When was he born?", "time", "in the eighties", "in a tender"),
        ("Who kept the goat?", "name", "Orla Finch", "green"),
        ("What was the brig's name?", "name", "the Nan-Shan", "her brig"),
    ],
)
def test_kinds(question: str, kind: str, good: str, bad: str) -> None:
    assert kind_of(question) == kind
    assert fits(kind_of(question), good) is True
    assert fits(kind_of(question), bad) is False


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("Was it the boat or the lamp?", "choice"),
        ("Either Anna or Bob wrote it: who?", "choice"),
        ("Between Anna and Bob, who is older?", "choice"),
        ("Who is older, between Anna and Bob?", "choice"),
        ("Which of Anna and Bob is older?", "choice"),
        ("Which one of Anna, Bob and Pim is older?", "choice"),
        ("Which of the boats sank?", None),
        ("Did she keep a goat?", "verdict"),
        ("What did he do when the storm came?", None),
        ("Why?", None),
        ("", None),
    ],
)
def test_questions_that_do_not_tell(question: str, kind: str | None) -> None:
    assert kind_of(question) == kind
    assert fits(kind_of(question), "anything at all") is None
