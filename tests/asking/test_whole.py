"""Questions about a document as a whole."""

from __future__ import annotations

import pytest

from mplus_cli.asking.answer_type import kind_of
from mplus_cli.asking.whole import of_itself, spans_the_whole
from mplus_cli.library import DocumentRow


def row(title: str, pages: int | None) -> DocumentRow:
    return DocumentRow(1, "b.pdf", title, "", "pdf", pages, 1, 1, 1, "", "")


@pytest.mark.parametrize(
    "question",
    [
        "Summarise the book.",
        "Please summarize chapter 3",
        "What is this book about?",
        "What's the story about?",
        "Give me a summary of the novel",
        "What is the plot of the story?",
        "How many chapters has it?",
        "How many chapters are there in this book?",
        "How many words does the text have?",
        "How often is Admiral mentioned?",
        "How many times does the bell appear in the story?",
        "List all characters",
        "Who are the main characters?",
    ],
)
def test_what_no_passage_tells(question: str) -> None:
    assert spans_the_whole(question)


@pytest.mark.parametrize(
    "question",
    [
        "How many miles of water lie between Port Ambrel and Sallowhithe?",
        "How many pages did Otti tear out of the book?",
        "What was the letter about?",
        "How often did the postman come?",
        "What is the name of the ferry?",
        "How many people were on the ship?",
        "Who wrote the letter?",
        "What did Foss do about the storm?",
    ],
)
def test_what_a_passage_tells(question: str) -> None:
    assert not spans_the_whole(question)
    assert of_itself(question, [row("Emma", 300)]) is None


def test_what_documents_say_of_themselves() -> None:
    emma, walden = row("Emma", 300), row("Walden", None)
    assert of_itself("What is the title of this book?", [emma]) == "Emma"
    assert of_itself("What is this book called?", [emma, walden]) == "Emma; Walden"
    assert of_itself("How many pages has it?", [emma]) == "300 pages"
    assert of_itself("How many pages does the book have?", [emma, walden]) == "Emma: 300 pages"
    assert of_itself("How many pages has it?", [walden]) is None


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("Does Anne marry Charles Musgrove?", "verdict"),
        ("Can you tell me who wrote the letter?", "name"),
        ("Could you name the ship?", None),
    ],
)
def test_questions_put_politely_are_not_answered_with_yes(question: str, kind: str | None) -> None:
    assert kind_of(question) == kind
