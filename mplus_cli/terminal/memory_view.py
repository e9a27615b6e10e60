"""Tables, pictures and texts of memories."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, Literal

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mplus_cli.library import ChunkPlace, DocumentRow, MemoryMap, MemorySummary
from mplus_cli.library.space import Usage
from mplus_cli.terminal import screen
from mplus_cli.visible import one_line
from mplus_cli.wording import count, moment, size
from mplus_cli.wording import place as worded_place

_NARROW, _WIDE = 72, 100
"""Terminal width below which a table shows fewer columns."""
_FIXED = ("updated", "read", "pages", "where")
"""Columns that are never broken."""
_SHADES = {True: (" ", "░", "▒", "▓", "█"), False: (".", "-", "=", "*", "#")}
"""From none to all: the share of memory tokens that are in short-term memory."""


def plain_table(*columns: tuple[str, bool]) -> Table:
    """A table without lines; a column is its title and whether it holds numbers."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title, is_number in columns:
        fixed = is_number or title in _FIXED
        side: Literal["right", "left"] = "right" if is_number else "left"
        table.add_column(title, justify=side, overflow="fold", no_wrap=fixed)
    return table


def summaries_table(summaries: Iterable[MemorySummary], width: int) -> Table:
    """The table of `mplus memory list`, with as many columns as fit the terminal."""
    columns = (
        ("name", False),
        ("docs", True),
        ("tokens", True),
        ("size", True),
        ("updated", False),
        ("model", False),
        ("short-term", True),
        ("long-term", True),
    )
    shown = columns[: 4 if width < _NARROW else 6 if width < _WIDE else 8]
    table = plain_table(*shown)
    for line in summaries:
        if line.error:
            table.add_row(line.name, "damaged")
            continue
        cells = (
            Text(line.name),
            f"{line.documents:,}",
            f"{line.tokens:,}",
            size(line.bytes),
            moment(line.updated),
            Text(one_line(line.model)),
            f"{line.stm_tokens:,}",
            f"{line.ltm_tokens:,}",
        )
        table.add_row(*cells[: len(shown)])
    return table


def description(described: dict[str, Any], width: int) -> RenderableType:
    """The picture of `mplus memory show`."""
    geometry = described["geometry"]
    chunk, new, stm = (
        _recorded(geometry.get(name)) for name in ("chunk_tokens", "new_tokens", "stm_tokens")
    )
    facts = plain_table(("", False), ("", False))
    facts.show_header = False
    rows = {
        "name": described["name"],
        **({} if described["note"] is None else {"note": described["note"]}),
        "model": f"{described['model']} ({described['fingerprint'][:8]}…)",
        "read": f"{count(described['tokens'], 'token')} of text in {count(described['chunks'], 'chunk')}",
        "short-term": f"{described['stm_tokens']:,} of {stm} tokens",
        "long-term": f"{described['ltm_tokens']:,} tokens",
        "a chunk": f"{chunk} tokens of text become {new} memory tokens a layer",
        "size": size(described["bytes"]),
        "created": moment(described["created"]),
        "updated": moment(described["updated"]),
        "folder": described["path"],
    }
    for label, value in rows.items():
        facts.add_row(Text(label, style="dim"), Text(one_line(str(value))))
    if not described["documents"]:
        return facts
    return Group(facts, Text(), _documents(described["documents"], width))


def usage_table(found: Iterable[Usage], width: int) -> Table:
    """The table of `mplus memory du`."""
    numbers = ("total", "long-term", "short-term", "text", "shared", "left over")
    shown = numbers[:1] if width < _NARROW else numbers
    table = plain_table(("name", False), *((title, True) for title in shown))
    for one in found:
        parts = (one.total, one.long_term, one.short_term, one.text, one.shared, one.left_over)
        table.add_row(Text(one.name), *(size(part) for part in parts[: len(shown)]))
    return table


def show_texts(texts: Iterable[tuple[DocumentRow, str]], *, named: bool) -> None:
    """The texts of documents on stdout, one after the other; `named`: each below its title."""
    for number, (row, text) in enumerate(texts):
        if number:
            screen.out("")
        if named:
            screen.out(f"# {one_line(row.title)}")
            screen.out("")
        screen.piece(text if text.endswith("\n") else f"{text}\n")


def _recorded(tokens: Any) -> str:
    """A count from a memory's database, which may be anything."""
    return f"{tokens:,}" if type(tokens) is int and 0 <= tokens < 1 << 63 else "?"


