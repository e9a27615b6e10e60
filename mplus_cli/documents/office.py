"""Paragraphs, lists, tables and notes of an office document as text with headings and pages.

Shared by DOCX, ODT and PPTX. Independent of XML: the readers of the formats report what begins and ends.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from mplus_cli.documents.characters import SOFT_HYPHEN, clean_characters
from mplus_cli.documents.model import Heading, Page

PAGE = "\f"
"""Inside a text: a page begins here. XML cannot hold this character."""
_SPACES = re.compile(r"[^\S\n\f]+")
_AROUND_LINE_ENDS = re.compile(r" ?\n[ \n]*")
_MAX_TITLE = 500  # characters of a heading


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph. `level`: of a heading, from 1, else 0. `group`: lines of one list or table have the
    same, and stand close together; 0 is none."""

    text: str
    level: int = 0
    group: int = 0


@dataclass(slots=True)
class Paragraph:
    """A paragraph that is being read; `behind` is what stands after it: notes, text boxes."""

    pieces: list[str] = field(default_factory=list)
    level: int = 0
    label: str = ""
    """The number or mark of a list's item."""
    hidden: bool = False
    runs_on: bool = False
    """Whether its end was deleted, so that the next one goes on with it."""
    style: str = ""
    behind: list[Block] = field(default_factory=list)


class Body:
    """Collects blocks in the order of reading. What is open is closed in the reverse order."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.titles: list[str] = []
        self._sinks = [self.blocks]
        self._paragraphs: list[Paragraph] = []
        self._rows: list[list[list[Block]]] = []
        self._behind_table: list[Block] = []
        self._tables = 0
        self._unended = ""
        self._page_by = ""  # what made the page that has no text yet, as told to `begin_page`

    @property
    def paragraph(self) -> Paragraph | None:
        """The innermost one that is open."""
        return self._paragraphs[-1] if self._paragraphs else None

    def open_paragraph(self) -> Paragraph:
        self._paragraphs.append(Paragraph([self._unended] if self._unended else []))
        self._unended = ""
        return self._paragraphs[-1]

    def write(self, text: str) -> None:
        """Text of the paragraph that is open; elsewhere it is the white space between elements."""
        if self._paragraphs:
            self._paragraphs[-1].pieces.append(text)
            if self._page_by and not text.isspace():
                self._page_by = ""

    def begin_page(self, by: str) -> None:
        """A page begins here, unless another sign has just said so."""
        if self._page_by not in ("", by):
            return
        self._page_by = by
        if self._paragraphs:
            self._paragraphs[-1].pieces.append(PAGE)
        else:
            self._unended += PAGE  # in the next paragraph

    def close_paragraph(self) -> None:
        paragraph = self._paragraphs.pop()
        text = "" if paragraph.hidden else _flowed("".join(paragraph.pieces))
        if paragraph.runs_on:
            self._unended += text
        elif text:
            if paragraph.style == "title" and text.strip(PAGE):
                self.titles.append(" ".join(text.split()))
            label = f"{paragraph.label} " if paragraph.label and text.strip(PAGE) else ""
            starts = len(text) - len(text.lstrip(PAGE))
            text = text[:starts] + label + text[starts:]
            self.add([Block(text, paragraph.level, -1 if label and not paragraph.level else 0)])
        if self._rows:
            self._behind_table += paragraph.behind
        else:
            self.add(paragraph.behind)

    def open_sink(self) -> None:
        """What follows is not part of the text around it, until `close_sink` hands it out."""
        self._sinks.append([])

    def close_sink(self) -> list[Block]:
        return self._sinks.pop()

    def open_table(self) -> None:
        self._tables += 1

    def open_row(self) -> None:
        self._rows.append([])

    def open_cell(self) -> None:
        self.open_sink()

    def close_cell(self) -> None:
        cell = self.close_sink()
        if self._rows:
            self._rows[-1].append(cell)

    def close_row(self, *, hidden: bool = False) -> None:
        """A row becomes a line; one of a single cell may hold paragraphs like any other text."""
        cells = self._rows.pop()
        if hidden or not any(cells):
            return
        if len(cells) == 1 and (len(cells[0]) > 1 or cells[0][0].level):
            self.add(cells[0])
        else:
            texts = [" ".join(block.text for block in cell) for cell in cells]
            self.add([Block(" | ".join(texts).strip(" |"), group=self._tables)])

    def close_table(self) -> None:
        if not self._rows:
            self.add(self._behind_table)
            self._behind_table = []

    def add(self, blocks: Sequence[Block]) -> None:
        """Blocks that were read apart."""
        self._sinks[-1].extend(blocks)

    def finish(self) -> list[Block]:
        """All that was read."""
        if self._unended:
            self.add([Block(self._unended)])
            self._unended = ""
        return self.blocks


def to_pages(
    blocks: Sequence[Block], page_count: int | None
) -> tuple[tuple[Page, ...], tuple[Heading, ...], bool]:
    """The pages and the headings of blocks, and whether the pages are the document's own.

    Where pages begin is known only if there are as many as the program counted that laid the
    document out: `page_count`. Otherwise all text is one page without a number.
    """
    pieces: list[str] = []
    headings: list[Heading] = []
    length = 0  # without the marks of pages
    waiting = ""  # marks of pages that begin before the next text
    before: Block | None = None
    for block in blocks:
        plain = block.text.replace(PAGE, "")
        if not plain:
            waiting += block.text
            continue
        if before is not None:
            pieces.append("\n" if before.group == block.group != 0 else "\n\n")
            length += len(pieces[-1])
        if block.level:
            title = " ".join(plain[:_MAX_TITLE].split())
            headings.append(Heading(length, block.level, title))
        pieces += [waiting, block.text]
        length += len(plain)
        waiting = ""
        before = block
    text = "".join(pieces) + waiting
    texts = text.split(PAGE)
    if len(texts) > 1 and len(texts) == page_count:
        pages = tuple(Page(number, page) for number, page in enumerate(texts, start=1))
        return pages, tuple(headings), True
    return (Page(None, text.replace(PAGE, "")),), tuple(headings), False


def _flowed(text: str) -> str:
    """Clean text of a paragraph, with single spaces; marks of pages stay."""
    parts = [clean_characters(part).replace(SOFT_HYPHEN, "") for part in text.split(PAGE)]
    text = _SPACES.sub(" ", PAGE.join(parts))
    return _AROUND_LINE_ENDS.sub("\n", text).strip(" \n")
