"""Build ``story.epub`` from ``story.md``: an EPUB 3 with a table of contents, a chapter a file.

The same text always gives the same bytes: nothing is compressed, and all files have one date.
Run ``python build_epub.py`` to rebuild the file beside this script.
"""

import html
import zipfile
from pathlib import Path

from build_pdf import AUTHOR, SOURCE, Book, parse_book, typeset

TARGET = SOURCE.with_suffix(".epub")
XHTML = "application/xhtml+xml"
SPACES = 'xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops" lang="en"'
CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0"><rootfiles>'
    '<rootfile full-path="book.opf" media-type="application/oebps-package+xml"/>'
    "</rootfiles></container>"
)


def files(book: Book) -> dict[str, str]:
    """The files of the EPUB, in order."""
    names = [f"chapter-{chapter.number}.xhtml" for chapter in book.chapters]
    titles = [f"{chapter.number}. {html.escape(chapter.title)}" for chapter in book.chapters]
    links = "".join(
        f'<li><a href="{name}">{title}</a></li>' for name, title in zip(names, titles, strict=True)
    )
    items = "".join(
        f'<item id="c{n}" href="{name}" media-type="{XHTML}"/>' for n, name in enumerate(names)
    )
    spine = "".join(f'<itemref idref="c{n}"/>' for n in range(len(names)))
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id">'
        '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:identifier id="id">mplus-story'
        f"</dc:identifier><dc:title>{html.escape(book.title)}</dc:title><dc:creator>{AUTHOR}"
        "</dc:creator><dc:language>en-GB</dc:language></metadata><manifest>"
        f'<item id="nav" href="nav.xhtml" properties="nav" media-type="{XHTML}"/>{items}</manifest>'
        f"<spine>{spine}</spine></package>"
    )
    chapters = {
        name: page(title, f"<h1>{title}</h1>" + "".join(map(paragraph, chapter.paragraphs)))
        for name, title, chapter in zip(names, titles, book.chapters, strict=True)
    }
    return {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": CONTAINER,
        "book.opf": package,
        "nav.xhtml": page("Contents", f'<nav epub:type="toc"><ol>{links}</ol></nav>'),
        **chapters,
    }


def paragraph(text: str) -> str:
    """A paragraph of the story as XHTML."""
    return f"<p>{typeset(text)}</p>"


def page(title: str, body: str) -> str:
    """A file of XHTML."""
    return f"<html {SPACES}><head><title>{title}</title></head><body>{body}</body></html>"


def build(source: Path = SOURCE, target: Path = TARGET) -> None:
    """Write the EPUB of the story in ``source`` to ``target``."""
    with zipfile.ZipFile(target, "w") as archive:
        for name, text in files(parse_book(source.read_text(encoding="utf-8"))).items():
            archive.writestr(zipfile.ZipInfo(name), text)


if __name__ == "__main__":
    build()
