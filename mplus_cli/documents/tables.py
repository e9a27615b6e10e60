"""Tables and data as self-contained lines: "port: Brannock, ships: 14". Does no I/O."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

_DELIMITERS = "\t;,|"
_MAX_DEPTH = 60


def delimited_text(text: str, suffix: str) -> str | None:
    """CSV or TSV as text, a row a line, each cell with its heading; None if it is not a table."""
    delimiter = "\t" if suffix == ".tsv" else _delimiter(text)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        rows = [cells for row in reader if any(cells := [" ".join(one.split()) for one in row])]
    except csv.Error:
        return None
    if not rows or max(map(len, rows)) < 2:
        return None
    if len(rows) > 1 and _are_headings(rows[0]):
        return "\n".join(_labelled(rows[0], row) for row in rows[1:])
    return "\n".join(" | ".join(row) for row in rows)


def _delimiter(text: str) -> str:
    line = text.lstrip("\n").partition("\n")[0]
    return max(_DELIMITERS, key=lambda one: (line.count(one), one == ","))


def _are_headings(row: Sequence[str]) -> bool:
    filled = [cell for cell in row if cell]
    numbers = [cell for cell in filled if cell.replace(".", "").replace(",", "").isdecimal()]
    return len(set(filled)) == len(filled) > 0 and not numbers


def _labelled(headings: Sequence[str], row: Sequence[str]) -> str:
    named = [*headings, *[""] * (len(row) - len(headings))]
    cells = zip(named, row, strict=False)
    return ", ".join(f"{name}: {cell}" if name else cell for name, cell in cells if cell)


def json_text(text: str, suffix: str) -> str | None:
    """JSON or JSON Lines as text, a record a line; None if it is neither."""
    try:
        if suffix == ".json":
            values = json.loads(text)
        else:
            values = [json.loads(line) for line in text.split("\n") if line.strip()]
        return "\n".join(_lines(values, 0))
    except (ValueError, RecursionError):
        return None


def _lines(value: Any, depth: int) -> Iterator[str]:
    """A line for each record without records in it, and for each value beside some."""
    if depth > _MAX_DEPTH:
        raise RecursionError
    if isinstance(value, list):
        if value and all(_is_plain(one) for one in value):
            yield ", ".join(map(_word, value))
        else:
            for one in value:
                yield from _lines(one, depth + 1)
    elif isinstance(value, dict):
        yield from _record(value, depth)
    else:
        yield _word(value)


def _record(value: dict[str, Any], depth: int) -> Iterator[str]:
    if line := ", ".join(_fields(value.items())):
        yield line
    for key, one in value.items():
        if not _is_plain(one):
            for line in _lines(one, depth + 1):
                yield f"{key}: {line}"


def _fields(items: Iterable[tuple[str, Any]]) -> Iterator[str]:
    for key, one in items:
        if _is_plain(one) and one is not None and one != "":
            yield f"{key}: {_word(one)}"


def _is_plain(value: Any) -> bool:
    return not isinstance(value, list | dict)


def _word(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return " ".join(str(value).split())
