"""Where a chunk stands in its document, in the document's own terms.

Documents make it, memories keep it, and the screen puts it into words.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Place:
    """The section of a chunk, the labels of its pages, and its position in the text."""

    section: tuple[str, ...] = ()
    """Titles from the outermost part to the innermost: ("Part 2", "Chapter 7"); () if unknown."""
    labels: tuple[str, str] | None = None
    """The labels printed on its first and last page ("iv"); None if pages have no labels."""
    start: float = 0.0
    end: float = 1.0
    """Its first and last character, as shares of the document's text, 0 to 1."""
    headings: tuple[tuple[int, int, tuple[str, ...]], ...] = ()
    """Where the text of a heading begins and ends in the stretch, and the section that it opens; first of
    all (0, 0) and the section that the stretch begins in. () where there is no heading."""
    pages: tuple[tuple[int, int, str], ...] = ()
    """Where each page begins in the stretch, its number, and its label ("" without one), in the order of
    the text. () on a single page, without pages, and where an earlier version read it."""

    def at(self, position: int) -> Place:
        """The same stretch, with the section that stands at a character of it."""
        known = [section for start, _, section in self.headings if start <= position]
        return replace(self, section=known[-1], headings=()) if known else self

    def within(self, start: int, stop: int, length: int) -> Place:
        """The place of characters `start` to `stop` of the stretch, which has `length` of them."""
        share = (self.end - self.start) / max(length, 1)
        begin, end = self.start + start * share, self.start + stop * share
        here = self._pages_of(start, stop)
        labels = self.labels
        if here:
            low, high = here[0][1], here[-1][1]
            labels = (low, high) if low and high else None
        found = self.at(start)
        return replace(found, labels=labels, start=round(begin, 4), end=round(end, 4), pages=())

    def pages_within(self, start: int, stop: int) -> tuple[int, int] | None:
        """First and last page of characters `start` to `stop`; None if that is not known."""
        here = self._pages_of(start, stop)
        return (here[0][0], here[-1][0]) if here else None

    def _pages_of(self, start: int, stop: int) -> list[tuple[int, str]]:
        """Numbers and labels of the pages of a part, by their number."""
        if not self.pages:
            return []
        behind = [*(begin for begin, _, _ in self.pages[1:]), stop]
        held = zip(self.pages, behind, strict=True)
        return sorted(
            (number, label) for (begin, number, label), end in held if begin < stop and start < end
        )

    def to_json(self) -> dict[str, Any]:
        """The object of a source in `mplus ask --json`."""
        labels = list(self.labels) if self.labels else None
        return {
            "section": list(self.section),
            "labels": labels,
            "from": self.start,
            "to": self.end,
        }

    def dumps(self) -> str:
        """The text that a memory keeps; `loads` reads it."""
        values = self.to_json()
        if self.headings:
            values["headings"] = self.headings
        if self.pages:
            values["pages"] = self.pages
        return json.dumps(values, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def loads(cls, text: str) -> Place:
        """The place that `dumps` wrote; ValueError for anything else."""
        try:
            values = json.loads(text)
            section, labels = values["section"], values["labels"]
            start, end = values["from"], values["to"]
            headings, pages = values.get("headings", []), values.get("pages", [])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError("no place") from error
        if not _are_texts(section) or not (labels is None or _are_texts(labels, 2)):
            raise ValueError("no place: section or labels")
        if not all(type(share) in (int, float) and 0 <= share <= 1 for share in (start, end)):
            raise ValueError("no place: shares")
        if not isinstance(headings, list) or not all(map(_is_heading, headings)):
            raise ValueError("no place: headings")
        if not isinstance(pages, list) or not all(map(_is_page, pages)):
            raise ValueError("no place: pages")
        return cls(
            tuple(section),
            (labels[0], labels[1]) if labels else None,
            start,
            end,
            tuple((first, last, tuple(titles)) for first, last, titles in headings),
            tuple((begin, number, label) for begin, number, label in pages),
        )


def _are_texts(values: Any, count: int | None = None) -> bool:
    listed = isinstance(values, list) and all(isinstance(value, str) for value in values)
    return listed and count in (None, len(values))


def _is_heading(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != 3:
        return False
    first, last, titles = value
    return type(first) is int and type(last) is int and 0 <= first <= last and _are_texts(titles)


def _is_page(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != 3:
        return False
    begin, number, label = value
    return type(begin) is int and type(number) is int and begin >= 0 and isinstance(label, str)
