"""Finds the pages, page labels, section and position in the document of a stretch of text.

Independent of tokens and file formats.
"""

import re
from bisect import bisect_left, bisect_right
from itertools import accumulate, pairwise

from mplus_cli.documents.model import Document, Heading, Page
from mplus_cli.place import Place

_MAX_TITLE = 120
_NUMBER = (
    r"(?:(?:chapter|part|book|section|act|scene|letter|volume)\s+)?"
    r"(?:\d{1,3}(?:\.\d{1,3})*|[ivxlc]{1,8})\b[\W_]+"
)
"""The number of a chapter in front of its title."""
_DIGITS = 4  # of a share: a ten-thousandth of a book of 1,000 pages is a tenth of a page


class Places:
    """Answers for stretches of one document."""

    def __init__(self, document: Document) -> None:
        self._text = document.text
        self._pages = [page for page in document.pages if page.number is not None and page.text]
        self._starts = [0, *accumulate(len(page.text) for page in self._pages)][:-1]
        self._headings = sorted(document.headings, key=lambda heading: heading.start)
        self._sections = _sections(self._headings)

    def of(self, begin: int, end: int) -> tuple[tuple[int, int] | None, Place]:
        """First and last page (None without pages), and place, of characters `begin` to `end`."""
        stretch = self._text[begin:end]
        # White space at the cut is not a reason to name one more page.
        last = begin + max(len(stretch.rstrip()), 1) - 1
        first = min(begin + len(stretch) - len(stretch.lstrip()), last)
        total = max(len(self._text), 1)
        pages, labels = self._pages_of(first, last)
        start, stop = round(begin / total, _DIGITS), round(end / total, _DIGITS)
        headings, starts = (
            self._headings_of(begin, first, last),
            self._starts_of(begin, first, last),
        )
        section = self._section_of(first, last)
        return pages, Place(section, labels, start, stop, headings, starts)

    def _pages_of(
        self, first: int, last: int
    ) -> tuple[tuple[int, int] | None, tuple[str, str] | None]:
        if not self._pages:
            return None, None
        one, other = self._page(first), self._page(last)
        low, high = sorted((one, other), key=lambda page: page.number or 1)
        labels = (low.label, high.label) if low.label and high.label else None
        return (low.number or 1, high.number or 1), labels

    def _starts_of(self, begin: int, first: int, last: int) -> tuple[tuple[int, int, str], ...]:
        """Where the pages of a stretch of more than one begin, by the characters from `begin` on (see
        `Place`)."""
        low = bisect_right(self._starts, first) - 1
        here = range(low, bisect_right(self._starts, last))
        if len(here) < 2:
            return ()
        pages = ((self._pages[at], max(self._starts[at] - begin, 0)) for at in here)
        return tuple((start, page.number or 1, page.label or "") for page, start in pages)

    def _page(self, position: int) -> Page:
        return self._pages[bisect_right(self._starts, position) - 1]

    def _section_of(self, first: int, last: int) -> tuple[str, ...]:
        """The section that most of the stretch is in; the earlier of two that have as much."""
        low = bisect_right(self._headings, first, key=_start)
        high = bisect_left(self._headings, last + 1, key=_start)
        edges = [first, *(heading.start for heading in self._headings[low:high]), last + 1]
        sizes = [after - before for before, after in pairwise(edges)]
        return self._sections[low + sizes.index(max(sizes))]

    def _headings_of(
        self, begin: int, first: int, last: int
    ) -> tuple[tuple[int, int, tuple[str, ...]], ...]:
        """The headings between two characters, by the characters from `begin` on (see `Place`)."""
        low = bisect_left(self._headings, first, key=_start)
        high = bisect_left(self._headings, last + 1, key=_start)
        if low == high:
            return ()
        found = [(0, 0, self._sections[low])]
        for number in range(low, high):
            start = self._headings[number].start
            stop = min(self._end_of(self._headings[number]), last + 1)
            found.append((start - begin, stop - begin, self._sections[number + 1]))
        return tuple(found)

    def _end_of(self, heading: Heading) -> int:
        """Where a heading's words end in the text; where it begins if they do not stand there.

        What a table of contents calls "3. Ibby" may be "Ibby" in the text, and the other way round.
        """
        number = re.compile(_NUMBER, re.IGNORECASE).match(heading.title)
        bare = heading.title[number.end() :] if number else heading.title
        for before, title in (
            ("", heading.title),
            (_NUMBER, heading.title),
            ("", bare),
            (_NUMBER, bare),
        ):
            words = [re.escape(word) for word in re.findall(r"\w+", title)]
            pattern = rf"[\W_]*{before}" + r"[\W_]+".join(words) + r"[^\w\n]*"
            found = re.compile(pattern, re.IGNORECASE).match(self._text, heading.start)
            if words and found:
                return found.end()
        return heading.start


def _start(heading: Heading) -> int:
    return heading.start


def _sections(headings: list[Heading]) -> list[tuple[str, ...]]:
    """The titles in force before the first heading, and behind each."""
    open_: list[tuple[int, str]] = []
    found: list[tuple[str, ...]] = [()]
    for heading in headings:
        title = _shortened(" ".join(heading.title.split()))
        open_ = [(level, name) for level, name in open_ if level < heading.level]
        if title:
            open_.append((heading.level, title))
        found.append(tuple(name for _, name in open_))
    return found


def _shortened(title: str) -> str:
    """A title, cut after a word if it is too long."""
    if len(title) <= _MAX_TITLE:
        return title
    return (title[:_MAX_TITLE].rpartition(" ")[0] or title[: _MAX_TITLE - 1]) + "…"
