"""Tables and texts of memories."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mplus_cli.library import DocumentRow, MemorySummary
from mplus_cli.library.space import Usage
from mplus_cli.terminal import screen
from mplus_cli.visible import one_line
from mplus_cli.wording import count, moment, size

_NARROW, _WIDE = 72, 100
"""Terminal width below which a table shows fewer columns."""
_FIXED = ("updated", "last asked", "read", "pages")
"""Columns that are never broken."""


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
        "chunks": f"of {chunk} tokens of text, each kept as {new} memory tokens per layer",
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
        "pages": any(document["pages"] is not None for document in documents),
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
