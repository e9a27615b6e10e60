"""Parts of real files: their pages and chapters as each format records them."""

from __future__ import annotations

import html
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mplus_cli.asking.parts import find_part
from mplus_cli.documents import Source, read_document
from mplus_cli.documents.chunks import split_chunks
from mplus_cli.english.headings import of_kind
from mplus_cli.library import ChunkRow
from mplus_cli.library.outline import outline

STORY = Path(__file__).resolve().parents[2] / "examples" / "story"
TITLE = "The Bell That Answered"
FRONT = ("Preface", "I wrote this for all who listen, and for the goat.")


class Words:
    """A tokenizer whose tokens are words."""

    def encode(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        spans = [found.span() for found in re.finditer(r"\s*\S+(?:\s*$)?", text)]
        return list(range(len(spans))), spans


def chunks(file: Path) -> list[ChunkRow]:
    document = read_document(Source(file, str(file)))
    return [
        ChunkRow(
            *(chunk.text, len(chunk.ids), *(chunk.pages or (None, None)), chunk.place),
            number=chunk.index,
            document_id=1,
            document_title=document.title,
            document_path=str(file),
            position=chunk.index,
        )
        for chunk in split_chunks(document, Words(), 400)
    ]


def story() -> list[tuple[str, str]]:
    """Titles and texts of its chapters, behind a preface."""
    parts = re.split(
        r"^## \d+\. (.+)$", (STORY / "story.md").read_text("utf-8"), flags=re.MULTILINE
    )
    return [FRONT, *zip(parts[1::2], parts[2::2], strict=True)]


def epub(file: Path, version: int) -> None:
    """Chapters without a number, as the table of contents has them."""
    media = "application/xhtml+xml"
    spaces = 'xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops"'
    names = [f"c{number}.xhtml" for number in range(len(story()))]
    titles = [html.escape(title) for title, _ in story()]
    items = "".join(f'<item id="{n}" href="{n}" media-type="{media}"/>' for n in names)
    entries = list(zip(names, titles, strict=True))
    if version == 2:
        points = "".join(
            f'<navPoint><navLabel><text>{title}</text></navLabel><content src="{name}"/></navPoint>'
            for name, title in entries
        )
        space = "http://www.daisy.org/z3986/2005/ncx/"
        contents = ("toc.ncx", f'<ncx xmlns="{space}"><navMap>{points}</navMap></ncx>')
        items += '<item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/>'
    else:
        links = "".join(f'<li><a href="{name}">{title}</a></li>' for name, title in entries)
        nav = f'<nav epub:type="toc"><ol>{links}</ol></nav>'
        contents = ("nav.xhtml", f"<html {spaces}><body>{nav}</body></html>")
        items += f'<item id="nav" href="nav.xhtml" properties="nav" media-type="{media}"/>'
    spine = "".join(f'<itemref idref="{name}"/>' for name in names)
    container = "urn:oasis:names:tc:opendocument:xmlns:container"
    with zipfile.ZipFile(file, "w") as book:
        book.writestr("mimetype", "application/epub+zip")
        book.writestr(
            "META-INF/container.xml",
            f'<container xmlns="{container}" version="1.0"><rootfiles><rootfile full-path="b.opf" '
            'media-type="application/oebps-package+xml"/></rootfiles></container>',
        )
        book.writestr(
            "b.opf",
            f'<package xmlns="http://www.idpf.org/2007/opf" version="{version}.0"><metadata '
            f'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{TITLE}</dc:title></metadata>'
            f'<manifest>{items}</manifest><spine toc="ncx">{spine}</spine></package>',
        )
        book.writestr(*contents)
        for name, (title, text) in zip(names, story(), strict=True):
            body = f"<h1>{html.escape(title)}</h1><p>{html.escape(text)}</p>"
            book.writestr(name, f"<html {spaces}><body>{body}</body></html>")


def web(file: Path) -> None:
    parts = (f"<h2>{html.escape(t)}</h2><p>{html.escape(text)}</p>" for t, text in story())
    file.write_text(
        f"<!doctype html><title>{TITLE}</title><h1>{TITLE}</h1>{''.join(parts)}", "utf-8"
    )


def gutenberg(file: Path) -> None:
    """With a list of contents, whose lines are no chapters."""
    titles = [title.upper() for title, _ in story()]
    named = ["PREFACE", *(f"CHAPTER {n}. {title}" for n, title in enumerate(titles[1:], 1))]
    texts = [text for _, text in story()]
    body = "\n\n\n".join(f"{name}\n\n{text}" for name, text in zip(named, texts, strict=True))
    mark = f"*** {{}} OF THE PROJECT GUTENBERG EBOOK {TITLE.upper()} ***"
    listed = "\n".join(named)
    file.write_text(
        f"Title: {TITLE}\n\n{mark.format('START')}\n\n\n{TITLE}\n\nCONTENTS\n\n{listed}\n\n\n{body}\n\n"
        f"{mark.format('END')}\n",
        "utf-8",
    )


def labelled(file: Path) -> None:
    """The story's PDF with its first two pages numbered i and ii."""
    from pypdf import PdfWriter
    from pypdf.constants import PageLabelStyle

    writer = PdfWriter(clone_from=STORY / "story.pdf")
    writer.set_page_label(0, 1, style=PageLabelStyle.LOWERCASE_ROMAN)
    writer.set_page_label(2, len(writer.pages) - 1, style=PageLabelStyle.DECIMAL, start=1)
    writer.write(file)


FILES: dict[str, Callable[[Path], object]] = {
    "two.epub": lambda file: epub(file, 2),
    "three.epub": lambda file: epub(file, 3),
    "page.html": web,
    "book.txt": gutenberg,
    "book.md": lambda file: file.write_bytes((STORY / "story.md").read_bytes()),
    "book.pdf": labelled,
}
BEGINNINGS = {
    "Who sings in the first chapter?": "Ottoline Brask had tuned bells",
    "Who sings in the third chapter?": "She was found the next morning",
    "Who sings in the last chapter?": "name was Amabel Strand",
    "Who sings in the penultimate chapter?": "For about as long as it takes",
}


@pytest.mark.parametrize("name", FILES)
def test_chapters_of_every_format(name: str, tmp_path: Path) -> None:
    FILES[name](tmp_path / name)
    rows = chunks(tmp_path / name)
    found = outline(row.place for row in rows)
    assert found.is_complete
    assert len(of_kind("chapter", found.sections)) == 16
    for question, beginning in BEGINNINGS.items():
        part = find_part(question, rows)
        assert part is not None
        number, (start, _) = next(iter(part.spans.items()))
        following = "".join(row.text for row in rows if row.number > number)[:200]
        assert beginning in rows[number].text[start : start + 200] + following, question
    has_preface = name not in ("book.md", "book.pdf")
    part = find_part("Who listens in the preface?", rows)
    assert part is not None and bool(part.spans) == has_preface
    if has_preface:
        ((number, span),) = part.spans.items()
        assert FRONT[1] in rows[number].text[slice(*span)]


def test_pages_of_a_pdf_with_labels(tmp_path: Path) -> None:
    labelled(tmp_path / "book.pdf")
    rows = chunks(tmp_path / "book.pdf")
    same = {
        "Who sings on page ii?": "Who sings on the second page?",
        "Who sings on page 1?": "Who sings on the third page?",
        "Who sings on page 50?": "Who sings on the last page?",
    }
    for label, order in same.items():
        one, other = find_part(label, rows), find_part(order, rows)
        assert one is not None and other is not None
        assert one.spans == other.spans and one.spans
