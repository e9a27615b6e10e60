"""The parts of documents that a question names, as stretches of the chunks in memory.

Relies on chunks as a memory records them; needs no model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from mplus_cli.asking.passages import Span
from mplus_cli.english.headings import called, of_kind
from mplus_cli.english.part_names import PartName, parts_named
from mplus_cli.library import ChunkRow
from mplus_cli.library.outline import Stretch, Titles, outline, page_stretches, section_stretches


@dataclass(frozen=True, slots=True)
class Part:
    """A part of documents that a question names."""

    name: str
    """As the question has it: "page 12"."""
    spans: Mapping[int, Span]
    """Where it begins and ends in each of its chunks, by their numbers: the first of each document, then the
    second; none if there is no such part."""
    is_all: bool
    """Whether the question asks what stands there, and nothing else."""

    def within(self, chunk: int) -> Span:
        """Where it stands in a chunk; (0, 0) where it does not."""
        return self.spans.get(chunk, (0, 0))


def names_part(question: str) -> bool:
    """Whether a question may name a part: only then do the chunks have to be looked through."""
    return bool(parts_named(question).names)


def find_part(question: str, rows: Sequence[ChunkRow]) -> Part | None:
    """The part that a question names, in chunks in the order of the text; None if it names none.

    Printed page labels go before the numbers of the pages in the file. Several of a kind are all meant; of
    several kinds ("chapter 3 of part two") what they share.
    """
    named = parts_named(question)
    # What is counted ("the last chapter of part two") is counted within what is not.
    names = sorted(named.names, key=lambda name: (name.order is not None, name.kind))
    if not names:
        return None
    held: list[tuple[int, int, Span]] = []
    for document in dict.fromkeys(row.document_id for row in rows):
        within = {row.number: (0, len(row.text)) for row in rows if row.document_id == document}
        for _, alike in groupby(names, lambda name: (name.order is not None, name.kind)):
            own = [row for row in rows if row.number in within]
            within = _shared(within, _covered(_stretches(alike, own, within)))
        held += [(at, number, within[number]) for at, number in enumerate(sorted(within))]
    spans = {number: span for _, number, span in sorted(held)}
    if not spans and not any(name.is_sure for name in names):
        return None
    written = " and ".join(dict.fromkeys(name.written for name in names))
    return Part(written, spans, named.asks_for_all)


def _stretches(
    names: Iterable[PartName], rows: Sequence[ChunkRow], within: Mapping[int, Span]
) -> Iterator[Stretch]:
    """Where parts of one kind stand in chunks of a document, of those that have text within these spans."""
    for name in names:
        if name.kind == "page":
            pages = [page for page in page_stretches(rows) if _meet(page[0], within)]
            yield from _pages(name, pages)
        else:
            sections = [part for part in section_stretches(rows) if _meet(part[0], within)]
            yield from _sections(name, sections, outline(row.place for row in rows).sections)


def _pages(name: PartName, pages: Sequence[tuple[Stretch, range, frozenset[str]]]) -> list[Stretch]:
    """Pages by their place in the text, or by their labels, or else by their numbers in the file."""
    if name.order:
        numbers = list(dict.fromkeys(number for _, here, _ in pages for number in here))
        wanted = set(numbers[slice(*name.order)])
        return [stretch for stretch, here, _ in pages if wanted.intersection(here)]
    return [stretch for stretch, _, labels in pages if labels & name.keys] or [
        stretch for stretch, here, _ in pages if any(str(number) in name.keys for number in here)
    ]


def _sections(
    name: PartName, sections: Sequence[tuple[Stretch, Titles]], order: Sequence[Titles]
) -> list[Stretch]:
    """Sections by what their headings call them ("Chapter 3"), by a number alone ("3. The Ferry"), or by
    their place in the order of all."""
    names = [[called(title, name.kind) for title in titles] for _, titles in sections]
    for certainty in (0, 1):
        found = [any(keys[certainty] & name.keys for keys in own) for own in names]
        if any(found):
            return [part[0] for part, is_it in zip(sections, found, strict=True) if is_it]
    if not name.order:
        return []
    held = {titles for _, titles in sections}
    wanted = of_kind(name.kind, [titles for titles in order if titles in held])
    if name.keys and any(any(keys) for own in names for keys in own):
        return []  # where chapters have numbers, there is no first one without a "Chapter 1"
    chosen = wanted[slice(*name.order)]
    return [part for part, titles in sections if any(titles[: len(one)] == one for one in chosen)]


def _meet(stretch: Stretch, within: Mapping[int, Span]) -> bool:
    """Whether a stretch has something in common with the span of its chunk."""
    start, stop = within[stretch.chunk]
    return stretch.span[0] < stop and start < stretch.span[1]


def _covered(stretches: Iterable[Stretch]) -> dict[int, Span]:
    """What stretches cover of each chunk, from the first to the last character."""
    spans: dict[int, Span] = {}
    for stretch in stretches:
        start, stop = stretch.span
        low, high = spans.get(stretch.chunk, stretch.span)
        spans[stretch.chunk] = (min(low, start), max(high, stop))
    return spans


def _shared(spans: Mapping[int, Span], others: Mapping[int, Span]) -> dict[int, Span]:
    """What two sets of spans have in common."""
    both = {
        number: (max(spans[number][0], start), min(spans[number][1], stop))
        for number, (start, stop) in others.items()
        if number in spans
    }
    return {number: (start, stop) for number, (start, stop) in both.items() if start < stop}
