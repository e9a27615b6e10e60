"""Cleans the title, author and date that a file states. Independent of file formats."""

import re
from collections.abc import Iterable

from mplus_cli.documents.characters import clean_characters

_MAX_TITLE, _MAX_AUTHOR, _MAX_DATE = 200, 300, 100
_NEVER = "0101-01-01"  # what one well-known program writes where it knows no date
_NOBODY = re.compile(
    r"[\W\d_]*"
    r"|(?:unknown|anon|none|null|nil|n/a|untitled|authors?|unknown authors?|the authors?|by)\W*"
    r"|(?:default|your name|name|user|username|owner|admin|administrator|root|guest|student)[\W\d]*"
    r"|.*[\ufffd\ue000-\uf8ff].*|(?:file|https?):.*|.*[\\/].*[\\/].*",
    re.I | re.S,
)
_SOFTWARE = re.compile(
    r"\b(?:(?:microsoft|ms) (?:office|word|powerpoint|excel|publisher)|acrobat|distiller|indesign"
    r"|framemaker|quarkxpress|(?:libre|open)office|ghostscript|(?:pdf|xe|lua)(?:la)?tex|latex|pandoc"
    r"|calibre \(?\d|calibre-?ebook|wkhtmltopdf|chromium|skia/pdf|itext|reportlab|pdfium|fpdf"
    r"|scansnap|canon ir|python-(?:docx|pptx)|docx4j|apache poi)\b"
    r"|^(?:hp|dell|lenovo|acer|asus|toshiba|compaq|xerox|writer|word|winword|calibre)\W*$",
    re.I,
)
_YEAR = re.compile(r"\s*(?:D:)?(\d{4})", re.ASCII)
_PRODUCER_PREFIX = re.compile(r"^(?:microsoft (?:word|powerpoint)|untitled|powerpoint) ?- ?", re.I)
_NO_TITLE = re.compile(
    r"(?:untitled|no title|title|unknown|none|null|document|doc|book|layout|slide|presentation)"
    r"[\s\d]*|word document|powerpoint presentation"
    r"|.*\.(?:docx?|pdf|indd|qxd|qxp|tex|dvi|ps|rtf|odt|pptx?|xlsx?|p65|fm|txt|html?)"
    r"|.*[\\/].*[\\/].*|[\W\d_]*|.*[\ufffd\ue000-\uf8ff].*|(?:file|https?):.*",
    re.I | re.S,
)


def sane_title(title: str) -> str:
    """A title from a file's metadata, or "" if software filled it in by default."""
    title = " ".join(clean_characters(title).split())
    title = _PRODUCER_PREFIX.sub("", title).strip()
    if len(title) > _MAX_TITLE or _NO_TITLE.fullmatch(title):
        return ""
    return title


def author_of(names: Iterable[str]) -> str | None:
    """Names as one line, each once, in up to 300 characters; None if no name is left.

    Left out are what stands where nobody was named, and the names of software.
    """
    kept: dict[str, None] = {}
    for name in names:
        name = _line(name, _MAX_AUTHOR)
        if not _NOBODY.fullmatch(name) and not _SOFTWARE.search(name):
            kept[name] = None
    return _line(", ".join(kept), _MAX_AUTHOR) or None


def date_of(text: str) -> str | None:
    """A date as the file writes it, on one line, in up to 100 characters; None if it has no number."""
    line = _line(text, _MAX_DATE)
    told = any(character.isdigit() and character != "0" for character in line)
    return line if told and not line.startswith(_NEVER) else None


def year_of(date: str) -> str | None:
    """The year of the date of a PDF or an office document, None if it is implausible: a year before 1990
    comes from a clock that was not set."""
    match = _YEAR.match(date)
    return match[1] if match and int(match[1]) >= 1990 else None


def _line(text: str, most: int) -> str:
    return " ".join(clean_characters(text[: 4 * most]).split())[:most].strip()
