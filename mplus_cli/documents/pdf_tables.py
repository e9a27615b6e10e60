"""Finds table rows among the lines of a PDF page, and separates their cells.

Independent of the PDF library.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from mplus_cli.documents.placed import PlacedLine

_LEAST_ROWS = 3
_MAX_CELL = 30  # characters, on average: more is prose in columns
_FIGURE = re.compile(r"\W{0,3}\d[\d\s.,:/%-]{0,11}[^\W\d_]{0,3}\W{0,2}")
_TOLERANCE = 0.4  # heights of a character


def with_rows(lines: Sequence[PlacedLine]) -> list[PlacedLine]:
    """The lines of a page; table rows are marked, with a bar between their cells."""
    found = list(lines)
    start = 0
    pairs = [_follow(above, below) for above, below in pairwise(found)] + [False]
    for index, goes_on in enumerate(pairs):
        if goes_on:
            continue
        run = found[start : index + 1]
        if len(run) >= _LEAST_ROWS and _are_cells(run):
            for at, line in enumerate(run, start):
                text = " | ".join(piece.text for piece in line.pieces)
                found[at] = replace(line, text=text, row=True)
        start = index + 1
    return found


def _follow(above: PlacedLine, below: PlacedLine) -> bool:
    """Whether two lines are rows of one table: close, and with two cells or more under each other."""
    if len(above.pieces) < 2 or len(below.pieces) < 2:
        return False
    if not 0 < above.y - below.y < 3 * max(above.size, below.size):
        return False
    slack = _TOLERANCE * max(above.size, below.size)
    aligned = sum(
        any(
            min(
                abs(one.x0 - other.x0),
                abs(one.x1 - other.x1),
                abs(one.x0 + one.x1 - other.x0 - other.x1) / 2,
            )
            < slack
            for other in above.pieces
        )
        for one in below.pieces
    )
    return aligned >= 2 and aligned >= len(below.pieces) - 1


def _are_cells(run: Sequence[PlacedLine]) -> bool:
    """Whether the pieces are short and, where there are only two in a row, often a figure."""
    cells = [piece.text for line in run for piece in line.pieces]
    pairs = [line.pieces for line in run if len(line.pieces) == 2]
    figures = sum(any(_FIGURE.fullmatch(piece.text) for piece in pair) for pair in pairs)
    return sum(map(len, cells)) <= _MAX_CELL * len(cells) and 2 * figures >= len(pairs)
