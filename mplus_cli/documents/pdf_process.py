"""Runs the PDF worker, within limits of time, and goes on after a crash.

Passes on the worker's messages, whatever is in them.
"""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from mplus_cli.documents import worker

OPEN_SECONDS = 20.0  # and one more for each MiB of the file
PAGE_SECONDS = 10.0
TOTAL_SECONDS = 20.0  # and one more for each MiB, and for each page:
EACH_SECONDS = 0.25
MAX_PAGES = 20_000  # read at once, whatever number of pages a file claims
_MAX_STOPS = 3  # crashes and time-outs, after which the rest of the pages is given up


@dataclass(slots=True)
class Extraction:
    """What a PDF gave. `failed` is empty, or why there is nothing: encrypted, damaged, missing."""

    count: int = 0
    title: str = ""
    author: str = ""
    date: str = ""
    """As PDF writes it: D:20110305142500+01'00'."""
    failed: str = ""
    outline: list[list[Any]] = field(default_factory=list)
    """[level, title, page] of each bookmark."""
    labels: dict[int, str] = field(default_factory=dict)
    lines: dict[int, list[list[Any]]] = field(default_factory=dict)
    skipped: list[int] = field(default_factory=list)
    stops: int = 0
    """Pages on which the worker crashed, or was stopped at a limit of time or memory."""


def worker_command(engine: str, first: int, last: int) -> list[str]:
    """The command that runs the worker."""
    return worker.command("pdf_worker", engine, str(first), str(last))


def extract(data: bytes, engine: str, first: int, last: int | None) -> Iterator[Extraction]:
    """Read pages `first` to `last`; yields the same, growing Extraction after each message.

    A page that fails, or on which the worker dies, is skipped and noted.
    """
    got = Extraction()
    final = first + MAX_PAGES - 1
    if last:
        final = min(last, final)
    following = first
    started = time.monotonic()
    extra = len(data) >> 20
    with tempfile.TemporaryFile() as file:
        file.write(data)
        for _ in range(_MAX_STOPS):
            try:
                command = worker_command(engine, following, final)
                opening = OPEN_SECONDS + extra
                for message in worker.messages(file, command, opening, PAGE_SECONDS):
                    _take(got, message)
                    if "page" in message:
                        following = message["page"] + 1
                    yield got
                    pages = EACH_SECONDS * min(got.count, MAX_PAGES)
                    if time.monotonic() - started > TOTAL_SECONDS + extra + pages:
                        break
                break
            except worker.WorkerStopped:
                if not got.count:
                    got.failed = "damaged"
                    break
                got.stops += 1
                got.skipped.append(following)
                following += 1
    end = min(final, got.count)
    seen = {*got.lines, *got.skipped}
    got.skipped += [number for number in range(first, end + 1) if number not in seen]
    yield got


def _take(got: Extraction, message: worker.Message) -> None:
    if "failed" in message:
        got.failed = message["failed"]
    elif "count" in message:
        got.count, got.title = message["count"], message["title"] or ""
        got.author, got.date = message.get("author", ""), message.get("date", "")
        got.outline = message.get("outline", [])
    elif "lines" in message:
        got.lines[message["page"]] = message["lines"]
        if label := message.get("label"):
            got.labels[message["page"]] = label
    else:
        got.skipped.append(message["page"])
