"""The lines of a PDF page with their positions. Coordinates are PDF points, y upwards."""

import math
from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TextRun:
    """A part of a line between wide gaps: its text, its left and right end."""

    text: str
    x0: float
    x1: float


@dataclass(frozen=True, slots=True)
class PlacedLine:
    """A line and where it stands: left and right end, baseline, height of its characters; NaN where the
    file does not say.

    `pieces` are its parts where wide gaps divide it, else (). `row`: whether it is one of a table.
    """

    text: str
    x0: float = math.nan
    x1: float = math.nan
    y: float = math.nan
    size: float = math.nan
    pieces: tuple[TextRun, ...] = ()
    row: bool = False

    @property
    def has_place(self) -> bool:
        """Whether the file says where it stands."""
        return self.x0 == self.x0


@dataclass(frozen=True, slots=True)
class LaidOutPage:
    """The lines of a page, in the order of the file."""

    lines: tuple[PlacedLine, ...]

    @property
    def has_places(self) -> bool:
        """Whether the file says where each of them stands."""
        return all(line.has_place for line in self.lines)

    def top_to_bottom(self) -> list[int]:
        """The order of the lines by height, where all have one: heads need not come first in the file."""
        order = range(len(self.lines))
        return sorted(order, key=lambda at: -self.lines[at].y) if self.has_places else list(order)

    def without(self, dropped: Collection[int]) -> "LaidOutPage":
        """The page without the lines at these places."""
        return LaidOutPage(tuple(line for at, line in enumerate(self.lines) if at not in dropped))
