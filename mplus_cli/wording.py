"""Numbers, sizes, times and pages as words. Knows no screen."""

from __future__ import annotations

from datetime import datetime

_UNITS = ("B", "KB", "MB", "GB", "TB")


def count(number: int, noun: str) -> str:
    """ "1 page", "2 pages"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def size(number: int) -> str:
    """Bytes, in the unit that reads best."""
    value = float(number)
    for unit in _UNITS:
        if value < 1000 or unit == _UNITS[-1]:
            return f"{value:.0f} {unit}" if value >= 100 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError("unreachable")


def moment(text: str) -> str:
    """A stored time in the user's time zone, to the minute; nothing for nothing."""
    if not text:
        return ""
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M")


def page_range(pages: tuple[int, int] | None) -> str:
    """ "p. 12" or "p. 12-13"; nothing where there are no pages."""
    if pages is None:
        return ""
    first, last = pages
    return f"p. {first}" if first == last else f"p. {first}-{last}"


def place(document: str, pages: tuple[int, int] | None) -> str:
    """A source in words: the document, and its pages where it has some."""
    where = page_range(pages)
    return f"{document}, {where}" if where else document
