"""Parses a document in a process of its own, with limits on memory, time and text.

Explains what went wrong; of the formats, it knows only the function that parses them.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from typing import IO, Any

from mplus_cli.documents import worker
from mplus_cli.documents.model import DocumentError, Heading, Page, PageRange
from mplus_cli.documents.parts import Parts
from mplus_cli.wording import size

MEMORY_BYTES = 1 << 30  # and four times the file
CPU_SECONDS = 20  # and two more for each MiB of the file
MAX_CHARACTERS = 1 << 26  # of text: 16,000,000 tokens, some hundred long novels
_TOLD_SECONDS = 5.0
SILENT_SECONDS = 600.0  # a last resort, where a system knows no limit of CPU time


def parse_isolated(
    data: bytes,
    label: str,
    suffix: str,
    pages: PageRange | None,
    progress: Callable[[int, int], None] | None,
    *,
    ocr: bool = False,
) -> Parts:
    """As `formats.parse`, of which the process is made. Raises DocumentError."""
    asked = {
        "label": label,
        "suffix": suffix,
        "pages": str(pages) if pages else None,
        "ocr": ocr,
    }
    seconds = CPU_SECONDS + 2 * (len(data) >> 20)
    limits = {
        "memory": MEMORY_BYTES + 4 * len(data),
        "cpu_seconds": seconds,
        "characters": MAX_CHARACTERS,
    }
    command = worker.command("isolated", json.dumps({**asked, **limits}))
    harm = "it is damaged or made to do harm"
    try:
        with tempfile.TemporaryFile() as file:
            file.write(data)
            for message in worker.messages(file, command, SILENT_SECONDS, SILENT_SECONDS):
                if "error" in message:
                    raise DocumentError(message["error"])
                if "parts" in message:
                    return _parts(message["parts"])
                if "progress" in message and progress:
                    progress(*message["progress"])
                if "memory" in message:
                    most = size(limits["memory"])
                    raise DocumentError(f"{label} takes more than {most} of memory to read: {harm}")
    except worker.WorkerStopped as stopped:
        if stopped.signal == _sigxcpu():
            slow = f"{label} takes more than {seconds} s to read: {harm}"
            raise DocumentError(slow) from stopped
    raise DocumentError(f"{label} stops the program that reads it: {harm}")


def _sigxcpu() -> int:
    import signal

    return getattr(signal, "SIGXCPU", -1)


def _parts(values: dict[str, Any]) -> Parts:
    return Parts(
        kind=values["kind"],
        title=values["title"],
        pages=tuple(Page(*page) for page in values["pages"]),
        page_count=values["page_count"],
        warnings=tuple(values["warnings"]),
        headings=tuple(Heading(*heading) for heading in values["headings"]),
        author=values["author"],
        date=values["date"],
        recognised=values["recognised"],
    )


def _values(parts: Parts) -> dict[str, Any]:
    return {
        "kind": parts.kind,
        "title": parts.title,
        "pages": [[page.number, page.text, page.label] for page in parts.pages],
        "page_count": parts.page_count,
        "warnings": parts.warnings,
        "headings": [[one.start, one.level, one.title] for one in parts.headings],
        "author": parts.author,
        "date": parts.date,
        "recognised": parts.recognised,
    }


def main(asked: dict[str, Any]) -> None:
    """The process: the file comes on stdin; progress and parts, or an error, go to stdout."""
    worker.limit_resources(memory=asked["memory"], cpu_seconds=asked["cpu_seconds"])
    with worker.private_stdout() as out:
        message: worker.Message
        try:
            message = {"parts": _values(_parsed(asked, out))}
        except DocumentError as error:
            message = {"error": str(error)}
        except MemoryError:
            message = {"memory": True}
        worker.send(out, message)


def _parsed(asked: dict[str, Any], out: IO[bytes]) -> Parts:
    from mplus_cli.documents.formats import parse

    shown, sent = 0, time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal shown, sent
        share, now = 100 * done // max(total, 1), time.monotonic()
        # Also within a share: whoever waits takes long silence for death, and OCR is slow.
        if share != shown or done == total or now - sent > _TOLD_SECONDS:
            shown, sent = share, now
            worker.send(out, {"progress": [done, total]})

    pages = PageRange.parse(asked["pages"]) if asked["pages"] else None
    data = sys.stdin.buffer.read()
    parts = parse(data, asked["label"], asked["suffix"], pages, progress, ocr=asked["ocr"])
    if sum(len(page.text) for page in parts.pages) > asked["characters"]:
        most = asked["characters"] // 1_000_000
        raise DocumentError(f"{asked['label']} has more than {most} million characters: split it")
    return parts


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
