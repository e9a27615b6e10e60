"""Author and date: read from every format that has them, and never from what software puts there."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reportlab.pdfgen.canvas import Canvas

from mplus_cli.documents import Document, Source, read_document
from mplus_cli.documents.metadata import author_of, date_of
from mplus_cli.documents.pdf_worker import pdfium_messages, pypdf_messages

DC = "http://purl.org/dc/elements/1.1/"
OPF = "http://www.idpf.org/2007/opf"
Read = Callable[[str, str | bytes], Document]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads a file of these bytes, as `mplus ingest` does: in a process of its own where it must."""

    def read_bytes(name: str, data: str | bytes) -> Document:
        path = tmp_path / name
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return read_document(Source(path, name))

    return read_bytes


def epub(metadata: str) -> bytes:
    package = f"""<package xmlns="{OPF}" xmlns:opf="{OPF}"><metadata xmlns:dc="{DC}">
    <dc:title>Emma</dc:title>{metadata}</metadata>
    <manifest><item id="one" href="one.xhtml" media-type="application/xhtml+xml"/></manifest>
    <spine><itemref idref="one"/></spine></package>"""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("mimetype", "application/epub+zip")
        archive.writestr("book.opf", package)
        archive.writestr("one.xhtml", "<html><body><p>Text.</p></body></html>")
    return buffer.getvalue()


def pdf(author: str) -> bytes:
    buffer = io.BytesIO()
    canvas = Canvas(buffer)
    canvas.setAuthor(author)
    canvas.drawString(100, 500, "Some text of the book.")
    canvas.save()
    return buffer.getvalue()


def fb2(title_info: str, publish_info: str = "") -> str:
    return f"""<?xml version="1.0"?><FictionBook><description><title-info>{title_info}
    <book-title>Salt</book-title></title-info><document-info><author><nickname>maker</nickname></author>
    <date>2020</date></document-info><publish-info>{publish_info}</publish-info></description>
    <body><section><p>The ferry left.</p></section></body></FictionBook>"""


@pytest.mark.parametrize(
    ("metadata", "author", "date"),
    [
        ("", None, None),
        ("<dc:creator> Jane\n Austen</dc:creator><dc:date>1815</dc:date>", "Jane Austen", "1815"),
        ("<dc:creator>A. B.</dc:creator><dc:creator>C. D.</dc:creator>", "A. B., C. D.", None),
        ("<dc:creator>A. B.</dc:creator><dc:creator>A. B.</dc:creator>", "A. B.", None),
        (
            "<dc:creator opf:role='ill'>I. L.</dc:creator><dc:creator opf:role='aut'>A.</dc:creator>"
            "<dc:date opf:event='conversion'>2023</dc:date>"
            "<dc:date opf:event='publication'>1994-08-01</dc:date>",
            "A.",
            "1994-08-01",
        ),
        (
            "<dc:creator id='t'>T. R.</dc:creator><dc:creator id='a'>A.</dc:creator>"
            "<meta refines='#t' property='role'>trl</meta><meta refines='#a' property='role'>aut</meta>",
            "A.",
            None,
        ),
        ("<dc:creator opf:role='edt'>E. D.</dc:creator>", None, None),
        (
            "<dc:creator>Unknown</dc:creator><dc:date>0101-01-01T00:00:00+00:00</dc:date>",
            None,
            None,
        ),
    ],
)
def test_epub(read: Read, metadata: str, author: str | None, date: str | None) -> None:
    document = read("b.epub", epub(metadata))
    assert (document.author, document.date, document.text) == (author, date, "Text.")


def test_pdf(read: Read) -> None:
    document = read("b.pdf", pdf("Jane Austen"))
    assert document.author == "Jane Austen"
    assert document.date is not None
    assert 2024 <= int(document.date) < 3000
    assert read("b.pdf", pdf("Microsoft Office User")).author is None


@pytest.mark.parametrize("messages", [pdfium_messages, pypdf_messages])
def test_both_libraries_say_the_same_of_a_pdf(messages: Any) -> None:
    first = next(messages(pdf("Jane Austen"), 1, 1))
    assert (first["author"], first["date"][:2]) == ("Jane Austen", "D:")