def _documents(documents: Sequence[dict[str, Any]], width: int) -> Table:
    """The documents of a memory; on a narrow terminal without who wrote them and when they were read."""
    wide = width >= _NARROW
    by_whom = wide and any(document["author"] for document in documents)
    unfinished = any(document["chunks_read"] != document["chunks"] for document in documents)
    shown = {
        "#": True,
        "document": True,
        "author": by_whom,
        "pages": True,
        "tokens": True,
        "chunks": wide,
        "read": wide or unfinished,
    }
    numbers = ("#", "pages", "tokens", "chunks")
    table = plain_table(
        *((title, title in numbers) for title, is_shown in shown.items() if is_shown)
    )
    for document in documents:
        done, chunks = document["chunks_read"], document["chunks"]
        cells: tuple[str | Text, ...] = (
            str(document["number"]),
            Text(one_line(document["title"])),
            Text(one_line(document["author"] or "")),
            "" if document["pages"] is None else f"{document['pages']:,}",
            f"{document['tokens']:,}",
            f"{chunks:,}",
            moment(document["added"]) if done == chunks else f"{done} of {chunks} chunks so far",
        )
        table.add_row(
            *(cell for cell, is_shown in zip(cells, shown.values(), strict=True) if is_shown)
        )
    return table


def map_picture(
    drawn: MemoryMap,
    width: int,
    *,
    unicode: bool,
    question: str | None = None,
    consulted: Sequence[int] = (),
) -> RenderableType:
    """The picture of `mplus memory map`: a strip a document, its beginning on the left, its chapters
    apart; below it what a question rested on, `consulted`, by the numbers of chunks, best first."""
    shades, edge = _SHADES[unicode], "│" if unicode else "|"
    titles = [cell_len(one_line(span.document.title)) for span in drawn.documents]
    # Less the other columns; titles longer than 30 columns are folded.
    cells = max(10, min(60, width - min(30, max(titles, default=0)) - 32))
    by_document: dict[int, list[ChunkPlace]] = {}
    for place in drawn.chunks:
        by_document.setdefault(place.document_id, []).append(place)
    table = plain_table(
        ("document", False), ("pages", False), ("where", False), ("STM", True), ("LTM", True)
    )
    table.columns[0].max_width = 30
    for span in drawn.documents:
        places = by_document.get(span.document.id, [])
        if not places:
            continue
        strip, marks = _strip(places, cells, shades, edge, consulted)
        table.add_row(
            Text(one_line(span.document.title)),
            _pages(places),
            Text(strip),
            f"{sum(place.stm_tokens for place in places):,.0f}",
            f"{sum(place.ltm_tokens for place in places):,.0f}",
        )
        if marks.strip():
            table.add_row("", "", Text(marks, style="bold"), "", "")
    short, long = f"{drawn.stm_tokens:,}", f"{drawn.ltm_tokens:,}"
    total = Text(f"{short} short-term and {long} long-term memory tokens")
    legend = Text(
        f"{shades[-1]} short-term  {shades[1]} long-term  {shades[0]!r} forgotten  {edge} chapters",
        "dim",
    )
    parts: list[RenderableType] = [table, Text(), total, legend]
    if question is not None and consulted:
        parts += [Text(), *_consulted(drawn, question, consulted)]
    return Group(*parts)


def _consulted(
    drawn: MemoryMap, question: str, consulted: Sequence[int]
) -> Iterator[RenderableType]:
    """What a question rested on, in words."""
    yield Text(f"asked: {one_line(question)}", "bold")
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
    parts = chapters(places)
    if len(parts) > cells // 3:
        parts = [list(places)]
    cells = min(cells - len(parts) + 1, len(places) * 4)
    strips, marks = [], []
    first = 0
    for part in parts:
        last = first + len(part)
        size = max(1, last * cells // len(places) - first * cells // len(places))
        strips.append(_bar(part, size, shades))
        marks.append(_marks(part, size, consulted))
        first = last
    return edge.join(strips), " ".join(marks)


def chapters(places: Sequence[ChunkPlace]) -> list[list[ChunkPlace]]:
    """Chunks in a row of one section each; by the outermost sections where the others are many."""
    for depth in (None, 2, 1):
        runs = [
            list(run)
            for _, run in groupby(
                places, key=lambda chunk: chunk.place.section[:depth] if chunk.place else ()
            )
        ]
        if len(runs) * 2 <= len(places):
            break
    return runs


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


def _pages(places: Sequence[ChunkPlace]) -> str:
    first, last = places[0].first_page, places[-1].last_page
    return "" if first is None or last is None else f"{first}-{last}"
