"""Reads one source into a Document. Deals with files; `formats` deals with what is in them."""

import os
import re
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from mplus_cli.documents import formats
from mplus_cli.documents.model import Document, DocumentError, PageRange, Source
from mplus_cli.documents.parts import Parts
from mplus_cli.wording import size

if TYPE_CHECKING:
    import hashlib

MAX_BYTES = 1 << 30
PIPE_SECONDS = 3.0  # waited for something to write to a named pipe
PLAIN_BYTES = 4 << 20  # plain text up to this is read in this process: no parser, few bytes
Progress = Callable[[int, int], None]


def read_document(
    source: Source,
    *,
    pages: PageRange | None = None,
    title: str | None = None,
    stdin: BinaryIO | None = None,
    ocr: bool = False,
    progress: Progress | None = None,
) -> Document:
    """Read `source` into clean text.

    `pages` selects physical pages of a PDF, and with `ocr` those without text are recognised (the
    extra `ocr`); `title` replaces the one the file gives itself; `stdin`
    is read where the source is stdin; `progress` is called with (done, total) parts. Raises
    DocumentError for whatever cannot be read.
    """
    data = _bytes(source, stdin)
    if not data.strip(b" \t\r\n\x0b\x0c\0"):
        raise DocumentError(f"{source.label} is empty")
    parts = _parts(data, source, pages, progress, ocr=ocr)
    if not any(page.text.strip() for page in parts.pages):
        nothing = "is empty" if parts.kind in ("text", "markdown") else "has no text in it"
        raise DocumentError(f"{source.label} {nothing}")
    return Document(
        path=source.name,
        title=(title or "").strip() or parts.title or _readable_stem(source),
        sha256=_digest(data, pages, recognised=bool(parts.recognised)),
        kind=parts.kind,
        pages=parts.pages,
        page_count=parts.page_count,
        warnings=parts.warnings,
        headings=parts.headings,
        author=parts.author,
        date=parts.date,
        address=source.address,
    )


def file_digest(source: Source, *, ocr: bool = False) -> str | None:
    """The `sha256` of the document that a whole file gives, without parsing it; with `ocr`, if pages of
    it are recognised. None if this is not a file that can be read twice."""
    import hashlib

    if source.path is None:
        return None
    try:
        if not source.path.is_file():
            return None
        with open(source.path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256")
    except OSError:
        return None
    return _extended(digest, None, recognised=ocr)


def _bytes(source: Source, stdin: BinaryIO | None) -> bytes:
    try:
        if source.path is None:
            data = (stdin or sys.stdin.buffer).read(MAX_BYTES + 1)
        else:
            data = _read(source.path, source.label)
    except OSError as error:
        reason = error.strerror or error
        raise DocumentError(f"{source.label} cannot be read: {reason}") from error
    if len(data) > MAX_BYTES:
        raise DocumentError(f"{source.label} is larger than {size(MAX_BYTES)}: split it")
    return data


def _read(path: Path, label: str) -> bytes:
    """The bytes of a file, or of a pipe that something writes to, as `<(command)` gives one."""
    mode = path.stat().st_mode
    if stat.S_ISREG(mode):
        with open(path, "rb") as file:
            return file.read(MAX_BYTES + 1)
    if stat.S_ISFIFO(mode):
        return _read_pipe(path, label)
    raise DocumentError(f"{label} is not a file (a device or socket): name a file, or use -")


def _read_pipe(path: Path, label: str) -> bytes:
    """Opening a pipe the usual way would wait for a writer forever, without a word."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb", buffering=0) as pipe:
        deadline = time.monotonic() + PIPE_SECONDS
        # An end at once says that nothing writes; None, that something does and has not yet begun.
        while (first := pipe.read(1)) == b"":
            if time.monotonic() > deadline:
                nothing = f"{label} is a pipe that nothing writes to"
                raise DocumentError(f"{nothing}: name a file, or use -")
            time.sleep(0.05)
        os.set_blocking(descriptor, True)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return (first or b"") + file.read(MAX_BYTES)


def _digest(data: bytes, pages: PageRange | None, *, recognised: bool) -> str:
    import hashlib

    return _extended(hashlib.sha256(data), pages, recognised=recognised)


def _extended(digest: "hashlib._Hash", pages: PageRange | None, *, recognised: bool) -> str:
    """The digest of a file's bytes, and of what else decides which text they give."""
    if pages is not None:
        digest.update(f"\0pages {pages}".encode())
    if recognised:  # another text than the same file gave before
        digest.update(b"\0ocr")
    return digest.hexdigest()


def _parts(
    data: bytes,
    source: Source,
    pages: PageRange | None,
    progress: Progress | None,
    *,
    ocr: bool,
) -> Parts:
    suffix = source.path.suffix.lower() if source.path else ""
    parse = formats.parse
    if len(data) > PLAIN_BYTES or not formats.is_plain(data, suffix):
        from mplus_cli.documents.isolated import parse_isolated as parse
    return parse(data, source.label, suffix, pages, progress, ocr=ocr)


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