@pytest.mark.parametrize(
    ("head", "author", "date"),
    [
        ("<title>T</title>", None, None),
        (
            "<meta name='Author' content='A. B.'><meta name=author content='C. D.'>"
            "<meta property='article:published_time' content='2021-03-04T05:06:07Z'>",
            "A. B., C. D.",
            "2021-03-04T05:06:07Z",
        ),
        (
            "<meta name='dc.creator' content='Austen, Jane'><meta name='date' content='1815'>",
            "Austen, Jane",
            "1815",
        ),
        ("<meta name='author' content=''><meta name='author'><meta name='date'>", None, None),
        ("<meta name='author' content='https://example.org/jane'>", None, None),
    ],
)
def test_html(read: Read, head: str, author: str | None, date: str | None) -> None:
    document = read("p.html", f"<html><head>{head}</head><body><p>Text.</p></body></html>")
    assert (document.author, document.date, document.text) == (author, date, "Text.")


@pytest.mark.parametrize(
    ("front", "author", "date"),
    [
        ("---\ntitle: T\n---", None, None),
        ("---\nauthor: Jane Austen\ndate: 1815-12-23\n---", "Jane Austen", "1815-12-23"),
        ("---\nauthors: ['A. B.', \"C. D.\"]\n---", "A. B., C. D.", None),
        ("---\nauthor:\n  - A. B.\n  - name: C. D.\ntags:\n  - x\n---", "A. B., C. D.", None),
        (
            '+++\nauthor = "A. B."\ndate = 2020-01-02T03:04:05Z\n+++',
            "A. B.",
            "2020-01-02T03:04:05Z",
        ),
    ],
)
def test_markdown(read: Read, front: str, author: str | None, date: str | None) -> None:
    document = read("p.md", f"{front}\n\nauthor: in the text\n")
    assert (document.author, document.date) == (author, date)
    assert document.text == "author: in the text"


@pytest.mark.parametrize(
    ("markup", "author", "date"),
    [
        (fb2(""), None, None),
        (
            fb2(
                "<author><first-name>Jane</first-name><last-name>O&apos;Hara</last-name></author>"
                "<author><nickname>Nick</nickname></author><date value='1815-12-23'>1815</date>"
                "<translator><first-name>T.</first-name></translator>"
            ),
            "Jane O'Hara, Nick",
            "1815",
        ),
        (fb2("<date value='1815-12-23'></date>"), None, "1815-12-23"),
        (fb2("", "<year>1999</year>"), None, "1999"),
    ],
)
def test_fictionbook(read: Read, markup: str, author: str | None, date: str | None) -> None:
    document = read("b.fb2", markup)
    assert (document.author, document.date) == (author, date)


START = "*** START OF THE PROJECT GUTENBERG EBOOK EMMA ***\n"


@pytest.mark.parametrize(
    ("text", "author"),
    [
        (f"Title: Emma\n\nAuthor: Jane Austen\n\n{START}Text.", "Jane Austen"),
        (
            f"Title: It\nAuthor: A. B.\n        C. D.\nLanguage: English\n{START}Text.",
            "A. B., C. D.",
        ),
        ("Title: Emma\nAuthor: Jane Austen\n\nText.", "Jane Austen"),
        ("AUTHOR: Who is there?\n\nText.", None),
        ("Author: the one who writes.\n\nText.", None),
        (f"Title: Emma\n{START}Title: Not this\nAuthor: Nor this\n", None),
    ],
)
def test_plain_text(read: Read, text: str, author: str | None) -> None:
    assert (read("b.txt", text).author, read("b.txt", text).date) == (author, None)


@pytest.mark.parametrize(
    "name",
    [
        *("", "  ", "-", "Unknown", "unknown author", "Author", "Admin", "User", "user1", "Owner"),
        *("Microsoft Word", "Microsoft Office User", "Acrobat Distiller 9.0", "pdfTeX-1.40", "HP"),
        *("calibre (6.1)", "LibreOffice 7", "C:\\Users\\x", "/home/x/book", "1234", "\ufffd\ufffd"),
    ],
)
def test_nobody(name: str) -> None:
    assert author_of([name]) is None


@pytest.mark.parametrize(
    "name",
    [
        *(
            "Jane Austen",
            "Anonymous",
            "bell hooks",
            "Tex Avery",
            "Homer",
            "村上春樹",
            "Adobe Systems",
        ),
        *("Plato", "Ann Userman", "Microsoft Corporation", "J. Wordsworth", "Owner, A. B."),
    ],
)
def test_somebody(name: str) -> None:
    assert author_of([name]) == name


def test_what_is_long_is_cut_and_stays_on_one_line() -> None:
    assert author_of(["a\nb\x1b[31m", "c" * 1000]) == "a b[31m, " + "c" * 291
    assert date_of("on 1 May\r\n" * 100) == ("on 1 May " * 100)[:100].strip()
    assert date_of("0000-00-00") is date_of("soon") is None
