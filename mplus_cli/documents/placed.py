"""A line of a PDF page with its position. Coordinates are PDF points, y upwards."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TextRun:
    """A part of a line between wide gaps: its text, its left and right end."""

    text: str
    x0: float
    x1: float


@dataclass(frozen=True, slots=True)
class PlacedLine:
    """A line and where it stands: left and right end, baseline, height of its characters.

    `pieces` are its parts where wide gaps divide it, else (). `row`: whether it is one of a table.
    """

    text: str
    x0: float
    x1: float
    y: float
    size: float
    pieces: tuple[TextRun, ...] = ()
    row: bool = False
