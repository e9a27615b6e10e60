"""Where parts and chapters begin: in the words of a text, in Markdown, HTML and PDF."""

from pathlib import Path
from typing import Any

import pytest

from mplus_cli.documents import Document, Page, Source, read_document
from mplus_cli.documents.headings import find_headings, markdown_headings, plain_headings
from mplus_cli.documents.pdf_outline import outline_headings

CASES = Path(__file__).parent.parent / "fixtures" / "documents"
CONTENTS = "\n".join(f"CHAPTER {number}. A" for number in ("I", "II", "III", "IV"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CHAPTER IV. THE BEAN-FIELD\n\nMeanwhile my beans", [(3, "CHAPTER IV. THE BEAN-FIELD")]),
        (
            "PART TWO\n\nCHAPTER 1\nOn the Quay\n\nx",
            [(2, "PART TWO"), (3, "CHAPTER 1. On the Quay")],
        ),
        (
            "Part One: The Sea\n\nChapter 3\n\nIt was late.",
            [(2, "Part One: The Sea"), (3, "Chapter 3")],
        ),
        ("Chapter 12 - The End\n\nx", [(3, "Chapter 12 - The End")]),
        ("Act I\n\nScene 2. A room", [(2, "Act I"), (4, "Scene 2. A room")]),
        ("PREFACE.\n\nThis book", [(3, "PREFACE")]),
        (f"{CONTENTS}\nCHAPTER I. A\n\nLong ago", [(3, "CHAPTER I. A")]),
        ("Chapter 3 of this book says so.", []),
        ("Part of the way\nBook I have read\nletter a day", []),
        ("Section 8.2 applies\nPART I was hard", []),
        ("It is in\nchapter 4", []),
    ],
)
def test_headings_of_a_text(text: str, expected: list[tuple[int, str]]) -> None:
    found = find_headings(text)
    assert [(one.level, one.title) for one in found] == expected
    assert all(text[one.start :].startswith(one.title[:6]) for one in found)


def test_headings_of_markdown() -> None:
    text = "# One *two* #\n\n```\n# code\n```\n\nThree\n=====\n\nfour\n\n---\n\n### Five"
    found = [(one.level, one.title, one.start) for one in markdown_headings(text)]
    assert found == [
        (1, "One two", 0),
        (1, "Three", text.index("Three")),
        (3, "Five", text.index("###")),
    ]


def read(tmp_path: Path, name: str, data: str) -> Document:
    (tmp_path / name).write_text(data)
    return read_document(Source(tmp_path / name, name))


def test_headings_of_html(tmp_path: Path) -> None:
    markup = "<html><pre>  x</pre><h1>Part\n <b>2</b></h1><p>a<h3>Chapter<br>7</h3>b<h2></h2>c"
    document = read(tmp_path, "a.html", markup)
    found = [(one.level, one.title, document.text[one.start :][:4]) for one in document.headings]
    assert found == [(1, "Part 2", "Part"), (3, "Chapter 7", "Chap")]


def test_a_text_file_has_headings(tmp_path: Path) -> None:
    document = read(tmp_path, "a.txt", "Front.\n\nCHAPTER I\n\nOnce.")
    assert [(one.start, one.title) for one in document.headings] == [(8, "CHAPTER I")]


def test_bookmarks_lead_to_their_titles() -> None:
    pages = [Page(2, "End of one. "), Page(3, "Old.\n\nTHE  QUAY\n\nNew."), Page(4, "x")]
    outline = [[1, "Part", 1], [2, "The Quay", 3], [2, "Not there", 3], [1, "Later", 9], [1, "", 4]]
    found = [(one.start, one.level, one.title) for one in outline_headings(outline, pages)]
    assert found == [(0, 1, "Part"), (12, 2, "Not there"), (18, 2, "The Quay")]


def test_labels_of_pages() -> None:
    document = read_document(Source(CASES / "labels.pdf", "labels.pdf"))
    labels = [page.label for page in document.pages]
    assert labels == ["i", "ii", "iii", "iv", "1", "2", "3", "4"]


@pytest.mark.parametrize("line", ["Sectıon 1", "SECTİON 1", "ſcene 2", "Introductıon", "BOOK 3"])
def test_letters_that_are_another_s_case_elsewhere(line: str) -> None:
    """Python takes a dotless i for an i where case does not count; they are text as any other."""
    assert isinstance(find_headings(f"{line}\n\nIt was a dark night.\n\n{line.upper()}"), tuple)


CHAPTER = "It rained on the harbour all day, and nobody came. " * 12
ROMAN = ("I", "II", "III", "IV")


def chapters(*numbers: str, text: str = CHAPTER) -> str:
    return "".join(f"{number}\n\n{text.strip()}\n\n" for number in numbers).strip()


