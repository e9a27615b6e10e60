"""The title and author in the first lines of a text, and the file's name where they are not sure."""

from pathlib import Path

import pytest

from mplus_cli.documents import Source, read_document

PROSE = "Old Silas and his dog walked along the new road to the harbour, and it rained. " * 6
BOOK = "\n\n".join([PROSE] * 50)
START = "*** START OF THE PROJECT GUTENBERG EBOOK EMMA ***\n\n"


def titled(tmp_path: Path, name: str, text: str) -> tuple[str, str | None]:
    path = tmp_path / name
    path.write_text(text)
    document = read_document(Source(path, str(path)))
    return document.title, document.author


@pytest.mark.parametrize(
    ("head", "title", "author"),
    [
        ("KING SOLOMON'S MINES\n\nby H. Rider Haggard", "King Solomon's Mines", "H. Rider Haggard"),
        ("  KATRINE\n\nA Novel\n\nBY\n\nELINOR M'LANE", "Katrine", "Elinor M'Lane"),
        ("THE HISTORY\nOF HENRY VIII\n\nBY A. B. CARR,", "The History of Henry VIII", "A. B. Carr"),
        ("DAPHNE;\nOr, The Lake\n\nBy Mrs. Ann Ward", "Daphne", "Mrs. Ann Ward"),
        ("A walk by the sea\nby Guy de Maupassant", "A walk by the sea", "Guy de Maupassant"),
        ("Produced by Ann Lee\n\n[Illustration]\n\nEMMA\n\nBy Jane Austen", "Emma", "Jane Austen"),
        ("Title: Emma;\n  or, Hartfield\nAuthor: J. Austen", "Emma; or, Hartfield", "J. Austen"),
        (f"Title: It\nAuthor: A. B.\n{START}EMMA\n\nby Jane Austen", "It", "A. B."),
        ("COVER HER\n\nA Novel\n\nby Ann Lee", "Cover Her", "Ann Lee"),
        (f"{START}EMMA\n\nby Jane Austen", "Emma", "Jane Austen"),
        ("INTRODUCTION TO GOATS\n\nby Ann Lee", "Introduction to Goats", "Ann Lee"),
        ("Preface to Shakespeare\nby Ann Lee, Jr.", "Preface to Shakespeare", "Ann Lee, Jr."),
        ("A walk by the sea\nby Ann Lee, M.D.", "A walk by the sea", "Ann Lee, M.D."),
        ("EMMA.\n\nBY JANE AUSTEN.", "Emma", "Jane Austen"),
    ],
)
def test_a_title_page_says_so_whatever_the_file_is_called(
    tmp_path: Path, head: str, title: str, author: str
) -> None:
    assert titled(tmp_path, "pg2166.txt", f"{head}\n\n\n{PROSE}") == (title, author)


@pytest.mark.parametrize(
    "head",
    [
        "King Solomon's Mines\nH. Rider Haggard",  # not sure: see below
        "CHRONICLES OF CARLINGFORD\n\nMISS MARJORIBANKS\n\nBY MRS OLIPHANT",  # which of the two?
        "WAVERLEY\n\nby the Author of Guy Mannering",
        "STAND\n\nby me tonight",
        "Produced by Ann Lee",
        "The boat had been stolen, he said,\nby Peter Grimes",
        "CHAPTER I\n\nby Ann Lee",
        "INTRODUCTION BY THE AUTHOR\n\nby Ann Lee",
        "Preface to the Second Edition\n\nby Ann Lee",
        "The keys were left on the kitchen table this morning\nby Aunt Polly.",
        "The keys were left on the kitchen table this morning\nby Aunt Polly and\nher dog.",
        '"""Read a file. The lines\nare kept.\n\nWritten by: Fred Drake',
        "Title: a thing that has one\n\nnothing else",
        PROSE,
        "",
    ],
)
def test_what_is_not_sure_leaves_the_name_of_the_file(tmp_path: Path, head: str) -> None:
    assert titled(tmp_path, "my-file.txt", f"{head}\n\n\n{PROSE}") == ("My File", None)


def test_names_in_capitals_are_written_as_in_the_text(tmp_path: Path) -> None:
    head = "THE USA AND IT\n\nBY ANN MCDONALD\n\nTHE USA\n\nIT"
    text = "The USA is big: it is. “IT is!” Mr. McDonald told us, who knew it. MCDONALD said so."
    found = titled(tmp_path, "pg1.txt", f"{head}\n\n{text} Again, McDonald.\n\nMCDONALD")
    assert found == ("The USA and It", "Ann McDonald")
    assert titled(tmp_path, "pg2.txt", f"{head}\n\n{PROSE}") == ("The Usa and It", "Ann Mcdonald")


@pytest.mark.parametrize(
    ("name", "head", "title", "author"),
    [
        ("king-solomons-mines", "King Solomon's Mines\nH. Rider Haggard", None, "H. Rider Haggard"),
        ("american-notes", "American Notes for Many\nCharles Dickens", None, "Charles Dickens"),
        ("lost_world", "THE LOST WORLD", "The Lost World", None),
        ("Miss M", "Chronicles\n\nMISS M\n\nBy Ann Ward", "Miss M", None),
        ("kenelm", "KENELM\n\nHis Adventures\n\nBy Ann Ward", "Kenelm", "Ann Ward"),
        # No names: something in the text is "new", an "old dog" too.
        ("diary", "Diary\nNew York", "Diary", None),
        ("recipes", "Recipes\nOld Dog", "Recipes", None),
        ("diary", "Diary of a Dog", "Diary", None),
        ("chapter-one", "Chapter One", "Chapter One", None),
    ],
)
def test_the_name_of_the_file_confirms_a_title(
    tmp_path: Path, name: str, head: str, title: str | None, author: str | None
) -> None:
    expected = (title or head.split("\n")[0], author)
    assert titled(tmp_path, f"{name}.txt", f"{head}\n\n\n{BOOK}") == expected


