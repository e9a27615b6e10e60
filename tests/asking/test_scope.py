"""Documents as users name them."""

from __future__ import annotations

import pytest

from mplus_cli.asking.scope import find_document
from mplus_cli.errors import UsageError
from mplus_cli.library import DocumentRow


def row(number: int, title: str, path: str) -> DocumentRow:
    stated = (path, title, "", "txt", None, 1, 1, "")
    return DocumentRow(*stated, id=number, chunks_read=1, added="")


SHELF = [
    row(1, "Emma", "/books/emma.epub"),
    row(2, "Emma: notes", "/books/notes.txt"),
    row(3, "Persuasion", "/books/persuasion.pdf"),
]
VERSIONS = [*SHELF, row(4, "Emma", "/books/emma.epub")]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("Emma", 1),
        ("emma: n", 2),
        ("pers", 3),
        ("/books/notes.txt", 2),
        ("PERSUASION.pdf", 3),
        (" 2 ", 2),
    ],
)
def test_a_document_is_found(name: str, found: int) -> None:
    assert find_document(SHELF, name).id == found


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("em", '"em" matches "Emma" and "Emma: notes": give more of the name, or the path'),
        ("Perswasion", 'did you mean "Persuasion"?'),
        ("Zzz", 'there is "Emma", "Emma: notes" and "Persuasion"'),
        ("", "there is no document"),
    ],
)
def test_a_name_that_means_none_or_several(name: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_document(SHELF, name)
    assert said in str(caught.value)


def test_versions_of_one_file_are_told_apart_by_number() -> None:
    with pytest.raises(UsageError, match=r"matches the documents 1 and 4 in .*: give the number"):
        find_document(VERSIONS, "emma")
    assert find_document(VERSIONS, "4") is VERSIONS[3]
    with pytest.raises(UsageError, match=r"/books/emma.epub.* and .*/books/notes.txt.: give more"):
        find_document(VERSIONS, "em")


def test_a_title_that_is_the_number_of_another_document() -> None:
    """Which one is meant is not guessed; a year is a title where no document has that number."""
    shelf = [*SHELF, row(4, "2", "/books/two.txt"), row(5, "1984", "/books/1984.txt")]
    assert find_document(shelf, "1984").id == 5
    with pytest.raises(UsageError, match='matches "Emma: notes" and "2"'):
        find_document(shelf, "2")
    assert find_document(shelf, "two.txt").id == 4
