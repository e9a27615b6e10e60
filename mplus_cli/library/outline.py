"""What the chunks of a document record of its sections and pages, put together again.

Works on chunks as a memory has them; needs no model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mplus_cli.library.values import ChunkRow
from mplus_cli.place import Place

Titles = tuple[str, ...]
"""The titles of a section, from the outermost part to the innermost; () for what has none."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a chunk's text in one section or on one page."""

    chunk: int
    """Its number."""
    span: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Outline:
    """The sections of a document, in the order of its text."""

    sections: tuple[Titles, ...]
    is_complete: bool
    """Whether the headings of all of them are recorded: an earlier version may have left some out."""


def outline(places: Iterable[Place | None]) -> Outline:
    """The outline of a document, from the places of its chunks in the order of the text. Headings without
    text below them are no sections, such as those of a table of contents."""
    found: list[Titles] = []
    is_complete = True
    current: Titles = ()
    for place in places:
        if place is None:
            is_complete = False
            continue
        held = place.headings or ((0, 0, place.section),)
        if held[0][2] != current:
            found.append(held[0][2])
            is_complete = False
        for at, (_, stop, titles) in enumerate(held[1:], start=1):
            behind = held[at + 1] if at + 1 < len(held) else None
            is_empty = behind is not None and behind[0] - stop <= _NOTHING
            if not (is_empty and behind and behind[2][: len(titles)] != titles):
                found.append(titles)
        current = held[-1][2]
    return Outline(tuple(found), is_complete)


def section_stretches(rows: Iterable[ChunkRow]) -> Iterator[tuple[Stretch, Titles]]:
    """The stretches of each section in chunks; those without text are left out."""
    for row in rows:
        place = row.place
        plain = ((0, 0, place.section if place else ()),)
        held = place.headings if place and place.headings else plain
        for (start, _, titles), stop in zip(held, _ends(held, row), strict=True):
            if row.text[start:stop].strip():
                yield Stretch(row.number, (start, stop)), titles


def page_stretches(rows: Iterable[ChunkRow]) -> Iterator[tuple[Stretch, range, frozenset[str]]]:
    """The stretches of each page in chunks, with its number and its label in lower case: of several pages
    where it is not recorded where each begins."""
    for row in rows:
        held = row.place.pages if row.place else ()
        for (start, number, label), stop in zip(held, _ends(held, row), strict=True):
            if row.text[start:stop].strip():
                labels = frozenset((label.lower(),)) - {""}
                yield Stretch(row.number, (start, stop)), range(number, number + 1), labels
        if not held and row.first_page and row.last_page:
            labels = frozenset(map(str.lower, (row.place and row.place.labels) or ()))
            numbers = range(row.first_page, row.last_page + 1)
            yield Stretch(row.number, (0, len(row.text))), numbers, labels


_NOTHING = 2
"""Characters between two headings that are but an empty line."""


def _ends(held: Sequence[tuple[Any, ...]], row: ChunkRow) -> list[int]:
    """Where each of the pages or sections of a chunk ends, which begin one after the other."""
    return [*(part[0] for part in held[1:]), len(row.text)][: len(held)]
