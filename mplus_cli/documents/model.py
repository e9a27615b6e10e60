"""The values of this package: sources, page ranges, pages, documents, and their one error.

Independent of file formats.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mplus_cli.errors import MplusError

Kind = Literal[
    "pdf",
    "epub",
    "docx",
    "odt",
    "pptx",
    "html",
    "text",
    "markdown",
    "fb2",
    "csv",
    "json",
    "subtitles",
]

UPLOAD = "upload://"
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_RANGE = re.compile(r"(\d*)\s*(-?)\s*(\d*)", re.ASCII)


class DocumentError(MplusError):
    """A source that cannot be read. The message is one line: what is wrong and what to do."""

    def __init__(self, message: str) -> None:
        # File names may hold line ends and undecodable bytes; the message must stay one line.
        super().__init__(_UNPRINTABLE.sub("?", message))


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of a document's text.

    `number` is the physical page, from 1, of a PDF, else None. `text` ends with whatever separates
    it from the next page (a blank line, a space, or nothing inside a hyphenated word), so that the
    pages' texts one after the other are the document's text. `label` is what the file calls the
    page ("iv"), None where it calls it nothing.
    """

    number: int | None
    text: str
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Heading:
    """Where a part of a document begins: the character of its text, the depth from 1, the title."""

    start: int
    level: int
    title: str


@dataclass(frozen=True, slots=True)
class Document:
    """A source that was read.

    `path` is what the user named ("-" for stdin); `sha256` is of the raw bytes and, if one was
    made, the page selection; `page_count` is the file's, whatever was selected, and None where the
    format has no pages; `warnings` are one-line remarks on what could not be read; `headings` come
    in the order of the text. `author` and `date` are the file's own words, on one line each, and
    None where it has none; of a PDF or an office document the date is the year in which the file was made.
    """

    path: str
    title: str
    sha256: str
    kind: Kind
    pages: tuple[Page, ...]
    page_count: int | None
    warnings: tuple[str, ...]
    headings: tuple[Heading, ...] = ()
    author: str | None = None
    date: str | None = None
    address: str = ""
    """The key a memory knows it by; `path` if empty."""

    @property
    def text(self) -> str:
        """The cleaned text of all pages."""
        return "".join(page.text for page in self.pages)


@dataclass(frozen=True, slots=True)
class Source:
    """Something to read: a file, or stdin where `path` is None. `name` is what the user said."""

    path: Path | None
    name: str
    uploaded: bool = False
    """Whether a server was sent it: then `name` is not a path here."""

    @property
    def address(self) -> str:
        """What a memory knows it by: no upload has that of a file."""
        return f"{UPLOAD}{self.name}" if self.uploaded else self.name

    @property
    def label(self) -> str:
        """Its name in messages."""
        return self.name if self.path is not None else "standard input"


@dataclass(frozen=True, slots=True)
class PageRange:
    """Physical pages `first` to `last`, from 1, both included; None is the first or last."""

    first: int | None
    last: int | None

    @classmethod
    def parse(cls, text: str) -> "PageRange":
        """Read "A-B", "A-", "-B" or "7"; anything else is a DocumentError."""
        match = _RANGE.fullmatch(text.strip())
        first, dash, last = match.groups() if match else ("", "", "")
        if not (first or last) or max(len(first), len(last)) > 9:
            raise DocumentError(f"page range {text!r} is not understood: write A-B, A-, -B or A")
        start = int(first) if first else None
        end = int(last) if last else (None if dash else start)
        if start == 0 or end == 0:
            raise DocumentError(f"page range {text!r} starts at page 0: pages count from 1")
        if start is not None and end is not None and end < start:
            raise DocumentError(f"page range {text!r} is backwards: write {end}-{start}")
        return cls(start, end)

    def within(self, page_count: int) -> tuple[int, int]:
        """The pages meant in a document of `page_count`, ValueError if some are not there."""
        first = self.first or 1
        last = self.last or page_count
        if not 1 <= first <= last <= page_count:
            raise ValueError(f"pages {self} of {page_count}")
        return first, last

    def __str__(self) -> str:
        if self.first == self.last:
            return str(self.first)
        return f"{self.first or ''}-{self.last or ''}"
