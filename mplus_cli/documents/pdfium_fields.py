"""The contents of the form fields of a PDF page, which pdfium's page text leaves out.

Runs in the worker process.
"""

import contextlib
import ctypes
from collections.abc import Iterator
from typing import Any

_MAX_FIELDS = 2_000
_MAX_BYTES = 1 << 16
_MAX_HEIGHT = 14.0  # points: a field may be higher than the text in it


def lines(page: Any) -> list[list[Any]]:
    """A line [text, x0, x1, y, size] for each field of an open page that is filled in."""
    found: list[list[Any]] = []
    with contextlib.suppress(Exception):  # an optional extra is not a reason to lose the page
        found += _filled(page)
    return found


def _filled(page: Any) -> Iterator[list[Any]]:
    from pypdfium2 import raw

    for index in range(min(raw.FPDFPage_GetAnnotCount(page), _MAX_FIELDS)):
        field = raw.FPDFPage_GetAnnot(page, index)
        try:
            box = raw.FS_RECTF()
            is_field = raw.FPDFAnnot_GetSubtype(field) == raw.FPDF_ANNOT_WIDGET
            if not is_field or not raw.FPDFAnnot_GetRect(field, box):
                continue
            value = _string(field, b"V")
            name = _string(field, b"TU") or _string(field, b"T")
            if value and value != "Off" and box.right > box.left:
                text = f"{name}: {value}" if name else value
                size = min(abs(box.top - box.bottom), _MAX_HEIGHT) or 1.0
                yield [text, round(box.left, 2), round(box.right, 2), round(box.bottom, 2), size]
        finally:
            raw.FPDFPage_CloseAnnot(field)


def _string(field: Any, key: bytes) -> str:
    from pypdfium2 import raw

    size = min(raw.FPDFAnnot_GetStringValue(field, key, None, 0), _MAX_BYTES)
    if size <= 2:
        return ""
    buffer = ctypes.create_string_buffer(size)
    target = ctypes.cast(buffer, ctypes.POINTER(ctypes.c_ushort))
    raw.FPDFAnnot_GetStringValue(field, key, target, size)
    text = buffer.raw.decode("utf-16-le", "replace").partition("\0")[0]
    return " ".join(text.split())