OPENING = "\n\nCHAPTER I\n\n"


@pytest.mark.parametrize(
    ("head", "title", "author"),
    [
        ("American Notes\nCharles Dickens\n\nPREFACE\n\n", "American Notes", "Charles Dickens"),
        ("A NIGHT AT SEA\n\nANN LEE\n\nCONTENTS\n\n", "A Night at Sea", "Ann Lee"),
        (f"Peter Pan\nJames M. Barrie{OPENING}", "Peter Pan", "James M. Barrie"),
        (f"Emma\nMary Ann de la Mare{OPENING}", "Emma", "Mary Ann de la Mare"),
        (f"Emma\nAnn Lee\n\nTO MY SISTER{OPENING}", "Emma", "Ann Lee"),
    ],
)
def test_a_name_below_the_title_of_a_book_is_its_author(
    tmp_path: Path, head: str, title: str, author: str
) -> None:
    assert titled(tmp_path, "pg675.txt", f"{head}{BOOK}\n\nAnn Lee said so.") == (title, author)
    assert titled(tmp_path, "my-file.txt", f"{head}{PROSE}") == ("My File", None)  # no book


@pytest.mark.parametrize(
    "head",
    [
        "American Notes\nCharles Dickens\n\n",  # nothing opens the book
        f"American Notes\n1842\nCharles Dickens{OPENING}",
        f"American Notes\n\nA Journey\n\nCharles Dickens{OPENING}",
        f"American notes and other things\nCharles Dickens{OPENING}",
        f"American Notes of\nCharles Dickens{OPENING}",  # part of the title
        f"American Notes.\nCharles Dickens{OPENING}",
        f"American Notes\nMary Ann Evans Lee Smith{OPENING}",
        f"American Notes\nDickens{OPENING}",
        f"American Notes\nThe Old Curiosity{OPENING}",
        f"American Notes\nSilas Tremblay{OPENING}",  # the book is about him
        f"American Notes\nNew Jersey{OPENING}",
        "HAMLET\n\nDRAMATIS PERSONAE\n\nAct I\n\n",
        "Hamlet\nDramatis Personæ\n\nAct I\n\n",
        f"HAMLET\n\nPERSONS REPRESENTED{OPENING}",
        f"HAMLET\n\nTRAGIC CHARACTERS{OPENING}",
        f"American Notes\nOld Dog{OPENING}",
        f"To My Sister\nMary Evans{OPENING}",
        f"Copyright Notice\nMary Evans{OPENING}",
        f"Dedicated To\nMary Evans{OPENING}",
        f"Contents\nMary Evans{OPENING}",
        f"Preface\nMary Evans{OPENING}",
        f"American Notes\n\nMiss Marjoribanks\n\nBY MRS OLIPHANT{OPENING}",
        "",
    ],
)
def test_other_lines_below_a_first_line_are_no_authors(tmp_path: Path, head: str) -> None:
    text = f"{head}{BOOK}\n\n{'Then Tremblay spoke. ' * 20}"
    assert titled(tmp_path, "my-file.txt", text)[0] == "My File"


def test_a_short_text_does_not_show_what_is_a_name(tmp_path: Path) -> None:
    assert titled(tmp_path, "notes.txt", "Notes\nSilver Spring\n\nOnce.") == ("Notes", None)


@pytest.mark.parametrize(
    ("text", "title", "author"),
    [
        ("# The *Bell*\n\n## 1. The Crossing\n\nOnce.", "The Bell", None),
        ("The Bell\n========\n\n*by Ann Lee*\n\nOnce.", "The Bell", "Ann Lee"),
        ("---\ntitle: Front\n---\n# The Bell\n\nOnce.", "Front", None),
        ("---\nauthor: A. B.\n---\n\n# The Bell\nby Ann Lee\n\nOnce.", "The Bell", "A. B."),
        ("# One\n\nOnce.\n\n# Two\n\nTwice.", "My File", None),
        ("Once.\n\n# The Bell\n\nTwice.", "My File", None),
        ("## The Bell\n\nTwice.", "My File", None),
        ("# Chapter 1\n\nOnce.", "My File", None),
        ("# Introduction to Algorithms\n\nOnce.", "Introduction to Algorithms", None),
        ("# Appendix Virgiliana\n\nOnce.", "Appendix Virgiliana", None),
        ("# Appendix A. Tables\n\nOnce.", "My File", None),
        ("# Introduction: Why?\n\nOnce.", "My File", None),
        ("# Preface\n\nOnce.", "My File", None),
        ("# The Bell\n\nby the sea\n\nOnce.", "The Bell", None),
        ("# Untitled\n\nOnce.", "My File", None),
        ('# <img src="a.png"> Bell\n\nOnce.', "My File", None),
    ],
)
def test_markdown_is_called_what_its_only_first_heading_says(
    tmp_path: Path, text: str, title: str, author: str | None
) -> None:
    assert titled(tmp_path, "my-file.md", text) == (title, author)
