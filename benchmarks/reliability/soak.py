"""Reads millions of tokens into one memory: RAM, speed, files, text and an answer all along.

The documents are made as they are read. After each tenth it notes the process's own memory and, apart from
that, the pages of mapped files that are in RAM, which the system takes back when it needs them; the seconds
of CPU that the tenth took, the files, and whether a chunk read long ago and the last one say what was
written. With `--default-model` it reads with that instead of a tiny one, and asks each time about the first
sentence of all. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.reliability.tiny import load_helpers, report
from models.memory import Memory
from mplus_cli.documents import Document, Page, Source
from mplus_cli.ingest import pipeline
from mplus_cli.library import StoredMemory
from mplus_cli.library.verify import verify

DOCUMENTS = 20
FIRST = "The keeper of the Sallow lighthouse was called Orla Finch."
QUESTION = "Who was the keeper of the Sallow lighthouse?"


@dataclass(frozen=True)
class Reader:
    """A model, and what it reads into."""

    stored: StoredMemory
    model: Any
    tokenizer: Any
    characters: float
    """Of this text, in a token."""
    ask: Callable[[], str]
    """Answers QUESTION."""
    start: Memory | None = None


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--tokens", type=int, default=2_000_000)
    options.add_argument("--default-model", action="store_true")
    given = options.parse_args()
    tenths: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        reader = (_default if given.default_model else _tiny)(Path(folder))
        each = round(given.tokens / DOCUMENTS * reader.characters)
        sources = [
            (
                Source(Path(f"/{number}"), f"/{number}"),
                lambda number=number: _document(number, each),
            )
            for number in range(DOCUMENTS)
        ]
        events = pipeline.read_documents(
            reader.stored, reader.model, sources, reader.tokenizer, start=reader.start
        )
        began = time.process_time()
        for event in events:
            if isinstance(event, pipeline.DocumentFinished) and event.index % 2:
                seconds = round(time.process_time() - began, 1)
                tenths.append(
                    {"seconds": seconds, **_look(reader.stored, each), "answer": reader.ask()}
                )
                print(tenths[-1], file=sys.stderr, flush=True)
                began = time.process_time()
        problems = verify(reader.stored)
    report(
        {
            "tenths": tenths,
            "last_tenth_over_first": round(tenths[-1]["seconds"] / tenths[0]["seconds"], 2),
            "problems": [str(problem) for problem in problems],
            "verify_seconds": round(time.process_time() - began, 1),
        }
    )


def _tiny(folder: Path) -> Reader:
    helpers = load_helpers()
    config = replace(
        helpers.CONFIG, chunk_tokens=128, new_tokens=64, stm_tokens=320, recalled_tokens=64
    )
    model = helpers.make_model(config)
    stored = helpers.make_memory(folder, model)
    return Reader(stored, model, helpers.Characters(), 1.0, ask=lambda: "")


def _default(folder: Path) -> Reader:
    from mplus_cli.api.loading import Loader, silent
    from mplus_cli.asking.question import Question
    from mplus_cli.settings import Flags, resolve

    (folder / "base").symlink_to(resolve(Flags()).home / "base")
    loader = Loader(resolve(Flags(home=folder, offline=True)), silent)
    session = loader.session()
    stored = session.library.create("soak", session.identity)
    sample = _text(0, 20_000)
    return Reader(
        stored,
        session.model,
        session.plain_tokenizer,
        len(sample) / len(session.plain_tokenizer.encode(sample)[0]),
        ask=lambda: loader.open(stored).ask(Question(QUESTION)).answer,
        start=session.loaded.initial_memory,
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
    """So many characters of a document: sentences that say little, each differently."""
    chance, sentences, length = random.Random(number), [FIRST] if number == 0 else [], 0
    while length < characters:
        sentences.append(
            f"{chance.choice(PEOPLE)} carried {chance.randrange(2, 900)} {chance.choice(THINGS)} "
            f"from {chance.choice(PLACES)} to {chance.choice(PLACES)}."
        )
        length += len(sentences[-1]) + 1
    return " ".join(sentences)[:characters].ljust(characters, ".")


PEOPLE = ("Anna Brill", "The miller", "Old Tom Varley", "A soldier", "Miss Penrose", "The ferryman")
THINGS = ("sacks of barley", "letters", "copper pans", "baskets of herring", "candles", "bricks")
PLACES = ("Dunmore", "the harbour", "Castle Rook", "the mill", "Saltby", "the upper valley")


def _look(stored: StoredMemory, each: int) -> dict[str, Any]:
    files = [path for path in stored.folder.rglob("*") if path.is_file()]
    began = time.perf_counter()
    memory = stored.load()
    opening = time.perf_counter() - began
    view = stored.view()
    first, last = stored.chunks([0, view.chunks - 1])
    text = _text(view.documents[-1].id - 1, each)
    right = _text(0, each).startswith(first.text) and text.endswith(last.text)
    return {
        "tokens": view.state.tokens if view.state else 0,
        "anonymous_mb": _resident_mb("RssAnon"),
        "mapped_mb": _resident_mb("RssFile"),
        "files": len(files),
        "bytes_per_token": round(sum(path.stat().st_size for path in files) / view.state.tokens)
        if view.state
        else 0,
        "opening_ms": round(opening * 1e3, 1),
        "right": right and memory.chunks == view.chunks,
    }


def _resident_mb(kind: str) -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return round(int(status.split(f"{kind}:")[1].split()[0]) / 1024, 1)


if __name__ == "__main__":
    main()
