"""Puts the lines of a PDF page with columns into reading order.

A file has its lines in the order they were drawn, which usually is reading order: it is kept unless two
columns are plain to see and the order runs across them, or from the right one to the left.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from mplus_cli.documents.placed import PlacedLine, TextRun

_LEAST_LINES = 4  # of each column
_LEAST_CHARACTERS = 15  # of a line in a column, on average: less is a table
_GUTTER = 0.7  # heights of a character
_TOLERANCE = 2.0  # points
_MAX_COLUMNS = 5
_MAX_EDGES = 8  # tried at most


def in_reading_order(lines: Sequence[PlacedLine], columns: int = _MAX_COLUMNS) -> list[PlacedLine]:
    """The lines of a page; those that run across two columns are cut in two."""
    edge = _right_column(lines) if columns > 1 else None
    if edge is None:
        return list(lines)
    bands = _bands(lines, edge)
    if not any(_is_out_of_order(lines, band, edge) for band in bands):
        return list(lines)
    ordered: list[PlacedLine] = []
    for band in bands:
        if _is_in_columns(band, edge):
            left, right = _divided(band, edge)
            ordered += left
            ordered += in_reading_order(right, columns - 1)
        else:
            ordered += band
    return ordered


def _parts(line: PlacedLine) -> Sequence[TextRun | PlacedLine]:
    return line.pieces or (line,)


def _right_column(lines: Sequence[PlacedLine]) -> float | None:
    """The left edge of a second column: where many lines begin, to the right of others."""
    starts = Counter(round(part.x0) for line in lines for part in _parts(line))
    common = [start for start, count in starts.most_common(_MAX_EDGES) if count >= _LEAST_LINES]
    best, most = None, 0
    for edge in sorted(common)[1:]:
        held = sum(len(band) for band in _bands(lines, edge) if _is_in_columns(band, edge))
        if held > most:
            best, most = edge, held
    return best


def _crosses(line: PlacedLine, edge: float) -> bool:
    limit = edge - _GUTTER * line.size
    return any(part.x0 < edge - _TOLERANCE and part.x1 > limit for part in _parts(line))


def _bands(lines: Sequence[PlacedLine], edge: float) -> list[list[PlacedLine]]:
    """The lines from the top down, in runs of those that cross the gutter and those that do not."""
    from_top = sorted(lines, key=lambda line: (-line.y, line.x0))
    return [list(run) for _, run in groupby(from_top, lambda line: _crosses(line, edge))]


def _divided(band: Sequence[PlacedLine], edge: float) -> tuple[list[PlacedLine], list[PlacedLine]]:
    """The lines and parts of lines left and right of the gutter, in their order."""
    sides: tuple[list[PlacedLine], list[PlacedLine]] = ([], [])
    for line in band:
        if not line.pieces:
            sides[line.x0 >= edge - _TOLERANCE].append(line)
            continue
        for right, side in enumerate(sides):
            pieces = [one for one in line.pieces if (one.x0 >= edge - _TOLERANCE) == bool(right)]
            if pieces:
                side.append(_line_of(pieces, line))
    return sides


def _line_of(pieces: Sequence[TextRun], line: PlacedLine) -> PlacedLine:
    text = " ".join(piece.text for piece in pieces)
    kept = tuple(pieces) if len(pieces) > 1 else ()
    return PlacedLine(text, pieces[0].x0, pieces[-1].x1, line.y, line.size, kept)


def _is_in_columns(band: Sequence[PlacedLine], edge: float) -> bool:
    """Whether there is prose on both sides of the gutter, side by side."""
    if _crosses(band[0], edge):
        return False
    left, right = _divided(band, edge)
    for side in (left, right):
        characters = sum(len(line.text) for line in side)
        if len(side) < _LEAST_LINES or characters < _LEAST_CHARACTERS * len(side):
            return False
    return left[-1].y < right[0].y and right[-1].y < left[0].y


def _is_out_of_order(lines: Sequence[PlacedLine], band: Sequence[PlacedLine], edge: float) -> bool:
    """Whether the columns of a band are not drawn the left one first, then the right one."""
    if not _is_in_columns(band, edge):
        return False
    top, bottom = band[0].y, band[-1].y
    was_right = False
    for line in lines:
        if not bottom <= line.y <= top:
            continue
        sides = {part.x0 >= edge - _TOLERANCE for part in _parts(line)}
        if len(sides) > 1 or (was_right and False in sides):
            return True
        was_right = was_right or True in sides
    return False
