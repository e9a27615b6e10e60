"""Parts of documents that questions name."""

from __future__ import annotations

import pytest

from mplus_cli.asking.parts import find_part, names_part
from mplus_cli.asking.passages import first_passage
from mplus_cli.library import ChunkRow
from mplus_cli.place import Place

TEXT = "The first page ends here. The second begins."


def chunk(
    number: int,
    *section: str,
    page: int | None = None,
    label: str | None = None,
    document: int = 1,
    **more: object,
) -> ChunkRow:
    place = Place(section, (label, label) if label else None, **more)  # type: ignore[arg-type]
    return ChunkRow(
        *(TEXT, 9, page, page, place),
        number=number,
        document_id=document,
        document_title="Book",
        document_path="",
        position=number,
    )


NOVEL = [
    chunk(0, "Part One", "CHAPTER I. THE FERRY", page=3, label="iv"),
    chunk(1, "Part One", "CHAPTER II. WINTER ANIMALS", page=4, label="1"),
    chunk(2, "Part One", "CHAPTER II. WINTER ANIMALS", page=5, label="2"),
    chunk(3, "Part Two", "CHAPTER III", page=6, label="3"),
    chunk(4, "Part Two", "CHAPTER XXI", page=7, label="4"),
    chunk(5, "Part Two", "CHAPTER II. AGAIN", page=8, label="5"),
]
PAPER = [
    chunk(6, "1. Introduction", document=2),
    chunk(7, "2 Methods", document=2),
    chunk(8, "2 Methods", "2.3 Sampling", document=2),
    chunk(9, "2 Methods", "2.31 Weights", document=2),
    chunk(10, "Chapter Two", document=3, page=2),
]


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("Who sings on page 3?", {3}),  # the label, not the number in the file
        ("Who sings on p. 8?", {5}),
        ("Who sings on p.2?", {2, 10}),
        ("Who sings on page iv?", {0}),
        ("Who sings on page two?", {2, 10}),
        ("Who sings on pages 2-4?", {2, 3, 4, 10}),
        ("Who sings on pages 2 to page 3?", {2, 3, 10}),
        ("Who sings on pages 2 and 4?", {2, 4, 10}),
        ("Who sings on page 2 and 4 nights later?", {2, 10}),
        ("Who sings on page 2, 4 nights later?", {2, 10}),
        ("Who sings on page 2 and 4?", {2, 4, 10}),
        ("Who sings on pages 2, 3 and 4?", {2, 3, 4, 10}),
        ("Who sings on pages 2-3, 4?", {2, 3, 4, 10}),
        ("Who sings on pages two, three, and four?", {2, 3, 4, 10}),
        ("On pages 2-3, four men sing where?", {2, 3, 10}),
        ("Who dies in chapters I and III, and when?", {0, 3, 6}),
        ("Who dies in chapter 1 and chapter 3 of this book?", {0, 3, 6}),
        ("What does Elzevir do in chapter I?", {0, 6}),
        ("Who dies in Chapter III", {3}),
        ("Who dies in chapter 3?", {3}),
        ("Who dies in chapter three of this book?", {3}),
        ("Who dies in ch. 21?", {4}),
        ("Who dies in chapter twenty-one?", {4}),
        ("Who dies in chapter 2?", {1, 2, 5, 7, 8, 9, 10}),
        ("Who dies in chapter 2 of part two?", {5}),
        ("Who dies in chapters 1-3?", {0, 1, 2, 3, 5, 6, 7, 8, 9, 10}),
        ("Who dies in part two?", {3, 4, 5}),
        ("What is measured in section 2.3?", {8}),
        ("What is measured in § 2?", {7, 8, 9}),
        ('Who dies in "Winter Animals"?', {1, 2}),
        ("Who dies in chapter “the ferry”?", {0}),
        ("Who sings in the third chapter?", {3}),
        ("Who sings in the 21st chapter?", {4}),
        ("Who sings in the first chapter of this book?", {0, 6}),
        ("Who sings in the first two chapters?", {0, 1, 2, 5, 6, 7, 8, 9, 10}),
        ("Who sings in the last chapter of part one?", {1, 2}),
        ("Who sings in the last chapter?", {5, 7, 8, 9, 10}),
        ("Who sings in the final section of the paper?", {5, 7, 8, 9}),
        ("Who sings in the second part?", {3, 4, 5}),
        ("Who sings on the last page?", {5, 10}),
        ("Who sings on the first page?", {0, 10}),
        ("Who sings on the last two pages?", {4, 5, 10}),
        ("Who sings on the second page of the book?", {1}),
        ("Who sings in the introduction?", {6}),
        ("Who sings in vol. 2?", None),
        ("Who sings in the first act?", None),
        ("Who sings in the abstract?", None),
        ("Who sings in the preface?", set()),
        ("Who sings in the fortieth chapter?", set()),
        ("Who sings on page 900?", set()),
        ("Who dies in chapter 40?", set()),
        ("Who sings on page iv in chapter 3?", set()),
    ],
)
def test_what_a_part_is_made_of(question: str, found: set[int] | None) -> None:
    part = find_part(question, [*NOVEL, *PAPER])
    assert (part is None) == (found is None)
    if part is None:
        return
    assert set(part.spans) == found
    assert not part.is_all


