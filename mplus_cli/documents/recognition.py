"""Runs OCR on images of pages, in a process with limits on time and memory.

Deals with the worker's messages and with whether the engine is installed, not with the engine itself.
"""

import importlib.util
import json
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from mplus_cli.documents import worker
from mplus_cli.documents.model import DocumentError

INSTALL = "pip install 'mplus[ocr]'"
START_SECONDS = 120.0  # to load the engine
PAGE_SECONDS = 120.0
MEMORY_MIB = 4096  # and four times the file
_MAX_STOPS = 3  # crashes and time-outs, after which the rest of the pages is given up
_CHECK = "python -c 'import rapidocr; rapidocr.RapidOCR()'"
_ENGINE = ("rapidocr", "onnxruntime")


def is_installed() -> bool:
    """Whether there is an engine."""
    return all(importlib.util.find_spec(name) for name in _ENGINE)


def advice() -> str:
    """The advice for pages without text."""
    return "add --ocr" if is_installed() else f"{INSTALL}, then add --ocr"


def recognise(
    data: bytes, numbers: Sequence[int], label: str
) -> Iterator[tuple[int, list[list[Any]]]]:
    """Each of the pages `numbers` (from 1) of a PDF with its lines, as `pdf_worker` has them.

    A page that fails, takes too long or too much memory has none. Raises DocumentError where there is no
    engine.
    """
    if numbers and not is_installed():
        raise DocumentError(f"{label} has pages without text, and OCR is not installed: {INSTALL}")
    left = list(numbers)
    started = False
    memory = MEMORY_MIB + (4 * len(data) >> 20)
    with tempfile.TemporaryFile() as file:
        file.write(data)
        for _ in range(_MAX_STOPS):
            if not left:
                return
            command = worker.command("ocr_worker", json.dumps(left), str(memory))
            try:
                for message in worker.messages(file, command, START_SECONDS, PAGE_SECONDS):
                    started = True
                    if "page" in message and left:
                        left.pop(0)
                        yield message["page"], message.get("lines", [])
            except worker.WorkerStopped as stopped:
                if not started:
                    broken = f"{label}: OCR does not start: check it with {_CHECK}"
                    raise DocumentError(broken) from stopped
                if left:
                    yield left.pop(0), []
    for number in left:
        yield number, []
