"""Decides which lines of PDF pages belong together, from where they stand on the page.

Coordinates are PDF points, y upwards. Lines without coordinates (from an extractor that gives none) are
handed to `flow_text`. Independent of the PDF library.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from mplus_cli.documents.columns import in_reading_order
from mplus_cli.documents.flow_text import flow_text
from mplus_cli.documents.joining import HYPHENS, Joint, Line
from mplus_cli.documents.pdf_tables import with_rows
from mplus_cli.documents.placed import LaidOutPage, PlacedLine, TextRun

_TERMINAL = re.compile(r"[.!?…。！？][\"'”’»)\]*\d]*\Z")
_ITEM = re.compile(r"(?:[-*•‣◦▪–·●■]|\(?\d{1,3}[.)]|\[\d+\]|\(?[a-z]\))\s+\S")
_SURE_ITEM = re.compile(r"(?:[•‣◦▪●■]|\[\d+\])\s*\S")
_LEADERS = re.compile(
    r"(?:\.\.\.|(?: \.){3,})\s*(?:\d+|[ivxlc]+)\Z"
)  # a line of a table of contents
_NARROW = 12  # heights of a character; what never gets wider is not wrapped
_MAX_PIECES = 40  # of a row
_NEIGHBOURS = 10  # lines each way that show where a column's margins are


@dataclass(frozen=True, slots=True)
class _Margins:
    """Left and right edge of the column a line stands in, and its usual distance between lines."""

    left: float
    right: float
    leading: float


def flow_pdf(pages: Sequence[LaidOutPage]) -> list[Line]:
    """The lines of all pages, each with its joint; a paragraph may run over a page's end."""
    lines: list[Line] = []
    usual = _usual_width(pages)
    previous: tuple[PlacedLine, _Margins] | None = None
    for number, page in enumerate(pages):
        if not page.has_places:
            lines += _page_without_places(page, number, lines[-1] if lines else None)
            previous = None
            continue
        placed = with_rows(_rows(in_reading_order(page.lines)))
        margins = [_margins(placed, index, usual) for index in range(len(placed))]
        for index, (line, column) in enumerate(zip(placed, margins, strict=True)):
            if lines and index == 0:
                lines[-1].joint = _over_page(previous, line, column, lines[-1].text)
            elif index:
                wrapped = len(lines) > 1 and lines[-2].joint is Joint.JOIN
                pair = (placed[index - 1], line, margins[index - 1], column)
                lines[-1].joint = _joint(*pair, wrapped=wrapped)
            lines.append(Line(line.text, page=number))
            previous = line, column
    return lines


def _page_without_places(page: LaidOutPage, number: int, before: Line | None) -> list[Line]:
    """A page whose lines have no coordinates, by the rules for plain text."""
    flowed = flow_text("\n".join(line.text for line in page.lines), slack=0.12)
    for line in flowed:
        line.page = number
    if before is not None and flowed:
        goes_on = _goes_on(before.text, flowed[0].text)
        before.joint = Joint.JOIN if goes_on else Joint.PARAGRAPH
    return flowed


def _rows(lines: Sequence[PlacedLine]) -> list[PlacedLine]:
    """Lines that stand on one baseline, side by side, as one: cells of a table row."""
    rows: list[PlacedLine] = []
    texts: list[list[str]] = []  # of each row, joined once: a row may have very many cells
    for line in lines:
        last = rows[-1] if rows else None
        if last and _raised_or_lowered(last, line):
            texts[-1].append(line.text)
            rows[-1] = replace(last, x1=line.x1)
        elif last and _beside(last, line):
            apart = line.x0 - last.x1 > line.size and len(last.pieces) < _MAX_PIECES
            pieces = (*_pieces(last), *_pieces(line)) if apart else ()
            gap = " " if line.x0 - last.x1 < 1.5 * line.size else "  "
            texts[-1][-1] = texts[-1][-1].rstrip()
            texts[-1] += [gap, line.text.lstrip()]
            rows[-1] = replace(
                last, x1=line.x1, size=max(last.size, line.size), pieces=pieces or last.pieces
            )
        else:
            rows.append(line)
            texts.append([line.text])
    return [replace(row, text="".join(text)) for row, text in zip(rows, texts, strict=True)]


def _pieces(line: PlacedLine) -> tuple[TextRun, ...]:
    return line.pieces or (TextRun(line.text, line.x0, line.x1),)


def _beside(last: PlacedLine, line: PlacedLine) -> bool:
    close = abs(last.y - line.y) < 0.2 * line.size
    return close and line.x0 >= last.x1 - 0.1 * line.size


def _raised_or_lowered(last: PlacedLine, line: PlacedLine) -> bool:
    """Whether `line` is an exponent, an index or a note's number right behind `last`."""
    small = line.size < 0.85 * last.size and abs(last.y - line.y) < 0.7 * last.size
    return small and -0.2 * last.size <= line.x0 - last.x1 < 0.3 * last.size


