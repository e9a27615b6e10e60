"""Numbers, sizes, times and pages as words. Prints nothing."""

from __future__ import annotations

import re
from datetime import datetime

from models.prompts import REFUSAL
from mplus_cli.place import Place

MEGABYTE = 1_000_000
_UNITS = ("B", "KB", "MB", "GB", "TB")


_SPACE = re.compile(r"\s+")

NO_ANSWER = "No clear answer found in the text."
"""Where a reader would answer, but is too likely to be wrong."""
SILENT = "The text does not seem to say."
"""Where no reader would answer: one may still have overlooked it, so this claims less than `REFUSAL`."""
WHAT_TO_ASK = (
    "mplus answers questions from the text it has read: ask about a person, a place, a thing or an "
    "event in it."
)
"""The reply to small talk."""
NOT_SURE = "Not sure of this answer"
NEAREST = "Nearest in the text:"
BEGINNING = "It begins:"


def answer_text(answer: str, reason: str) -> str:
    """An answer as it is shown: where none is given, that is said in its place."""
    if reason == "unsure":
        return NO_ANSWER
    return SILENT if answer == REFUSAL else answer


def excerpt(text: str, start: int, stop: int) -> str:
    """A part of a text as it is quoted: a line a paragraph, item or verse, and single spaces in each.

    A line that goes on in lower case is no new one.
    """

    def space(match: re.Match[str]) -> str:
        behind = start + match.end()
        goes_on = text[behind : behind + 1].islower() and "\n\n" not in match[0]
        return "\n" if "\n" in match[0] and not goes_on else " "

    return _SPACE.sub(space, text[start:stop])


def count(number: int, noun: str) -> str:
    """ "1 page", "2 pages"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def size(number: int) -> str:
    """Bytes, in the unit that reads best: 1 KB is 1000 bytes, here and in every option."""
    value = float(number)
    for unit in _UNITS:
        if value < 1000 or unit == _UNITS[-1]:
            return f"{value:.0f} {unit}" if value >= 100 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError("unreachable")


def moment(text: str) -> str:
    """A stored time in the user's time zone, to the minute; empty if there is none."""
    if not text:
        return ""
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M")


def page_range(pages: tuple[int, int] | None) -> str:
    """ "p. 12" or "p. 12-13"; empty if there are no pages."""
    if pages is None:
        return ""
    first, last = pages
    return f"p. {first}" if first == last else f"p. {first}-{last}"


def place(document: str, pages: tuple[int, int] | None, where: Place | None = None) -> str:
    """A source in words: `Walden, "Winter Animals", at 64 %`, `Book, p. iv (4), "Part 2 > Chapter 7"`.

    The document, its pages or how far into the document it begins, and its section.
    """
    parts = [document, labelled_pages(pages, where)]
    section = where.section if where else ()
    if section[1:] and section[0] == document:  # a web page's first heading is its title
        section = section[1:]
    if section:
        parts.append(f'"{" > ".join(section)}"')
    if where and pages is None and where.end - where.start < 1:
        parts.append(f"at {int(100 * where.start + 0.5)} %")
    return ", ".join(part for part in parts if part)


def labelled_pages(pages: tuple[int, int] | None, where: Place | None) -> str:
    """ "p. 12-13", and "p. iv (4)" if the label of a page is not its number."""
    numbers = page_range(pages)
    if pages is None or where is None or where.labels is None:
        return numbers
    if where.labels == (str(pages[0]), str(pages[1])):
        return numbers
    first, last = where.labels
    labels = first if pages[0] == pages[1] else f"{first}-{last}"
    return f"p. {labels} ({numbers.removeprefix('p. ')})"


def reading_cost(chunks: int, tokens: int, pace: float | None) -> str:
    """What reading takes: "1,200 tokens, 3 chunks, about 4 min", the time where `pace`, the seconds that a
    token takes, is known."""
    size = f"{count(tokens, 'token')}, {count(chunks, 'chunk')}"
    return size if pace is None else f"{size}, about {duration(tokens * pace)}"


def duration(seconds: float | None) -> str:
    """ "40 s", "3 min", "2 h 10 min"; nothing for nothing."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
