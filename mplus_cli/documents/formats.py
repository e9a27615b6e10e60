"""Detects the format of a document from its bytes, whatever its name, and parses it.

The formats themselves are known to modules of their own (`pdf`, `epub`, `docx`, `markup`, `plain`), each
imported when needed: `mplus --help` must not wait for them.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mplus_cli.documents.foreign import (
    CLAIMED,
    find_foreign,
    not_an_epub,
    office_kind,
    refusal,
)
from mplus_cli.documents.model import DocumentError, Kind, Page, PageRange
from mplus_cli.documents.parts import Parts

Progress = Callable[[int, int], None]

_BY_SUFFIX: dict[str, Kind] = {
    ".pdf": "pdf",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".md": "markdown",
    ".markdown": "markdown",
    ".fb2": "fb2",
    **dict.fromkeys((".csv", ".tsv", ".tab"), "csv"),
    **dict.fromkeys((".json", ".jsonl", ".ndjson"), "json"),
    **dict.fromkeys((".srt", ".vtt"), "subtitles"),
}
_OFFICE = ("docx", "odt", "pptx")
_HTML_START = re.compile(r"<(?:!doctype\s+html|html)\b", re.IGNORECASE)


def is_plain(data: bytes, suffix: str) -> bool:
    """Whether `data` is text that needs no third-party parser."""
    return not data.startswith(b"PK") and sniff(data, suffix) in ("text", "markdown")


def parse(
    data: bytes,
    label: str,
    suffix: str,
    pages: PageRange | None,
    progress: Progress | None,
    *,
    ocr: bool = False,
) -> Parts:
    """The parts of a document. `label` is how messages call it; with `ocr`, pages of a PDF that have no
    text are recognised. Raises DocumentError."""
    parts = _parse(data, label, suffix, pages, progress, ocr=ocr)
    if parts.headings:
        return parts
    from mplus_cli.documents.headings import find_headings, markdown_headings, plain_headings
    from mplus_cli.documents.title_page import markdown_title

    text = "".join(page.text for page in parts.pages)
    if parts.kind != "markdown":
        find = plain_headings if parts.kind == "text" else find_headings
        return replace(parts, headings=find(text))
    found = markdown_headings(text)
    title, author = markdown_title(text, found)
    return replace(
        parts,
        title=parts.title or title,
        author=parts.author or author,
        headings=found or find_headings(text),
    )


def _parse(
    data: bytes,
    label: str,
    suffix: str,
    pages: PageRange | None,
    progress: Progress | None,
    *,
    ocr: bool,
) -> Parts:
    kind = sniff(data, suffix)
    if kind == "pdf":
        from mplus_cli.documents.pdf import read_pdf

        return read_pdf(data, label, pages, progress, ocr=ocr)
    if pages is not None:
        raise DocumentError(f"{label} has no page numbers: only a PDF can be read in part")
    if kind == "epub":
        from mplus_cli.documents.epub import read_epub

        if foreign := not_an_epub(data):
            raise DocumentError(refusal(foreign, label, suffix))
        return read_epub(data, label, progress)
    if kind in _OFFICE:
        return _office_parts(data, label, kind, progress)
    if foreign := find_foreign(data, suffix):
        raise DocumentError(refusal(foreign, label, suffix))
    parts = _misnamed(_text_parts(data, label, kind, suffix), label, suffix)
    if progress:
        progress(1, 1)
    return parts


def _office_parts(data: bytes, label: str, kind: Kind, progress: Progress | None) -> Parts:
    from mplus_cli.documents.docx import read_docx
    from mplus_cli.documents.odt import read_odt
    from mplus_cli.documents.pptx import read_pptx

    readers = {"docx": read_docx, "odt": read_odt, "pptx": read_pptx}
    return readers[kind](data, label, progress)


def _text_parts(data: bytes, label: str, kind: Kind, suffix: str) -> Parts:
    """All but PDF, EPUB and office documents."""
    from mplus_cli.documents.encoding import BinaryData
    from mplus_cli.documents.plain import read_markdown, read_plain

    try:
        if kind in ("html", "fb2"):
            return _markup_parts(data, kind)
        if kind == "markdown":
            return read_markdown(data)
        text = None if kind == "text" else _records(data, kind, suffix)
        if text is None:
            return read_plain(data, Path(label).stem)
        return Parts(kind, "", (Page(None, text),))
    except BinaryData:
        known = "a PDF, EPUB, DOCX, ODT, HTML, Markdown or text file"
        message = f"{label} is not text (binary data): give {known}"
        raise DocumentError(message) from None


def _markup_parts(data: bytes, kind: Kind) -> Parts:
    from mplus_cli.documents.encoding import decode
    from mplus_cli.documents.fictionbook import authorship, to_html
    from mplus_cli.documents.markup import parse_markup
    from mplus_cli.documents.metadata import author_of, date_of
    from mplus_cli.documents.web_page import read_web_page

    if kind == "html":
        found = read_web_page(data)
        authors, date = found.authors, found.date
    else:
        book = decode(data)
        found = parse_markup(to_html(book))
        authors, date = authorship(book)
    return Parts(
        kind,
        found.title,
        (Page(None, found.text),),
        headings=found.headings,
        author=author_of(authors),
        date=date_of(date),
    )


def _records(data: bytes, kind: Kind, suffix: str) -> str | None:
    """The text of a table, of data or of subtitles; None if it is none of that."""
    from mplus_cli.documents.characters import clean_characters
    from mplus_cli.documents.encoding import decode
    from mplus_cli.documents.subtitles import subtitle_text
    from mplus_cli.documents.tables import delimited_text, json_text

    text = clean_characters(decode(data))
    if kind == "subtitles":
        return subtitle_text(text)
    return json_text(text, suffix) if kind == "json" else delimited_text(text, suffix)


def _misnamed(parts: Parts, label: str, suffix: str) -> Parts:
    """`parts`, with a warning if the name says that the file is not text at all."""
    if suffix not in CLAIMED:
        return parts
    found = "a web page" if parts.kind == "html" else "text"
    claimed = suffix[1:].upper()
    warning = (
        f"{label} is not the {claimed} its name says but {found}: check that it is the right file"
    )
    return replace(parts, warnings=(*parts.warnings, warning))


def sniff(data: bytes, suffix: str) -> Kind:
    """What `data` is: by its first bytes, and where they do not tell, by the file's suffix."""
    from mplus_cli.documents.epub import is_epub

    start = data[:1024]
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"%PDF-") or b"%PDF-" in start[:32]:
        return "pdf"
    if is_epub(data):
        return "epub"
    markup = _without_prolog(_rough(data[:4096]))
    if _HTML_START.match(markup):
        return "html"
    if markup.startswith("<FictionBook"):
        return "fb2"
    if office := office_kind(data, suffix):
        return office
    if b"%PDF-" in start and (b"endobj" in data or b"\0" in start):
        return "pdf"
    if suffix == ".epub" and (start.startswith(b"PK") or b"\0" in start):
        return "epub"
    return _BY_SUFFIX.get(suffix, "text")


def _rough(start: bytes) -> str:
    """`start` well enough decoded to see markup in it, wide encodings too."""
    return start.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe").decode("latin-1")


def _without_prolog(text: str) -> str:
    """`text` without the XML declaration and the comments it begins with."""
    text = text.lstrip()
    if text[:5].lower() == "<?xml":
        text = text.partition("?>")[2].lstrip()
    while text.startswith("<!--"):
        text = text[4:].partition("-->")[2].lstrip()
    return text
