"""What repeats at the edges of pages is left out, and what only looks like it stays."""

import io
from pathlib import Path

import pytest
from reportlab.pdfgen.canvas import Canvas

from mplus_cli.documents import Source, read_document, running_heads
from mplus_cli.documents.running_heads import running_lines

BODY = [f"A line {letter} of the text that nothing repeats." for letter in "abcdefgh"]


def left(
    pages: list[list[str]], sections: list[tuple[int, str, int]] | None = None
) -> list[list[str]]:
    dropped = running_lines(pages, sections or [])
    return [
        [line for index, line in enumerate(page) if index not in gone]
        for page, gone in zip(pages, dropped, strict=True)
    ]


def body(number: int) -> list[str]:
    word = ("none", "north", "south", "east", "west", "home")[number]
    return [f"{line[:-1]} {word}." for line in BODY]


@pytest.mark.parametrize(
    ("title", "head"),
    [
        ("The Harbour", "The Harbour"),
        ("2 The Harbour", "THE HARBOUR"),
        ("The Harbour", "Chapter 2. The Harbour"),
        ("2.1. The Harbour", "2.1 The Harbour 17"),
    ],
)
def test_titles_of_sections_are_heads_behind_their_beginning(title: str, head: str) -> None:
    """Also those that are seen once or twice; not where the section begins."""
    pages = [
        [*body(1)],
        [head, *body(2)],  # begins here
        [head, *body(3)],
        [*body(4), head],
        ["Another Thing", *body(5)],
    ]
    expected = [body(1), [head, *body(2)], body(3), body(4), ["Another Thing", *body(5)]]
    assert left(pages, [(1, title, 1)]) == expected


def test_a_head_on_the_page_where_its_section_begins() -> None:
    """LaTeX shows the section that begins on a page; the title below is the section's own."""
    pages = [["The Quay", *body(1), "The Quay", "It rained."], body(2)]
    assert left(pages, [(1, "The Quay", 0)])[0] == [*body(1), "The Quay", "It rained."]


def test_sections_of_one_title() -> None:
    """Each keeps its own: on one page, and on the page behind the first."""
    pages = [["Foo", *body(1), "4 Foo", "It rained."], ["7 Foo", *body(2)], body(3)]
    sections = [(1, "Foo", 0), (1, "Foo", 0), (1, "Foo", 1)]
    assert left(pages, sections) == pages


def test_a_section_that_has_ended_makes_no_head() -> None:
    pages = [body(1), ["The Harbour", *body(2)]]
    sections = [(1, "The Harbour", 0), (1, "The Quay", 0)]
    assert left(pages, sections) == pages


def test_chapter_and_section_are_both_in_force() -> None:
    pages = [body(1), ["The Harbour", *body(2), "Moorings"], body(3)]
    sections = [(1, "The Harbour", 0), (2, "Moorings", 0)]
    assert left(pages, sections)[1] == body(2)


@pytest.mark.parametrize(
    ("foot", "head"),
    [
        ("(continues on next page)", "(continued from previous page)"),
        ("Continued on next page", "Continued from page 12"),
        ("(Fortsetzung auf der nächsten Seite)", "(Fortsetzung der vorherigen Seite)"),
        ("(suite sur la page suivante)", "(suite de la page précédente)"),
    ],
)
def test_what_goes_on_over_a_page(foot: str, head: str) -> None:
    """Above the foot with the page's number, as Sphinx writes it."""
    pages = [
        [*body(1), foot, "17 Chapter 2. Applying"],
        [head, *body(2), "4.3. Documentation 18"],
        [*body(3), "The voyage continues on the next page of my life.", "4.3. Documentation 19"],
        [*body(4), "4.4. Notes 20"],
    ]
    assert left(pages)[0] == [*body(1)] or left(pages)[0][-1] != foot
    assert left(pages)[1][0] != head
    assert "The voyage continues on the next page of my life." in left(pages)[2]


def test_heads_of_a_pdf_by_its_bookmarks(tmp_path: Path) -> None:
    """Seen on one page each, too seldom to be found without: the sentence runs on over the page's end."""
    buffer = io.BytesIO()
    canvas = Canvas(buffer, invariant=True)
    pages = [
        ("", "The Quay", "The ferry that left the quay of Brannock in the rain of that"),
        ("The Quay", "", "long night was seen by nobody but the keeper of the lamp, who"),
        ("", "The Lamp", "The lamp had burned whale oil for as long as anybody on that"),
        ("The Lamp", "", "side of the sound could remember, and nobody had minded."),
    ]
    for head, title, line in pages:
        if title:
            canvas.bookmarkPage(title)
            canvas.addOutlineEntry(title, title)
        canvas.drawString(72, 800, head)
        canvas.setFont("Helvetica-Bold", 16)
        canvas.drawString(72, 750, title)
        canvas.setFont("Helvetica", 12)
        canvas.drawString(72, 720, line)
        for row in range(6):
            canvas.drawString(72, 704 - 16 * row, line)
        canvas.showPage()
    canvas.save()
    (tmp_path / "a.pdf").write_bytes(buffer.getvalue())
    document = read_document(Source(tmp_path / "a.pdf", "a.pdf"))
    assert document.text.count("The Quay") == document.text.count("The Lamp") == 1
    assert "rain of that long night was seen" in document.text
    assert [heading.title for heading in document.headings] == ["The Quay", "The Lamp"]


def test_a_dotless_i_is_no_roman_number() -> None:
    pages = [["It was a dark night, and the storm came from the sea.", "ı"]] * 3
    assert running_lines(pages) is not None
    assert [running_heads._number(text) for text in ("ı", "İ", "ıv", "iv", "IV")] == [None] * 3 + [
        4,
        4,
    ]
