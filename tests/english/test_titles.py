"""Documents that a question names by their titles."""

from __future__ import annotations

import pytest

from mplus_cli.english.titles import titles_named
from mplus_cli.library import DocumentRow


def row(number: int, title: str) -> DocumentRow:
    stated = ("b.epub", title, "", "epub", None, 1, 1, "")
    return DocumentRow(*stated, id=number, chunks_read=1, added="")


SHELF = [
    row(1, "Walden; or, Life in the Woods"),
    row(2, "Emma"),
    row(3, "The Lost World"),
    row(4, "Persuasion"),
    row(5, "The Trial"),
    row(6, "David Copperfield"),
    row(7, "Moonfleet"),
    row(8, "King Solomon’s Mines"),
    row(9, "Emma Courtney"),
    row(10, "notes"),
    row(11, "Moonfleet"),
    row(12, "The"),
    row(13, "London"),
    row(14, "New York"),
    row(15, "Ilium"),
]
TEXTS = {
    1: ["I went to the woods. The ants of Walden fought. I came back to Walden in the autumn."],
    2: [
        "Emma said nothing; her persuasion failed, and the trial began. She went to Moonraker,",
        "and from London to New York.",
    ],
    6: ["“Come,” said Mr. Copperfield."],
    7: ["The lost world lay above them. They lived in Moonfleet. Moonfleet lies by the sea."],
}


def named(question: str) -> list[tuple[int, ...]]:
    return [title.documents for title in titles_named(question, SHELF, lambda: TEXTS)]


@pytest.mark.parametrize(
    ("question", "documents"),
    [
        ("What does Walden say about ants?", (1,)),
        ("What does Walden; or, Life in the Woods say about ants?", (1,)),
        ("In Walden, who fights?", (1,)),
        ("In Walden who fights?", (1,)),
        ("Who fights in Walden?", (1,)),
        ("According to Walden, who fights?", (1,)),
        ("In Moonfleet, who keeps the inn?", (7, 11)),
        ("In the novel Emma, who marries?", (2,)),
        ("Who marries in “Emma”?", (2,)),
        ("Who marries in the book called “Emma”?", (2,)),
        ("Who marries in *Emma*?", (2,)),
        ("Who marries in _Emma_?", (2,)),
        ("What happens in chapter 3 of Emma?", (2,)),
        ("Who dies in 'Persuasion'?", (4,)),
        ("Who wrote Emma?", (2,)),
        ("Who is the author of Persuasion?", (4,)),
        ("When was Emma written?", (2,)),
        ("How many chapters does Emma have?", (2,)),
        ("What is Persuasion about?", (4,)),
        ("How does Emma end?", (2,)),
        ("Who leads the party in The Lost World?", (3,)),
        ("Which beasts live in the Lost World?", (3,)),
        ("Who is arrested in The Trial?", (5,)),
        ("Where are King Solomon's Mines?", (8,)),
        ("In Emma Courtney, who writes?", (9,)),
        ("Who marries in Miss Austen's novel Emma?", (2,)),
        ("Who marries in the story Emma?", (2,)),
        ("How many pages does notes have?", (10,)),
        ("How many words are there in Emma?", (2,)),
        ("How many books does Walden have?", (1,)),
        ("How did Ilium end?", (15,)),
        ("Who fights in Ilium?", (15,)),
        ("How does London end?", (13,)),
        ("What does London say about the river?", (13,)),
        ("What was London about?", (13,)),
        ("Who lives in “London”?", (13,)),
        ("What happens in chapter 3 of London?", (13,)),
        ("What happens in part two of London?", (13,)),
        ("What happens in the last part of Ilium?", (15,)),
        ("What was Moonfleet about?", (7, 11)),
    ],
)
def test_a_title_is_a_title(question: str, documents: tuple[int, ...]) -> None:
    assert named(question) == [documents]


@pytest.mark.parametrize(
    "question",
    [
        "What does Emma say about Harriet?",
        "In Emma, who is proud?",
        "Who is Emma?",
        "Who loves Emma?",
        "Who wrote emma a letter?",
        "Who wrote Emma a letter?",
        "Who wrote to Emma?",
        "When was Emma born?",
        "What did David Copperfield say to Agnes?",
        "Where was David Copperfield born?",
        "How many children does Emma have?",
        "How many horses does Walden have?",
        "How many brothers has Emma?",
        "How many books does Emma have?",
        "How many sons has David Copperfield?",
        "How did Emma end?",
        "How did London end?",
        "How did Walden end?",
        "Who lives in London?",
        "In London, who sells fish?",
        "Who lives in that part of London?",
        "Who lives in New York?",
        "Where in New York did he stay?",
        "Whom did he text Emma about?",
        "What was Emma about?",
        "What was Persuasion about?",
        "Who believes in Persuasion?",
        "Persuasion helps whom?",
        "Who was present in Trial?",
        "Who found the lost world?",
        "Who walked to Walden?",
        "Where is Moonfleet?",
        'Who says "Emma"?',
        "Who is called “Emma”?",
        "Who called out “Persuasion!”?",
        "What do my notes say about ants?",
        "Who keeps the goat?",
        "What does the say?",
    ],
)
def test_a_word_or_a_person_is_no_title(question: str) -> None:
    assert named(question) == []


def test_two_titles_and_where_they_stand() -> None:
    question = "Who fights in Walden, and who marries in “Emma”?"
    walden, emma = titles_named(question, SHELF, lambda: TEXTS)
    assert [question[slice(*title.span)] for title in (walden, emma)] == ["Walden", "“Emma”"]
    assert (walden.documents, emma.documents) == ((1,), (2,))
