"""Numbers and places in words."""

from pathlib import Path

import pytest

from mplus_cli.place import Place
from mplus_cli.wording import MEGABYTE, NO_ANSWER, NOT_SURE, place, size


@pytest.mark.parametrize(
    ("pages", "where", "expected"),
    [
        (None, None, "Walden"),
        ((12, 13), None, "Walden, p. 12-13"),
        (None, Place(("Winter Animals",), None, 0.64, 0.65), 'Walden, "Winter Animals", at 64 %'),
        (None, Place((), None, 0.0, 0.01), "Walden, at 0 %"),
        (None, Place(), "Walden"),
        (None, Place(("Walden", "Winter Animals")), 'Walden, "Winter Animals"'),
        (None, Place(("Walden",)), 'Walden, "Walden"'),
        ((4, 4), Place((), ("iv", "iv"), 0.0, 0.1), "Walden, p. iv (4)"),
        ((4, 5), Place((), ("iv", "1"), 0.0, 0.1), "Walden, p. iv-1 (4-5)"),
        ((4, 5), Place((), ("4", "5"), 0.0, 0.1), "Walden, p. 4-5"),
        (
            (4, 4),
            Place(("Part 2", "Chapter 7"), ("iv", "iv"), 0.0, 0.1),
            'Walden, p. iv (4), "Part 2 > Chapter 7"',
        ),
    ],
)
def test_places(pages: tuple[int, int] | None, where: Place | None, expected: str) -> None:
    assert place("Walden", pages, where) == expected


def test_the_page_says_it_as_the_terminal_does() -> None:
    page = Path(__file__).parents[1] / "mplus_cli" / "server" / "index.html"
    said = page.read_text(encoding="utf-8")
    for words in (NO_ANSWER, NOT_SURE):
        assert said.count(words) == 1


def test_sizes_count_in_thousands() -> None:
    assert (size(MEGABYTE), size(256 * MEGABYTE), size(2 << 30)) == ("1.0 MB", "256 MB", "2.1 GB")
