"""What repeats at the edges of pages is left out, and what only looks like it stays."""

import pytest

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
    return [f"{line} {'x' * number}" for line in BODY]


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
