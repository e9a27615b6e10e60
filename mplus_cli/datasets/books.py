"""Plain-text books to records, without Project Gutenberg's headers and footers.

The text is what `mplus ingest` would read from the same file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mplus_cli.datasets.files import read_bytes
from mplus_cli.datasets.values import Book, DataSetError
from mplus_cli.documents.encoding import BinaryData, decode
from mplus_cli.documents.plain import read_plain

_START = re.compile(r"^\*\*\* ?START OF ", re.MULTILINE)
_AUTHOR = re.compile(r"^Author: *(\S.*)$", re.MULTILINE)
_FIRST = re.compile(
    r"\A\s*(?:Produced by|E-text prepared by|Transcribed from)\b.*?\n\s*\n", re.DOTALL
)
_LAST = re.compile(r"\n\s*End of (?:the )?Project Gutenberg.*\Z", re.DOTALL | re.IGNORECASE)


def book_files(given: Sequence[Path]) -> list[Path]:
    """The files that were named, and every .txt file below a named folder, by name.

    Raises:
        DataSetError: there is no such file.
    """
    files: list[Path] = []
    for path in given:
        if path.is_dir():
            inside = sorted(path.rglob("*.txt"), key=lambda file: file.relative_to(path).as_posix())
            if not inside:
                raise DataSetError(f"there is no .txt file in {path}")
            files += inside
        else:
            files.append(path)
    return files


def read_book(path: Path) -> Book:
    """One book.

    Raises:
        DataSetError: it cannot be read, is not text, or is empty.
    """
    data = read_bytes(path)
    try:
        parts, head = read_plain(data), decode(data)
    except BinaryData:
        raise DataSetError(f"{path} is not text") from None
    text = "".join(page.text for page in parts.pages)
    text = _LAST.sub("", _FIRST.sub("", text)).strip()
    if not text:
        raise DataSetError(f"{path} has no text")
    start = _START.search(head)
    author = _AUTHOR.search(head, 0, start.start()) if start else None
    title = parts.title or path.name.removesuffix(".gz").removesuffix(".txt")
    return Book(title, author.group(1).strip() if author else "", text)
