"""The lines of a PDF page as pdfium groups them, and where they and their pieces stand.

Coordinates are PDF points along the text and across it: of a page whose text is turned, as if it had
been turned back. Runs in the worker process.
"""

import ctypes
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

from mplus_cli.documents import pdfium_fields

_GAP = 1.2  # heights of a character between two words that are not neighbours
_MAX_PIECES = 40

Characters = list[tuple[int, int]]
"""(index, code) of the characters of a line."""


def lines(document: Any, index: int, most: int) -> list[list[Any]]:
    """The lines of page `index`, from its first `most` characters."""
    page = document[index]
    try:
        text_page = page.get_textpage()
        try:
            found = list(_character_lines(text_page, most))
            turns = [_turn(text_page, line) for line in found]
            sizes: Counter[int] = Counter()
            for line, turn in zip(found, turns, strict=True):
                sizes[turn] += len(line)
            usual = sizes.most_common(1)[0][0] if sizes else 0
            measured = [
                _measured(text_page, line, usual if turn == usual else 0)
                for line, turn in zip(found, turns, strict=True)
            ]
            return measured + pdfium_fields.lines(page)
        finally:
            text_page.close()
    finally:
        page.close()


def _character_lines(text_page: Any, most: int) -> Iterator[Characters]:
    """The characters of each line.

    pdfium gives line ends as characters of their own, and the hyphen of a word broken at a line
    end as code 2, after which there is no line end.
    """
    from pypdfium2 import raw

    line: Characters = []
    for index in range(min(text_page.count_chars(), most)):
        code = raw.FPDFText_GetUnicode(text_page, index)
        if code in (10, 13):
            if line:
                yield line
            line = []
            continue
        broken = code in (2, 0xFFFE)
        line.append((index, ord("-") if broken else code))
        if broken:
            yield line
            line = []
    if line:
        yield line


def _turn(text_page: Any, line: Characters) -> int:
    """How a line runs: 0 to the right, 1 up, 2 to the left, 3 down."""
    inked = [index for index, code in line if code > 32]
    if len(inked) < 2:
        return 0
    first, last = _origin(text_page, inked[0]), _origin(text_page, inked[-1])
    if first is None or last is None:
        return 0
    along, up = last[0] - first[0], last[1] - first[1]
    if abs(up) > 5 * abs(along):
        return 1 if up > 0 else 3
    return 2 if along < 0 and abs(along) > 5 * abs(up) else 0


def _origin(text_page: Any, index: int) -> tuple[float, float] | None:
    from pypdfium2 import raw

    x, y = ctypes.c_double(), ctypes.c_double()
    return (x.value, y.value) if raw.FPDFText_GetCharOrigin(text_page, index, x, y) else None


def _span(text_page: Any, index: int, turn: int) -> tuple[float, float, float] | None:
    """Start, end and height of a character, along the text."""
    from pypdfium2 import raw

    box = raw.FS_RECTF()
    if not raw.FPDFText_GetLooseCharBox(text_page, index, box):
        return None
    start, end = {
        0: (box.left, box.right),
        1: (box.bottom, box.top),
        2: (-box.right, -box.left),
        3: (-box.top, -box.bottom),
    }[turn]
    across = (box.right - box.left) if turn in (1, 3) else (box.top - box.bottom)
    return start, end, abs(across)


def _measured(text_page: Any, line: Characters, turn: int) -> list[Any]:
    """[text] and, where it has one, the place of a line, with that of its pieces."""
    text = _text(line)
    inked = [index for index, code in line if code > 32]
    if not inked:
        return [text]
    first, last = _span(text_page, inked[0], turn), _span(text_page, inked[-1], turn)
    origin = _origin(text_page, inked[0])
    if first is None or last is None or origin is None:
        return [text]
    base = {0: origin[1], 1: -origin[0], 2: -origin[1], 3: origin[0]}[turn]
    place = [first[0], last[1], base, first[2]]
    if not all(map(math.isfinite, place)) or place[1] <= place[0] or not place[3]:
        return [text]
    measured = [text, *(round(value, 2) for value in place)]
    pieces = _pieces(text_page, line, turn, place)
    return [*measured, pieces] if len(pieces) > 1 else measured


def _pieces(text_page: Any, line: Characters, turn: int, place: list[float]) -> list[list[Any]]:
    """[text, x0, x1] of what wide gaps divide a line into."""
    pieces: list[list[Any]] = []
    begin, start = 0, place[0]
    for at in range(1, len(line) - 1):
        if line[at][1] != 32 or line[at - 1][1] <= 32 or len(pieces) == _MAX_PIECES:
            continue
        after = next((index for index, code in line[at + 1 : at + 9] if code > 32), None)
        if after is None:
            continue
        left, right = _span(text_page, line[at - 1][0], turn), _span(text_page, after, turn)
        if left is None or right is None or not right[0] - left[1] > _GAP * place[3]:
            continue
        pieces.append([_text(line[begin:at]), round(start, 2), round(left[1], 2)])
        begin, start = at, right[0]
    pieces.append([_text(line[begin:]), round(start, 2), round(place[1], 2)])
    return pieces


def _text(line: Characters) -> str:
    text = "".join(chr(code) for _, code in line if code < 0x110000)
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").strip()
