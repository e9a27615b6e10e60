"""The picture of `mplus memory map`: a strip for each document, a legend, and what a question rested on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mplus_cli.english.headings import of_kind
from mplus_cli.library import ChunkPlace, DocumentRow, MemoryMap
from mplus_cli.library.outline import outline
from mplus_cli.visible import one_line
from mplus_cli.wording import count
from mplus_cli.wording import place as worded_place

_SHADES = {True: (" ", "░", "▒", "▓", "█"), False: (".", "-", "=", "*", "#")}
"""Nothing is in memory; then the share of its memory tokens that are short-term: none, less than a quarter,
less than three quarters, more."""
_EDGES = {True: "│", False: "|"}
_LEAST_CELLS = 3
"""Of a chapter on average, or chapters are not told apart."""
_CHUNK_CELLS = 4
"""The most cells of a chunk."""
_WIDEST = 120


def map_picture(
    drawn: MemoryMap,
    width: int,
    *,
    unicode: bool,
    question: str | None = None,
    consulted: Sequence[int] = (),
) -> RenderableType:
    """The picture.

    Args:
        question: the one that rested on `consulted`, the numbers of chunks, best first.
    """
    shades, edge = _SHADES[unicode], _EDGES[unicode]
    by_document: dict[int, list[ChunkPlace]] = {}
    for place in drawn.chunks:
        by_document.setdefault(place.document_id, []).append(place)
    parts: list[RenderableType] = []
    used = ranks = ""
    for span in drawn.documents:
        places = by_document.get(span.document.id, [])
        if not places:
            continue
        strip, marks = _strip(places, max(10, min(width, _WIDEST)), shades, edge, consulted)
        used, ranks = used + strip, ranks + marks
        facts = document_facts(span.document, places)
        heading = Text.assemble((one_line(span.document.title), "bold"), (f"  {facts}", "dim"))
        parts += [heading, Text(strip, no_wrap=True)]
        if marks.strip():
            parts.append(Text(marks.rstrip(), style="bold", no_wrap=True))
        parts.append(Text())
    if len(by_document) > 1:
        held = " and ".join(_tokens(drawn.stm_tokens, drawn.ltm_tokens))
        parts.append(Text(f"{held} memory tokens in all"))
    marks_used = list(_legend(used, shades, edge, ranks if question is not None else ""))
    is_short = cell_len("   ".join(marks_used)) <= width
    parts.append(Text(("   " if is_short else "\n").join(marks_used), "dim"))
    if question is not None and consulted:
        parts += [Text(), *_consulted(drawn, question, consulted)]
    return Group(*parts)


def by_section(places: Sequence[ChunkPlace], most: int | None = None) -> list[list[ChunkPlace]]:
    """Chunks in a row of one section each, by the innermost sections that are not too many.

    Args:
        most: runs, if the outermost sections are not more.
    """
    runs: list[list[ChunkPlace]] = []
    for depth in (None, 2, 1):
        runs = [
            list(run)
            for _, run in groupby(
                places, key=lambda chunk: chunk.place.section[:depth] if chunk.place else ()
            )
        ]
        if len(runs) * 2 <= len(places) and (most is None or len(runs) <= most):
            break
    return runs


def document_facts(document: DocumentRow, places: Sequence[ChunkPlace]) -> str:
    """How long a document is as far as its file says, and its share of memory."""
    facts = []
    first, last = places[0].first_page, places[-1].last_page
    if first is not None and last is not None:
        facts.append(f"p. {first}-{last}")
    sections = outline(chunk.place for chunk in places).sections
    if chapters := len(of_kind("chapter", sections)):
        facts.append(count(chapters, "chapter"))
    if not document.complete:
        facts.append(f"read to {_read_to(document, places)} %")
    short = sum(place.stm_tokens for place in places)
    facts += _tokens(short, sum(place.ltm_tokens for place in places))
    return ", ".join(facts)


def _read_to(document: DocumentRow, places: Sequence[ChunkPlace]) -> int:
    """How far a document was read, in per cent."""
    place = places[-1].place
    return int(100 * (place.end if place else document.chunks_read / document.chunks))


def _tokens(short: float, long: float) -> list[str]:
    """Memory tokens of both kinds, per layer, as far as there are any."""
    both = ((short, "short-term"), (long, "long-term"))
    return [f"{tokens:,.0f} {kind}" for tokens, kind in both if round(tokens)]


def _legend(used: str, shades: Sequence[str], edge: str, ranks: str) -> Iterator[str]:
    """What the marks mean that are in the picture, and no others."""
    nothing, none, *some, all_ = shades
    if none in used:
        yield f"{none} long-term memory"
    if partly := [shade for shade in some if shade in used]:
        yield f"{' '.join(partly)} partly short-term"
    if all_ in used:
        yield f"{all_} short-term memory"
    if nothing in used:
        yield "blank: forgotten" if nothing == " " else f"{nothing} forgotten"
    if edge in used:
        yield f"{edge} chapter break"
    if numbers := sorted(set(ranks) - {" "}):
        best = "best passage" if len(numbers) == 1 else "best passages"
        yield f"{' '.join(numbers)} {best} for the question"


def _consulted(
    drawn: MemoryMap, question: str, consulted: Sequence[int]
) -> Iterator[RenderableType]:
    """What a question rested on, in words."""
    yield Text(f"question: {one_line(question)}", "bold")
    titles = {span.document.id: span.document.title for span in drawn.documents}
    known = {place.number: place for place in drawn.chunks}
    listed = Table.grid(padding=(0, 2, 0, 0))
    for rank, number in enumerate(consulted, start=1):
        chunk = known[number]
        pages = (
            None
            if chunk.first_page is None or chunk.last_page is None
            else (chunk.first_page, chunk.last_page)
        )
        where = worded_place(one_line(titles[chunk.document_id]), pages, chunk.place)
        listed.add_row(str(rank), Text(one_line(where)))
    yield listed


def _strip(
    places: Sequence[ChunkPlace],
    cells: int,
    shades: Sequence[str],
    edge: str,
    consulted: Sequence[int],
) -> tuple[str, str]:
    """A document's chunks as cells, chapters apart where there is room, and below them the ranks of those
    that a question rested on."""
    most = cells // _LEAST_CELLS
    parts = by_section(places, most)
    if len(parts) > most:
        parts = [list(places)]
    cells = min(cells - len(parts) + 1, len(places) * _CHUNK_CELLS)
    strips, marks = [], []
    first = 0
    for part in parts:
        last = first + len(part)
        size = max(1, last * cells // len(places) - first * cells // len(places))
        strips.append(_bar(part, size, shades))
        marks.append(_marks(part, size, consulted))
        first = last
    return edge.join(strips), " ".join(marks)


def _marks(places: Sequence[ChunkPlace], cells: int, consulted: Sequence[int]) -> str:
    marks = [" "] * cells
    ranks = {number: rank for rank, number in enumerate(consulted, start=1)}
    for at, place in reversed(list(enumerate(places))):
        if place.number in ranks:
            cell = min(at * cells // len(places), cells - 1)
            marks[cell] = min(marks[cell].strip() or "9", str(ranks[place.number]))
    return "".join(marks)


def _bar(places: Sequence[ChunkPlace], cells: int, shades: Sequence[str]) -> str:
    """A cell for each group of chunks; darker, the more of its memory tokens are short-term."""
    drawn = []
    for cell in range(cells):
        first = cell * len(places) // cells
        last = max(first + 1, (cell + 1) * len(places) // cells)
        part = places[first:last]
        short = sum(place.stm_tokens for place in part)
        total = short + sum(place.ltm_tokens for place in part)
        # Even a little short-term memory shows: shade 1 means none at all.
        step = 0 if total == 0 else 1 if short == 0 else 2 + round(short / total * 2)
        drawn.append(shades[step])
    return "".join(drawn)
