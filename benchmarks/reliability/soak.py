"""Reads millions of tokens into one memory with the tiny model: RAM, speed, files and text all along.

The documents are made as they are read. After each tenth it notes the process's anonymous memory, the seconds
of CPU that the tenth took, the files, and whether a chunk read long ago and the last one say what was
written. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.reliability.tiny import load_helpers, report
from mplus_cli.documents import Document, Page, Source
from mplus_cli.ingest import pipeline
from mplus_cli.library import StoredMemory
from mplus_cli.library.verify import verify

DOCUMENTS = 20


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--tokens", type=int, default=2_000_000, help="a character each")
    given = options.parse_args()
    helpers = load_helpers()
    config = replace(
        helpers.CONFIG, chunk_tokens=128, new_tokens=64, stm_tokens=320, recalled_tokens=64
    )
    model = helpers.make_model(config)
    each = given.tokens // DOCUMENTS
    sources = [
        (Source(Path(f"/{number}"), f"/{number}"), lambda number=number: _document(number, each))
        for number in range(DOCUMENTS)
    ]
    tenths: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        stored = helpers.make_memory(Path(folder), model)
        began = time.process_time()
        for event in pipeline.read_documents(stored, model, sources, helpers.Characters()):
            if isinstance(event, pipeline.DocumentFinished) and event.index % 2:
                tenths.append({"seconds": round(time.process_time() - began, 1), **_look(stored)})
                began = time.process_time()
        problems = verify(stored)
    report(
        {
            "tenths": tenths,
            "last_tenth_over_first": round(tenths[-1]["seconds"] / tenths[0]["seconds"], 2),
            "problems": [str(problem) for problem in problems],
            "verify_seconds": round(time.process_time() - began, 1),
        }
    )


def _document(number: int, characters: int) -> Document:
    return Document(
        path=f"/{number}",
        title=f"Book {number}",
        sha256=f"{number:064x}",
        kind="text",
        pages=(Page(1, _text(number, characters)),),
        page_count=None,
        warnings=(),
    )


def _text(number: int, characters: int) -> str:
    chance = random.Random(number)
    words = [f"word{chance.randrange(100_000)}" for _ in range(characters // 8)]
    return " ".join(words).ljust(characters, ".")[:characters]


def _look(stored: StoredMemory) -> dict[str, Any]:
    files = [path for path in stored.folder.rglob("*") if path.is_file()]
    began = time.perf_counter()
    memory = stored.load()
    opening = time.perf_counter() - began
    view = stored.view()
    first, last = stored.chunks([0, view.chunks - 1])
    row = view.documents[-1]
    text = _text(row.id - 1, row.tokens)
    right = _text(0, view.documents[0].tokens).startswith(first.text) and text.endswith(last.text)
    return {
        "tokens": view.state.tokens if view.state else 0,
        "anonymous_mb": _anonymous_mb(),
        "files": len(files),
        "bytes_per_token": round(sum(path.stat().st_size for path in files) / view.state.tokens)
        if view.state
        else 0,
        "opening_ms": round(opening * 1e3, 1),
        "right": right and memory.chunks == view.chunks,
    }


def _anonymous_mb() -> float:
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Anonymous:"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0


if __name__ == "__main__":
    main()
