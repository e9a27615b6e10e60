"""The process that opens a PDF: `python -m mplus_cli.documents.pdf_worker ENGINE FIRST LAST`.

Reads the file from stdin and writes one JSON object a line to stdout: first {"count", "title",
"author", "date", "outline"} or {"failed": "encrypted" | "damaged" | "missing"}, then for each page
{"page", "lines", "label"} or {"page", "error"}. An outline has [level, title, page] of each bookmark; a
line is [text] or [text, x0, x1, y, size], or has the [text, x0, x1] of its pieces behind that, where wide
gaps divide it.
It runs apart because PDF libraries can crash or loop on hostile files, which only a process boundary
contains. It cleans nothing.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from mplus_cli.documents import pdfium_lines, worker
from mplus_cli.documents.pdf_mending import mended

_MAX_PAGE_CHARACTERS = 2_000_000
_MEMORY_BYTES = 1 << 30  # and four times the file
_CPU_SECONDS = 3600  # for a process whose parent was killed
_MAX_BOOKMARKS = 20_000
_MAX_TITLE, _MAX_LABEL, _MAX_METADATA = 500, 40, 2000
_PASSWORD_ERRORS = (4, 5)  # pdfium's: wrong password, unknown security scheme

Message = dict[str, Any]


class Failed(Exception):
    """The document cannot be opened: "encrypted", "damaged", or "missing" (the library is)."""


def main(engine: str, first: int, last: int) -> None:
    """Write the messages for pages `first` to `last` (from 1), read with pdfium or pypdf."""
    size = os.fstat(0).st_size
    worker.limit_resources(memory=_MEMORY_BYTES + 4 * size, cpu_seconds=_CPU_SECONDS)
    sys.setrecursionlimit(1000)
    with worker.private_stdout() as out:
        data = sys.stdin.buffer.read()
        try:
            read = {"pdfium": pdfium_messages, "pypdf": pypdf_messages}[engine]
            for message in read(data, first, last):
                worker.send(out, message)
        except Failed as error:
            worker.send(out, {"failed": str(error)})


def pdfium_messages(data: bytes, first: int, last: int) -> Iterator[Message]:
    """The messages, by pdfium."""
    document = _open_pdfium(data)
    count = len(document)
    yield {
        "count": count,
        "title": _stated(lambda: document.get_metadata_value("Title")),
        "author": _stated(lambda: document.get_metadata_value("Author")),
        "date": _stated(lambda: document.get_metadata_value("CreationDate")),
        "outline": _outline(document),
    }

    def lines(index: int) -> list[list[Any]]:
        return pdfium_lines.lines(document, index, _MAX_PAGE_CHARACTERS)

    for message in _pages(lines, first, min(last, count)):
        with contextlib.suppress(Exception):
            message["label"] = document.get_page_label(message["page"] - 1)[:_MAX_LABEL]
        yield message


def _outline(document: Any) -> list[list[Any]]:
    """[level, title, page] of each bookmark, in their order; pages count from 1."""
    found: list[list[Any]] = []
    with contextlib.suppress(Exception):
        for bookmark in islice(document.get_toc(), _MAX_BOOKMARKS):
            target = bookmark.get_dest()
            index = target.get_index() if target else None
            if index is not None:
                found.append([bookmark.level + 1, bookmark.get_title()[:_MAX_TITLE], index + 1])
    return found


def _open_pdfium(data: bytes) -> Any:
    """The document, mended if it does not open as it is."""
    try:
        import pypdfium2
    except (ImportError, OSError) as error:
        raise Failed("missing") from error
    try:
        return pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if error.err_code in _PASSWORD_ERRORS:
            raise Failed("encrypted") from error
    try:
        return pypdfium2.PdfDocument(mended(data))
    except pypdfium2.PdfiumError as error:
        raise Failed("damaged") from error


def pypdf_messages(data: bytes, first: int, last: int) -> Iterator[Message]:
    """The messages, by pypdf: slower and without coordinates, but it repairs more."""
    import io
    import logging

    logging.disable(logging.CRITICAL)
    try:
        from pypdf import PdfReader
        from pypdf.errors import DependencyError, FileNotDecryptedError
    except ImportError as error:
        raise Failed("missing") from error
    try:
        reader = PdfReader(io.BytesIO(data), strict=False)
        if reader.is_encrypted and not reader.decrypt(""):
            raise Failed("encrypted")
        count = len(reader.pages)
    except (DependencyError, FileNotDecryptedError) as error:
        raise Failed("encrypted") from error
    except Failed:
        raise
    except Exception as error:  # whatever a damaged file makes it raise
        raise Failed("damaged") from error
    yield {
        "count": count,
        "title": _stated(lambda: reader.metadata and reader.metadata.title),
        "author": _stated(lambda: reader.metadata and reader.metadata.author),
        "date": _stated(lambda: reader.metadata and reader.metadata.get("/CreationDate")),
    }

    def lines(index: int) -> list[list[Any]]:
        text = reader.pages[index].extract_text()[:_MAX_PAGE_CHARACTERS]
        return [[line] for line in text.splitlines()]

    yield from _pages(lines, first, min(last, count))


def _stated(read: Callable[[], Any]) -> str:
    """What a file's metadata say; "" where they say nothing, or are damaged."""
    with contextlib.suppress(Exception):
        return str(read() or "")[:_MAX_METADATA]
    return ""


def _pages(lines_of: Callable[[int], list[list[Any]]], first: int, last: int) -> Iterator[Message]:
    for number in range(first, last + 1):
        try:
            lines = lines_of(number - 1)
        except Exception as error:  # one bad page is not a reason to lose the others
            yield {"page": number, "error": type(error).__name__}
        else:
            yield {"page": number, "lines": lines}


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
