"""Build ``story.pdf`` from ``story.md`` with ReportLab.

The same text always gives the same bytes: ReportLab runs in its invariant mode, only the
standard fonts are used, and the page streams are left uncompressed, so that no compression
library can make a difference.  The number printed at the foot of a page is the physical number
of that page in the file, and the title page counts as page 1.

Run ``python build_pdf.py`` to rebuild the file beside this script, or give another path to
write to.  ReportLab is needed for building only, never for reading the book.
"""

import argparse
import html
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reportlab.lib.enums import TA_CENTER, TA_JUSTIFY
from reportlab.lib.pagesizes import A5
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    Frame,
    NextPageTemplate,
    PageBreak,
    PageTemplate,
    Paragraph,
    Spacer,
)

HERE = Path(__file__).resolve().parent
SOURCE = HERE / "story.md"
TARGET = HERE / "story.pdf"
AUTHOR = "The mplus authors"

PAGE_WIDTH, PAGE_HEIGHT = A5
SIDE_MARGIN = 19 * mm
TOP_MARGIN = 22 * mm
BOTTOM_MARGIN = 21 * mm
HEAD_HEIGHT = PAGE_HEIGHT - 14 * mm
FOOT_HEIGHT = 11 * mm

TITLE_STYLE = ParagraphStyle(
    "title", fontName="Times-Bold", fontSize=27, leading=33, alignment=TA_CENTER, spaceAfter=8 * mm
)
AUTHOR_STYLE = ParagraphStyle(
    "author", fontName="Times-Italic", fontSize=13, leading=17, alignment=TA_CENTER
)
NOTICE_STYLE = ParagraphStyle(
    "notice", fontName="Times-Roman", fontSize=8.5, leading=11, alignment=TA_CENTER
)
NUMBER_STYLE = ParagraphStyle(
    "number", fontName="Times-Roman", fontSize=11, leading=14, alignment=TA_CENTER
)
CHAPTER_STYLE = ParagraphStyle(
    "chapter",
    fontName="Times-Bold",
    fontSize=17,
    leading=21,
    alignment=TA_CENTER,
    spaceBefore=1.5 * mm,
    spaceAfter=9 * mm,
)
BODY_STYLE = ParagraphStyle(
    "body",
    fontName="Times-Roman",
    fontSize=11.5,
    leading=15.2,
    alignment=TA_JUSTIFY,
    firstLineIndent=5 * mm,
    hyphenationLang="",
    embeddedHyphenation=0,
    splitLongWords=0,
    allowWidows=0,
    allowOrphans=0,
)
FIRST_STYLE = ParagraphStyle("first", parent=BODY_STYLE, firstLineIndent=0)


@dataclass(frozen=True)
class Chapter:
    """One chapter: its number, its title and its paragraphs in Markdown."""

    number: int
    title: str
    paragraphs: tuple[str, ...]


@dataclass(frozen=True)
class Book:
    """The whole story: its title and its chapters in order."""

    title: str
    chapters: tuple[Chapter, ...]


def parse_book(text: str) -> Book:
    """Read the Markdown of the story: one ``#`` title, then ``## N. Title`` chapters."""
    title = ""
    chapters: list[Chapter] = []
    for block in re.split(r"\n\s*\n", text.strip()):
        line = " ".join(block.split())
        heading = re.fullmatch(r"## (\d+)\. (.+)", line)
        if heading:
            chapters.append(Chapter(int(heading[1]), heading[2], ()))
        elif line.startswith("# "):
            title = line[2:]
        elif chapters:
            last = chapters[-1]
            chapters[-1] = Chapter(last.number, last.title, (*last.paragraphs, line))
        else:
            raise ValueError(f"text before the first chapter: {line[:60]!r}")
    if not title or not chapters:
        raise ValueError("the story needs a title and at least one chapter")
    return Book(title, tuple(chapters))


def typeset(text: str) -> str:
    """Turn one Markdown paragraph into ReportLab markup with curly quotation marks."""
    text = re.sub(r'(^|[\s(*\u2014])"', "\\1\u201c", text)
    text = text.replace('"', "\u201d")
    text = re.sub(r"(^|[\s(*\u2014\u201c])'", "\\1\u2018", text)
    text = text.replace("'", "\u2019")
    text = html.escape(text, quote=False)
    return re.sub(r"\*([^*]+)\*", r"<i>\1</i>", text)