@pytest.mark.parametrize(
    "question",
    [
        "Who was the page?",
        "Was the page 12 years old?",
        "Who wrote the 12 pages?",
        "How many pages did Otti tear out?",
        "Which chapter of his life was over?",
        "What is written on page 3 of the ledger?",
        "What is written on pages 2, 3 and 4 of the ledger?",
        "What was the page I met called?",
        "What happens before chapter 3?",
        "What happens between chapters 3 and 5?",
        "What did Orla turn page after page to find?",
        "Who took part in it?",
        "Who had no part one could blame?",
        "Which page did he mix up?",
        "Who took part 12 times?",
        "In which chapter I should look, who sings?",
        "What is written on page 3 of Orla's ledger?",
        "Who tore the last page?",
        "What did she write on the last page of her diary?",
        "Who sang on the last page he wrote?",
        "What happened in the first part of the journey?",
        "Was the first chapter hard to write?",
        "Who was left in the last act of his life?",
        "Why was the preface burnt?",
        "Who keeps the goat?",
    ],
)
def test_words_of_the_story_are_no_parts(question: str) -> None:
    assert not names_part(question)


@pytest.mark.parametrize(
    "question", ["How do I book 2 rooms?", 'Who says "Help"?', "Is act 9 law?"]
)
def test_what_is_perhaps_no_part_is_not_missed(question: str) -> None:
    assert find_part(question, NOVEL) is None


@pytest.mark.parametrize(
    ("question", "is_all"),
    [
        ("What is on page 3?", True),
        ("Summarise chapter 3.", True),
        ("Please summarize chapter 3", True),
        ("What happens in chapter III of the book?", True),
        ("page 3", True),
        ("Summarise the third chapter", True),
        ("What happens in the third chapter?", True),
        ("What does the third chapter say?", True),
        ("What's chapter 3 about?", True),
        ("Is page 3 in the book?", False),
        ("Who is on page 3?", False),
        ("What does Orla say in chapter 3?", False),
    ],
)
def test_a_part_as_a_whole(question: str, is_all: bool) -> None:
    part = find_part(question, NOVEL)
    assert part is not None
    assert (part.is_all, set(part.spans)) == (is_all, {3})


def test_a_part_begins_inside_a_chunk() -> None:
    pages = ((0, 1, ""), (26, 2, ""))
    headings = ((0, 0, ("Chapter 1",)), (26, 30, ("Chapter 2",)))
    one = chunk(0, "Chapter 1", page=1, pages=pages, headings=headings)
    for question in ("What is on page 2?", "What is in chapter 2?"):
        part = find_part(question, [one])
        assert part is not None and part.spans == {0: (26, len(TEXT))}
    assert first_passage(TEXT, (26, len(TEXT))) == (26, len(TEXT))
    assert first_passage(TEXT, (26, len(TEXT)), [(26, 30)]) == (30, len(TEXT))
    assert first_passage(TEXT, (0, 26)) == (0, 25)
    assert first_passage(TEXT, (26, 30), [(26, 30)]) is None


def test_each_document_is_shown_where_it_has_the_part() -> None:
    part = find_part("What is in chapter 2?", [*NOVEL, *PAPER])
    assert part is not None
    assert list(part.spans)[:3] == [1, 7, 10]


def test_an_older_memory_has_only_its_pages() -> None:
    row = ChunkRow(
        *(TEXT, 9, 3, 5),
        number=0,
        document_id=1,
        document_title="Book",
        document_path="",
        position=0,
    )
    for question, spans in (("Who is on page 4?", {0: (0, len(TEXT))}), ("Who is in ch. 4?", {})):
        part = find_part(question, [row])
        assert part is not None and part.spans == spans
