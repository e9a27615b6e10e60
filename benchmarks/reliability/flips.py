"""Flips single bits in every kind of file that a memory and its snapshot consist of.

After each flip the memory is verified and read in every way there is. `found`: verify names it, and
whatever was read before it was found is what was written. `holds nothing`: no row differs. `hint`: a
record of how a file was when it was last checked, at which the file is compared with its checksum.
`silent` and `crash` must be 0.
"""

from __future__ import annotations

import argparse
import os
import random
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.reliability.tiny import load_helpers, report
from mplus_cli.errors import ExitCode, MplusError
from mplus_cli.ingest import pipeline
from mplus_cli.library import Library, StoredMemory, snapshot
from mplus_cli.library.verify import verify

DATABASE_SHARE = 0.7
"""Of the flips: each other file has one digest over all its bytes."""


class Wrong(Exception):
    """Something was read that was not written."""


def campaign(
    stored: StoredMemory, saved: Path, work: Path, chance: random.Random, flips: int
) -> Counter[str]:
    """The outcomes of a number of flips; the files are restored afterwards.

    Args:
        saved: a snapshot of the memory.
        work: an empty place for libraries.
    """
    stored.load()  # files are compared here, not after each flip
    truth = _read_everything(stored)
    database = stored.folder / "memory.db"
    others = [*stored.folder.glob("stm-*"), *stored.folder.glob("ltm/*"), saved]
    counts: Counter[str] = Counter()
    for number in range(flips):
        path = database if chance.random() < DATABASE_SHARE else chance.choice(others)
        good, was = path.read_bytes(), path.stat()
        bad = bytearray(good)
        offset, bit = chance.randrange(len(bad)), chance.randrange(8)
        bad[offset] ^= 1 << bit
        path.write_bytes(bad)
        try:
            if path == saved:
                library = Library(work / str(number))
                outcome = _outcome(lambda library=library: snapshot.load(library, saved))  # type: ignore[misc]
            else:
                changed = _changed(good, bytes(bad), database) if path == database else None
                outcome = _look(stored, truth, changed)
        finally:
            path.write_bytes(good)
            os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
            (stored.folder / "memory.db-journal").unlink(missing_ok=True)
        if outcome.startswith(("silent", "crash")):
            print(
                f"flip {number}: {path.name}, byte {offset}, bit {bit}: {outcome}", file=sys.stderr
            )
        counts[outcome] += 1
    return counts


def _look(stored: StoredMemory, truth: Any, changed: set[tuple[str, str]] | None) -> str:
    """What became of a flip; `changed`: the rows of the database that differ by it, None of another file."""
    try:
        found = verify(stored)
    except MplusError as error:
        return "found" if error.exit_code == ExitCode.MISMATCH else f"crash: {error}"
    except Exception as error:
        return f"crash: {type(error).__name__}: {error}"
    read = _outcome(lambda: _compare(stored, truth))
    if read not in ("found", "silent"):
        return read
    if found or read == "found":
        return "found"
    if changed is None:
        return "silent"
    if not changed:
        return "holds nothing"
    return "hint" if all(row[1].startswith("(b'file/") for row in changed) else "silent"


def _changed(good: bytes, bad: bytes, database: Path) -> set[tuple[str, str]]:
    return _dump(good, database) ^ _dump(bad, database)


def _outcome(use: Callable[[], object]) -> str:
    """`found` where it is refused as damaged, `silent` where nothing was said."""
    try:
        use()
    except Wrong as error:
        return f"silent: {error}"
    except MplusError as error:
        return "found" if error.exit_code == ExitCode.MISMATCH else f"crash: {error}"
    except Exception as error:
        return f"crash: {type(error).__name__}: {error}"
    return "silent"


def _read_everything(stored: StoredMemory) -> list[Any]:
    view = stored.view()
    return [use(stored, view.chunks) for use in USES] + stored.all_chunks(view)


def _compare(stored: StoredMemory, truth: list[Any]) -> None:
    """Read everything, each by itself: what is not refused must be what was written."""
    refused: MplusError | None = None
    chunks = len(truth) - len(USES)
    uses = list(USES)
    for number in range(len(truth)):
        if number == len(uses):
            if refused is None:
                return  # no chunk can be wrong alone
            uses += [lambda stored, _, chunk=chunk: stored.chunk(chunk) for chunk in range(chunks)]  # type: ignore[misc]
        try:
            found = uses[number](stored, chunks)
        except MplusError as error:
            if error.exit_code != ExitCode.MISMATCH:
                raise
            refused = error
        else:
            if found != truth[number]:
                raise Wrong(f"use {number} read it as if it were right")
    if refused is not None:
        raise refused


def _without_hints(stored: StoredMemory) -> Any:
    return replace(stored.view(), checked={})


def _tensors(stored: StoredMemory) -> list[Any]:
    memory = stored.load()
    parts = [memory.stm.tail, memory.stm.ages, *memory.stm.tokens.tensors().values()]
    for segment in memory.segments:
        parts += [segment.born, *segment.tokens.tensors().values()]
    return parts


USES: tuple[Callable[[StoredMemory, int], Any], ...] = (
    lambda stored, _: _without_hints(stored),
    lambda stored, _: stored.summary(),
    lambda stored, chunks: stored.texts(chunks),
    lambda stored, _: stored.chunk_numbers([1]),
    lambda stored, _: [part.tolist() for part in _tensors(stored)],
)
"""What commands read of a memory but for single chunks, given how many there are."""


def _dump(data: bytes, beside: Path) -> set[tuple[str, str]]:
    """Every row of every table, as text."""
    file = beside.with_name("dump.db")
    file.write_bytes(data)
    found = set()
    try:
        with closing(sqlite3.connect(file)) as connection:
            connection.text_factory = bytes
            for (table,) in list(connection.execute("SELECT name FROM sqlite_master")):
                name = table.decode()
                if name.startswith(("sqlite_", "documents_")):
                    continue
                rows = list(connection.execute(f"SELECT * FROM {name}"))
                found |= {(f"{name} {number}" if name != "times" else name, str(row))
                          for number, row in enumerate(rows)}  # fmt: skip
    except Exception as error:
        found.add(("unreadable", str(error)))
    finally:
        file.unlink()
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--flips", type=int, default=10_000)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    helpers, began = load_helpers(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        pipeline.COMMIT_CHUNKS = 4
        model = helpers.make_model()
        documents = [
            replace(
                helpers.make_document("alpha", 300, pages=3), author="Jane Austen", date="1815"
            ),
            helpers.make_document("beta", 60),
        ]
        stored = helpers.make_memory(Path(folder), model, *documents)
        saved = Path(folder) / "book.safetensors"
        snapshot.save(stored, saved)
        counts = campaign(
            stored, saved, Path(folder) / "work", random.Random(given.seed), given.flips
        )
    silent = sum(count for what, count in counts.items() if what.startswith(("silent", "crash")))
    report(
        {
            "flips": given.flips,
            "seed": given.seed,
            "silent_or_crash": silent,
            **dict(counts.most_common()),
            "seconds": round(time.monotonic() - began),
        }
    )


if __name__ == "__main__":
    main()
