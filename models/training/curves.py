"""The curves of a run as CSV files in its folder: one row a step, in order, each step once.

Deals with files and figures; needs no model.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from models.durable import new_file, sync_file

LOG, VALIDATION = "log.csv", "validation.csv"


def append_row(path: Path, row: Mapping[str, float]) -> None:
    """Add a row; the first one writes the header."""
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow(
            {name: round(v, 5) if isinstance(v, float) else v for name, v in row.items()}
        )


def forget_after(path: Path, step: int) -> None:
    """Drop the rows of later steps, which a resumed run will write again, and any broken row."""
    if not path.exists():
        return
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = list(csv.reader(file)) or [[]]
    kept = [row for row in rows if row and len(row) == len(header) and _is_up_to(row[0], step)]
    if len(kept) == len(rows):
        return
    text = io.StringIO(newline="")
    csv.writer(text).writerows([header, *kept])
    replace_text(path, text.getvalue())


def settle(path: Path) -> None:
    """Sync the rows that were added to disk."""
    if path.exists():
        with path.open("r+b") as file:
            sync_file(file)


def read_curves(path: Path) -> dict[str, list[float]]:
    """Every column of a curve by name; none without a file.

    Raises:
        ValueError: a row holds something other than numbers, or does not match the header.
    """
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = list(csv.reader(file)) or [[]]
    columns: dict[str, list[float]] = {name: [] for name in header}
    for number, row in enumerate(rows, 2):
        try:
            for name, value in zip(header, row, strict=True):
                columns[name].append(float(value))
        except ValueError:
            raise ValueError(f"{path}:{number}: not a row of {len(header)} numbers") from None
    return columns


def replace_text(path: Path, text: str) -> None:
    """Replace a file in one step."""
    with new_file(path) as file:
        file.write(text.encode())


def _is_up_to(value: str, step: int) -> bool:
    return value.isdigit() and int(value) <= step
