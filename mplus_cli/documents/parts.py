"""What a reader of one format hands back; `reading` makes the Document of it."""

from dataclasses import dataclass

from mplus_cli.documents.model import Heading, Kind, Page


@dataclass(frozen=True, slots=True)
class Parts:
    """The format's name, the title the file gives itself ("" if none), pages and so on.

    `author` and `date` are what `metadata` leaves of those the file states; `recognised` counts the pages
    that were read by OCR.
    """

    kind: Kind
    title: str
    pages: tuple[Page, ...]
    page_count: int | None = None
    warnings: tuple[str, ...] = ()
    headings: tuple[Heading, ...] = ()
    author: str | None = None
    date: str | None = None
    recognised: int = 0
