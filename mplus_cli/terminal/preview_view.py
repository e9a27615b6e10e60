"""Shows what would be read: a table, or the text of documents. Prints through the screen."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from mplus_cli.documents import Document
from mplus_cli.ingest.preview import Previewed
from mplus_cli.terminal import screen
from mplus_cli.terminal.memory_view import plain_table
from mplus_cli.visible import one_line
from mplus_cli.wording import duration

_NARROW = 72
"""Columns of a terminal below which a table shows less."""


def show_table(previews: Sequence[Previewed]) -> None:
    """What would be read, a row a document, and all of it together."""
    columns = (
        *(("title", False), ("format", False), ("tokens", True), ("time", True)),
        *(("pages", True), ("chapters", True), ("author", False)),
    )
    shown = columns[: 4 if screen.width() < _NARROW else 7]
    table = plain_table(*shown)
    for one in previews:
        cells = (
            Text(one_line(one.title or "")),
            one.format or "",
            "" if one.tokens is None else f"{one.tokens:,}",
            duration(one.seconds),
            "" if one.pages is None else f"{one.pages:,}",
            f"{one.chapters:,}" if one.chapters else "",
            Text(one_line(one.author or "")),
        )
        table.add_row(*cells[: len(shown)])
    if len(previews) > 1:
        times = [one.seconds for one in previews]
        tokens = sum(one.tokens or 0 for one in previews)
        total = duration(sum(filter(None, times))) if None not in times else ""
        table.add_row(f"{len(previews)} documents", "", f"{tokens:,}" if tokens else "", total)
    screen.show(table)


def show_text(name: str, document: Document, *, alone: bool, first: bool) -> None:
    """The text of a document; between several, their names as `head` writes them."""
    if not alone:
        screen.piece(f"{'' if first else chr(10)}==> {one_line(name)} <==\n")
    text = document.text
    screen.piece(text if text.endswith("\n") else f"{text}\n")
