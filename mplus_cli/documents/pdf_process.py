"""Runs the PDF worker in a process of its own, within limits of time, and goes on after a crash.

Knows the worker's messages; nothing of what is in them.
"""

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import mplus_cli

OPEN_SECONDS = 60.0
PAGE_SECONDS = 20.0
TOTAL_SECONDS = 120.0  # and a second a page, up to:
MAX_PAGE_TIME = 1500
MAX_PAGES = 20_000  # read at once, whatever number of pages a file claims
_MAX_STOPS = 4  # crashes and time-outs, after which the rest of the pages is given up

Message = dict[str, Any]


class WorkerStopped(Exception):
    """The worker crashed or ran out of time before it sent its next message."""


@dataclass(slots=True)
class Extraction:
    """What a PDF gave. `failed` is empty, or why there is nothing: encrypted, damaged, missing."""

    count: int = 0
    title: str = ""
    failed: str = ""
    lines: dict[int, list[list[Any]]] = field(default_factory=dict)
    skipped: list[int] = field(default_factory=list)


def worker_command(engine: str, first: int, last: int) -> list[str]:
    """The command that runs the worker; -P keeps the current folder out of its imports."""
    module = "mplus_cli.documents.pdf_worker"
    return [sys.executable, "-P", "-m", module, engine, str(first), str(last)]


def messages(data: IO[bytes], engine: str, first: int, last: int) -> Iterator[Message]:
    """What the worker sends, one by one; WorkerStopped where it crashes or takes too long."""
    data.seek(0)
    package_root = str(Path(mplus_cli.__file__).parent.parent)
    paths = [package_root, *filter(None, [os.environ.get("PYTHONPATH")])]
    process = subprocess.Popen(
        worker_command(engine, first, last),
        stdin=data,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    received: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    reader = threading.Thread(target=_receive, args=(process.stdout, received), daemon=True)
    reader.start()
    limit = OPEN_SECONDS
    try:
        while (line := received.get(timeout=limit)) is not None:
            yield json.loads(line)
            limit = PAGE_SECONDS
        if process.wait(timeout=limit):
            raise WorkerStopped
    except (queue.Empty, subprocess.TimeoutExpired, ValueError) as error:
        raise WorkerStopped from error
    finally:
        process.kill()
        process.wait()
        reader.join()
        if process.stdout:
            process.stdout.close()


def _receive(stream: IO[bytes] | None, received: "queue.SimpleQueue[bytes | None]") -> None:
    for line in stream or ():
        received.put(line)
    received.put(None)


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
    with tempfile.TemporaryFile() as file:
        file.write(data)
        for _ in range(_MAX_STOPS):
            try:
                for message in messages(file, engine, following, final):
                    _take(got, message)
                    if "page" in message:
                        following = message["page"] + 1
                    yield got
                    if time.monotonic() - started > TOTAL_SECONDS + min(got.count, MAX_PAGE_TIME):
                        break
                break
            except WorkerStopped:
                if not got.count:
                    got.failed = "damaged"
                    break
                got.skipped.append(following)
                following += 1
    end = min(final, got.count)
    seen = {*got.lines, *got.skipped}
    got.skipped += [number for number in range(first, end + 1) if number not in seen]
    yield got


def _take(got: Extraction, message: Message) -> None:
    if "failed" in message:
        got.failed = message["failed"]
    elif "count" in message:
        got.count, got.title = message["count"], message["title"] or ""
    elif "lines" in message:
        got.lines[message["page"]] = message["lines"]
    else:
        got.skipped.append(message["page"])
