"""Reads one source into a Document: finds out what it is, whatever it is called, and reads it so.

The formats themselves are known to `pdf`, `epub`, `markup` and `plain`, each imported when needed:
`mplus --help` must not wait for them.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from mplus_cli.documents.model import Document, DocumentError, Kind, Page, PageRange, Source
from mplus_cli.documents.parts import Parts

MAX_BYTES = 1 << 30
Progress = Callable[[int, int], None]

_BY_SUFFIX: dict[str, Kind] = {
    ".pdf": "pdf",
    ".epub": "epub",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".md": "markdown",
    ".markdown": "markdown",
}
_HTML_START = re.compile(r"<(?:!doctype\s+html|html)\b", re.IGNORECASE)


def read_document(
    source: Source,
    *,
    pages: PageRange | None = None,
    title: str | None = None,
    stdin: BinaryIO | None = None,
    progress: Progress | None = None,
) -> Document:
    """Read `source` into clean text.

    `pages` selects physical pages of a PDF; `title` replaces the one the file gives itself; `stdin`
    is read where the source is stdin; `progress` is called with (done, total) parts. Raises
    DocumentError for whatever cannot be read.
    """
    data = _bytes(source, stdin)
    if not data.strip(b" \t\r\n\x0b\x0c\0"):
        raise DocumentError(f"{source.label} is empty")
    parts = _parts(data, source, pages, progress)
    if not any(page.text.strip() for page in parts.pages):
        nothing = "is empty" if parts.kind in ("text", "markdown") else "has no text in it"
        raise DocumentError(f"{source.label} {nothing}")
    return Document(
        path=source.name,
        title=(title or "").strip() or parts.title or _readable_stem(source),
        sha256=_digest(data, pages),
        kind=parts.kind,
        pages=parts.pages,
        page_count=parts.page_count,
        warnings=parts.warnings,
        headings=parts.headings,
    )


def _bytes(source: Source, stdin: BinaryIO | None) -> bytes:
    try:
        if source.path is None:
            data = (stdin or sys.stdin.buffer).read(MAX_BYTES + 1)
        else:
            with open(source.path, "rb") as file:
                data = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or error
        raise DocumentError(f"{source.label} cannot be read: {reason}") from error
    if len(data) > MAX_BYTES:
        raise DocumentError(f"{source.label} is larger than {MAX_BYTES >> 20} MiB: split it")
    return data


def _digest(data: bytes, pages: PageRange | None) -> str:
    import hashlib

    digest = hashlib.sha256(data)
    if pages is not None:
        digest.update(f"\0pages {pages}".encode())
    return digest.hexdigest()


def _parts(
    data: bytes, source: Source, pages: PageRange | None, progress: Progress | None
) -> Parts:
    suffix = source.path.suffix.lower() if source.path else ""
    kind = sniff(data, suffix)
    if kind == "pdf":
        from mplus_cli.documents.pdf import read_pdf

        return read_pdf(data, source.label, pages, progress)
    if pages is not None:
        raise DocumentError(f"{source.label} has no page numbers: only a PDF can be read in part")
    if kind == "epub":
        from mplus_cli.documents.epub import read_epub

        return read_epub(data, source.label, progress)
    parts = _text_parts(data, source, kind)
    if progress:
        progress(1, 1)
    return parts


def _text_parts(data: bytes, source: Source, kind: Kind) -> Parts:
    """HTML, Markdown or plain text."""
    from mplus_cli.documents.encoding import BinaryData
    from mplus_cli.documents.markup import markup_text
    from mplus_cli.documents.plain import read_plain

    try:
        if kind != "html":
            return read_plain(data, markdown=kind == "markdown")
        title, text = markup_text(data)
    except BinaryData:
        known = "a PDF, EPUB, HTML, Markdown or text file"
        message = f"{source.label} is not text (binary data): give {known}"
        raise DocumentError(message) from None
    return Parts("html", title, (Page(None, text),))


def sniff(data: bytes, suffix: str) -> Kind:
    """What `data` is: by its first bytes, and where they do not tell, by the file's suffix."""
    from mplus_cli.documents.epub import is_epub

    start = data[:1024]
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"%PDF-") or b"%PDF-" in start[:32]:
        return "pdf"
    if is_epub(data):
        return "epub"
    if _HTML_START.match(_without_prolog(_rough(data[:4096]))):
        return "html"
    if b"%PDF-" in start and (b"endobj" in data or b"\0" in start):
        return "pdf"
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


def _readable_stem(source: Source) -> str:
    """The file's name as a title: "king-solomons_mines.txt" gives "King Solomons Mines"."""
    from urllib.parse import unquote

    if source.path is None:
        return "stdin"
    stem = Path(unquote(source.path.name)).stem
    words = re.sub(r"[\s_]+|(?<=[^\W\d_])-(?=[^\W_])", " ", stem).strip()
    words = words.encode("utf-8", "replace").decode()
    if words.islower() and words.isascii():
        words = " ".join(word[:1].upper() + word[1:] for word in words.split(" "))
    return words or source.name