@pytest.mark.parametrize(
    ("text", "titles"),
    [
        (chapters(*ROMAN), [*ROMAN]),
        (f"Front.\n\n{chapters('1.', '2.', '3.')}", ["1", "2", "3"]),
        (
            chapters("I\n\nTHE FERRY", "II\n\nThe Long Night", "III"),
            ["I. THE FERRY", "II. The Long Night", "III"],
        ),
        (  # each part counts from one, and the heading of a part does not take the number for its title
            f"PART I\n\n{chapters(*ROMAN)}\n\nPART II\n\n{chapters(*ROMAN)}",
            ["PART I", *ROMAN, "PART II", *ROMAN],
        ),
        (  # a lone "I" in a dialogue
            chapters("I", "II", f"III\n\n{CHAPTER}\n\n“Who?”\n\nI\n\n“Indeed.”", "IV"),
            [*ROMAN],
        ),
        ("“Who?”\n\nI\n\n“Indeed.”", []),
        (chapters("I", "II"), []),  # too few to count up
        (chapters("II", "III", "IV"), []),
        # A number is missing, as OCR read "1V" or its title is on its line, and the count goes on.
        (chapters("I", "II", "III", "1V", "V"), []),
        (chapters("I", "II", "III", "IV. The Ferry", "V", "VI"), []),
        (chapters("1.", "2.", "3.", "6.", "7."), []),
        (chapters("I", "II", "III", "V", "I", "II", "III"), []),
        (chapters("I", "II", "III", "II", "III", "IV. The Ferry"), []),
        (  # a lone number that is not the next after a gap
            chapters("I", "II", f"III\n\n{CHAPTER}\n\n“Which?”\n\nV\n\n“Indeed.”", "IV"),
            [*ROMAN],
        ),
        (chapters("I", "II", f"III\n\n{CHAPTER}\n\n“Which?”\n\nC\n\n“Indeed.”"), [*ROMAN[:3]]),
        (chapters("I", "II", "III", text="See page 4."), []),  # notes
        (chapters("1", "2", "3", "4", text=f"{CHAPTER} and the"), []),  # numbers of pages
        (f"CHAPTER I\n\n{chapters(*ROMAN)}", ["CHAPTER I"]),  # sections of a chapter
        ("\n".join(ROMAN) + f"\n\n{CHAPTER}", []),
    ],
)
def test_numbers_alone_are_headings_where_they_count_up(text: str, titles: list[str]) -> None:
    found = plain_headings(text)
    assert [one.title for one in found] == titles
    assert all(text[one.start :].startswith(one.title.split(".")[0]) for one in found)


QUOTED = ("“It's Just the very Biggest Thing”", "“Question!”", "“Who could have Foreseen it?”")


def quoted(*titles: str, word: str = "CHAPTER ", text: str = CHAPTER) -> str:
    """Chapters with a line of their own below the number."""
    numbered = zip(("I", "II", "III", "IV", "V"), titles, strict=False)
    return "".join(f"{word}{number}\n\n{title}\n\n{text}\n\n" for number, title in numbered)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (QUOTED, QUOTED),
        ([line.replace("“", '"').replace("”", '"') for line in QUOTED], None),
        (["‘the long way home’", "‘who it was’", "‘a talk’"], None),
        ((*QUOTED, "He came at last."), (*QUOTED, "")),  # one has none
        # Chapters that begin with what somebody says: nothing that the book does throughout.
        (("“Where are they now?”", "It rained.", "He came.", "“Nobody knows that!”"), ("",) * 4),
        (("“Where are they now?”", "“Nobody knows that!”"), ("", "")),
        ([f"{line} said he" for line in QUOTED], ("",) * 3),
        ([f"“{'so it goes on ' * 8}and on”"] * 3, ("",) * 3),
        # Mottoes, which end as sentences do.
        (("“Welcome ever smiles.”", "“all was well.”", "“so it goes,”"), ("",) * 3),
        (("“all was well” and “so on”",) * 3, ("",) * 3),
    ],
)
@pytest.mark.parametrize("word", ["CHAPTER ", ""])
def test_titles_in_quotation_marks(lines: list[str], expected: Any, word: str) -> None:
    """Whatever their words begin with, where all chapters have one; numbers alone on a line may too."""
    text = quoted(*lines, word=word)
    titles = lines if expected is None else expected
    if not word and len(lines) < 3:
        titles = []  # too few to count up
    numbers = ("I", "II", "III", "IV")
    assert [one.title for one in plain_headings(text)] == [
        f"{word}{number}. {title}" if title else f"{word}{number}"
        for number, title in zip(numbers, titles, strict=False)
    ]


def test_a_novel_with_numbers_alone_has_chapters(tmp_path: Path) -> None:
    text = chapters(*ROMAN)
    assert [one.title for one in read(tmp_path, "a.txt", text).headings] == [*ROMAN]
    assert read(tmp_path, "a.md", text).headings == ()
