"""The worker process for OCR: `python -m mplus_cli.documents.ocr_worker PAGES MIB`.

Reads a PDF from stdin, and for each of the pages (a JSON list of numbers from 1) writes a JSON object a
line to stdout: {"page", "lines"}, each line as `pdf_worker` has them, or {"page", "error"}; first
{"ready": true}. The engine is RapidOCR on onnxruntime, with the models that come in its wheel.
"""

import json
import os
import socket
import sys
from collections.abc import Sequence
from typing import Any

from mplus_cli.documents import worker

_DPI = 200
_MAX_SIDE = 2000  # pixels: what the engine shrinks larger pictures to
_POINTS = 72  # an inch
_ALIKE = 0.35  # by which heights of lines may differ for the type to be the same
_MOST_ASKEW = 0.1  # of a line's length; what rises more is turned on purpose
_SAME_ROW = 0.5  # of a line's height
_BASELINE = 0.35  # of a line's height, below its middle

Line = list[Any]


def main(pages: Sequence[int], memory: int) -> None:
    """Write the messages for `pages`."""
    worker.limit_resources(memory=memory << 20, cpu_seconds=3600)
    with worker.private_stdout() as out:
        data = sys.stdin.buffer.read()
        socket.socket.connect = _refuse  # type: ignore[method-assign]
        import pypdfium2

        engine = _engine()
        document = pypdfium2.PdfDocument(data)
        worker.send(out, {"ready": True})
        for number in pages:
            try:
                lines = read_page(document[number - 1], engine)
            except Exception as error:  # one bad page is not a reason to lose the others
                worker.send(out, {"page": number, "error": type(error).__name__})
            else:
                worker.send(out, {"page": number, "lines": lines})


def _refuse(*_: object) -> None:
    """No engine may fetch a model."""
    raise OSError("the network is not used here")


def _engine() -> Any:
    from rapidocr import RapidOCR

    given = os.environ.get("OMP_NUM_THREADS", "")
    threads = int(given) if given.isdecimal() else -1
    return RapidOCR(
        params={
            "Global.log_level": "critical",
            "EngineConfig.onnxruntime.intra_op_num_threads": threads,
        }
    )


def read_page(page: Any, engine: Any) -> list[Line]:
    """The lines of a page's picture, from top to bottom, in points."""
    width, height = page.get_size()
    scale = min(_DPI / _POINTS, _MAX_SIDE / max(width, height, 1))
    picture = page.render(scale=scale).to_pil().convert("RGB")
    found = engine(picture)
    if found.boxes is None or found.txts is None:
        return []
    boxes = [[(float(x) / scale, height - float(y) / scale) for x, y in box] for box in found.boxes]
    return placed(boxes, [str(text) for text in found.txts])


def placed(boxes: Sequence[Sequence[tuple[float, float]]], texts: Sequence[str]) -> list[Line]:
    """[text, x0, x1, y, size] of lines whose four corners are given in points, y upwards.

    Boxes are tight around the letters that happen to be in a line: heights that are nearly the usual one
    are taken for it, so that a change of size means a change of type. A page that lies a little askew is
    turned upright: what stands on one line must have one height.
    """
    slope = _slope(boxes)
    boxes = [[(x + slope * y, y - slope * x) for x, y in box] for box in boxes]
    heights = sorted(_height(box) for box in boxes)
    usual = heights[len(heights) // 2] if heights else 0.0
    lines: list[Line] = []
    for box, text in zip(boxes, texts, strict=True):
        height = _height(box)
        if abs(height - usual) <= _ALIKE * usual:
            height = usual
        middle = sum(y for _, y in box) / len(box)
        left, right = min(x for x, _ in box), max(x for x, _ in box)
        y = middle - _BASELINE * height
        lines.append([text, round(left, 2), round(right, 2), round(y, 2), round(height, 2)])
    return _in_rows(lines)


def _in_rows(lines: Sequence[Line]) -> list[Line]:
    """Lines from top to bottom; those that stand side by side have one height, from left to right."""
    rows: list[list[Line]] = []
    for line in sorted(lines, key=lambda line: -line[3]):
        if rows and rows[-1][0][3] - line[3] < _SAME_ROW * min(line[4], rows[-1][0][4]):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [
        [text, left, right, row[0][3], height]
        for row in rows
        for text, left, right, _, height in sorted(row, key=lambda line: line[1])
    ]


def _slope(boxes: Sequence[Sequence[tuple[float, float]]]) -> float:
    """How much the lines of a page rise along their length: that of the middle one, weighed by length."""
    rises: list[tuple[float, float]] = []
    for (x0, y0), (x1, y1), *_ in boxes:
        if x1 - x0 > 1 and abs(y1 - y0) < _MOST_ASKEW * (x1 - x0):
            rises.append(((y1 - y0) / (x1 - x0), x1 - x0))
    half = sum(length for _, length in rises) / 2
    for rise, length in sorted(rises):
        half -= length
        if half <= 0:
            return rise
    return 0.0


def _height(box: Sequence[tuple[float, float]]) -> float:
    return max(y for _, y in box) - min(y for _, y in box)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), int(sys.argv[2]))