class ChapterHeading(Paragraph):  # type: ignore[misc]
    """A chapter title which also sets the running head and adds an outline entry."""

    def __init__(self, chapter: Chapter) -> None:
        """Keep the chapter and lay out its title."""
        super().__init__(typeset(chapter.title), CHAPTER_STYLE)
        self.chapter = chapter


class StoryDocument(BaseDocTemplate):  # type: ignore[misc]
    """The page layout of the book: a title page, chapter openings and text pages."""

    def __init__(self, path: Path, book: Book) -> None:
        """Prepare the page templates for ``book``, to be written to ``path``."""
        super().__init__(
            str(path),
            pagesize=A5,
            title=book.title,
            author=AUTHOR,
            creator="mplus",
            subject="The example book of mplus",
            lang="en-GB",
            invariant=1,
            pageCompression=0,
        )
        self.book = book
        self.chapter_title = ""
        frame = Frame(
            SIDE_MARGIN,
            BOTTOM_MARGIN,
            PAGE_WIDTH - 2 * SIDE_MARGIN,
            PAGE_HEIGHT - TOP_MARGIN - BOTTOM_MARGIN,
            leftPadding=0,
            rightPadding=0,
            topPadding=0,
            bottomPadding=0,
        )
        self.addPageTemplates(
            [
                PageTemplate("title", [frame]),
                PageTemplate("opening", [frame], onPageEnd=self.draw_foot),
                PageTemplate("text", [frame], onPageEnd=self.draw_head_and_foot),
            ]
        )

    def afterFlowable(self, flowable: Any) -> None:
        """Note the chapter that has begun, for the running head and the outline."""
        if isinstance(flowable, ChapterHeading):
            chapter = flowable.chapter
            self.chapter_title = chapter.title
            key = f"chapter-{chapter.number}"
            self.canv.bookmarkPage(key)
            self.canv.addOutlineEntry(f"{chapter.number}. {chapter.title}", key)

    def draw_foot(self, canvas: Canvas, _document: BaseDocTemplate) -> None:
        """Print the page number at the foot."""
        canvas.saveState()
        canvas.setFont("Times-Roman", 9.5)
        canvas.drawCentredString(PAGE_WIDTH / 2, FOOT_HEIGHT, str(canvas.getPageNumber()))
        canvas.restoreState()

    def draw_head_and_foot(self, canvas: Canvas, document: BaseDocTemplate) -> None:
        """Print the running head (book on even pages, chapter on odd ones) and the foot."""
        canvas.saveState()
        canvas.setFont("Times-Italic", 9.5)
        head = self.chapter_title if canvas.getPageNumber() % 2 else self.book.title
        canvas.drawCentredString(PAGE_WIDTH / 2, HEAD_HEIGHT, head)
        canvas.restoreState()
        self.draw_foot(canvas, document)


def flow(book: Book) -> list[Any]:
    """Return the whole book as a list of ReportLab flowables."""
    items: list[Any] = [
        Spacer(1, 46 * mm),
        Paragraph(typeset(book.title), TITLE_STYLE),
        Paragraph(AUTHOR, AUTHOR_STYLE),
        Spacer(1, 68 * mm),
        Paragraph("The example book of mplus. Licensed under Apache-2.0.", NOTICE_STYLE),
    ]
    for chapter in book.chapters:
        items += [
            NextPageTemplate("opening"),
            PageBreak(),
            NextPageTemplate("text"),
            Spacer(1, 14 * mm),
            Paragraph(f"Chapter {chapter.number}", NUMBER_STYLE),
            ChapterHeading(chapter),
        ]
        for index, paragraph in enumerate(chapter.paragraphs):
            items.append(Paragraph(typeset(paragraph), BODY_STYLE if index else FIRST_STYLE))
    return items


def build(source: Path = SOURCE, target: Path = TARGET) -> None:
    """Write the PDF of the story in ``source`` to ``target``."""
    book = parse_book(source.read_text(encoding="utf-8"))
    StoryDocument(target, book).build(flow(book))


def main() -> None:
    """Build the PDF from the command line."""
    parser = argparse.ArgumentParser(description="Build the PDF of the example story.")
    parser.add_argument("target", nargs="?", type=Path, default=TARGET, help="PDF to write")
    build(target=parser.parse_args().target)


if __name__ == "__main__":
    main()