def _usual_width(pages: Sequence[LaidOutPage]) -> float:
    """The width of the longer lines of the document, for columns too short to show their own."""
    widths = sorted(line.x1 - line.x0 for page in pages for line in page.lines if line.has_place)
    return widths[len(widths) * 3 // 4] if widths else 0.0


def _margins(lines: Sequence[PlacedLine], index: int, usual: float) -> _Margins:
    """The column around line `index`, seen from its neighbours that begin near it."""
    line = lines[index]
    around = lines[max(0, index - _NEIGHBOURS) : index + _NEIGHBOURS + 1]
    column = [other for other in around if abs(other.x0 - line.x0) < 6 * line.size]
    starts = [round(other.x0) for other in column]
    left = max(set(starts), key=lambda start: (starts.count(start), -start))
    steps = [
        a.y - b.y
        for a, b in pairwise(around)
        if 0 < a.y - b.y < 3 * line.size
        and max(abs(a.size - line.size), abs(b.size - line.size)) < 0.15 * line.size
    ]
    leading = _low(steps) if steps else 1.2 * line.size
    right = max(other.x1 for other in column)
    return _Margins(left, right if len(column) > 3 else max(right, left + usual), leading)


def _low(steps: list[float]) -> float:
    """The usual small step: gaps between paragraphs pull the middle up where lines are short."""
    ordered = sorted(steps)
    return ordered[len(ordered) // 3]


def _joint(
    a: PlacedLine, b: PlacedLine, column: _Margins, next_column: _Margins, *, wrapped: bool
) -> Joint:
    """How `a` goes on with `b` on the same page; `wrapped`: whether the line above ran into `a`."""
    if a.row or b.row:
        return Joint.LINE if a.row and b.row else Joint.PARAGRAPH
    if abs(a.size - b.size) > 0.15 * max(a.size, b.size) and not _same_flow(a, b, column):
        return Joint.PARAGRAPH
    step = a.y - b.y
    if step <= 0:
        return _over_page((a, column), b, next_column, a.text)
    if step > 1.4 * column.leading:
        return Joint.PARAGRAPH
    if _LEADERS.search(a.text[-80:]):
        return Joint.LINE
    if _would_fit(a, b, column):
        return _after_short(a, column, sure=wrapped or _indented(b, next_column))
    if _SURE_ITEM.match(b.text) or (_ITEM.match(b.text) and _TERMINAL.search(a.text)):
        return Joint.LINE
    if _goes_on(a.text, b.text) or _ITEM.match(a.text):
        return Joint.JOIN
    return Joint.PARAGRAPH if b.x0 - a.x0 > 0.6 * b.size else Joint.JOIN


def _after_short(a: PlacedLine, column: _Margins, *, sure: bool) -> Joint:
    """How a line that was ended on purpose goes on: as a paragraph's last line or one of verse.

    `sure`: whether there is more reason than its width to take it for prose.
    """
    prose = sure or a.x1 - column.left > 0.3 * (column.right - column.left)
    return Joint.PARAGRAPH if prose and _TERMINAL.search(a.text) else Joint.LINE


def _same_flow(a: PlacedLine, b: PlacedLine, column: _Margins) -> bool:
    """A change of size within a sentence: small capitals, a formula, a raised number."""
    return _goes_on(a.text, b.text) and not _would_fit(a, b, column) and 0 < a.y - b.y < 2 * a.size


def _would_fit(a: PlacedLine, b: PlacedLine, column: _Margins) -> bool:
    """Whether the first word of `b` had room behind `a`: then `a` was ended on purpose."""
    if a.text[-1:] in HYPHENS:
        return False
    if column.right - column.left < _NARROW * a.size:
        return True
    word = b.text.split(maxsplit=1)[0] if b.text.strip() else ""
    each = (b.x1 - b.x0) / max(len(b.text), 1)
    tolerance = 0.03 * (column.right - column.left)
    return a.x1 + each * (len(word) + 1) < column.right - tolerance


def _indented(line: PlacedLine, column: _Margins) -> bool:
    return 0.6 * line.size < line.x0 - column.left < 6 * line.size


def _over_page(
    before: tuple[PlacedLine, _Margins] | None, line: PlacedLine, column: _Margins, text: str
) -> Joint:
    """How the last line of a page or column goes on with the first of the next."""
    if before is None:
        return Joint.JOIN if _goes_on(text, line.text) else Joint.PARAGRAPH
    last, margins = before
    if abs(last.size - line.size) > 0.15 * max(last.size, line.size):
        return Joint.PARAGRAPH
    if _would_fit(last, line, margins) or _indented(line, column):
        return Joint.PARAGRAPH
    if _ITEM.match(line.text):
        return Joint.LINE
    return Joint.JOIN


def _goes_on(text: str, following: str) -> bool:
    """Whether the words alone say that a sentence runs on."""
    start = following.lstrip("\"'“‘(")[:1]
    hyphenated = text.rstrip()[-1:] in HYPHENS and text.rstrip()[-2:-1].isalpha()
    return hyphenated or (start.islower() and not _TERMINAL.search(text.rstrip()))
