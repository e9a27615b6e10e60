"""A library that cannot be written: it is read as ever, and what would write to it is refused in a line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

if sys.platform != "linux":
    pytest.skip("needs Linux's mount namespaces", allow_module_level=True)

ROOT = Path(__file__).resolve().parents[2]

# A process that alone sees a folder mounted read-only. Runs command lines, one in a line of JSON each.
SHUT = """
import ctypes, io, json, os, sys
from mplus_cli import app

NEW_NAMESPACE, PRIVATE, BIND, READ_ONLY = 0x20000, 0x44000, 0x1000, 0x1021
libc, path, told = ctypes.CDLL(None, use_errno=True), os.fsencode(sys.argv[1]), sys.stdout
refused = (
    libc.unshare(NEW_NAMESPACE)
    or libc.mount(b"none", b"/", None, PRIVATE, None)
    or libc.mount(path, path, None, BIND, None)
    or libc.mount(path, path, None, READ_ONLY, None)
)
print(os.strerror(ctypes.get_errno()) if refused else "", flush=True)
for line in sys.stdin:
    sys.stdout, sys.stderr = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    written = sys.stdout.buffer, sys.stderr.buffer
    code = app.run(json.loads(line))
    sys.stdout.flush(), sys.stderr.flush()
    print(json.dumps([code, *(data.getvalue().decode() for data in written)]), file=told, flush=True)
"""


@pytest.fixture
def shut(result: Callable[..., Any]) -> Iterator[Callable[[Path], Callable[..., Any]]]:
    """Gives what runs command lines in a process for which a folder is read-only; it ends with the test."""
    started = list[subprocess.Popen[str]]()

    def make(folder: Path) -> Callable[..., Any]:
        process = subprocess.Popen(
            [sys.executable, "-c", SHUT, folder],
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdin is not None and process.stdout is not None
        if refused := process.stdout.readline().strip():
            pytest.skip(f"cannot mount here: {refused}")

        def run(*arguments: str | Path) -> Any:
            process.stdin.write(json.dumps([*map(str, arguments)]) + "\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
            return result(*json.loads(process.stdout.readline()))  # type: ignore[union-attr]

        return run

    yield make
    for process in started:
        process.kill()
        process.communicate()


def test_a_read_only_library(
    mplus: Any, book: str, tmp_path: Path, shut: Callable[[Path], Callable[..., Any]]
) -> None:
    home = Path(os.environ["MPLUS_HOME"])
    asked = ("ask", "Who kept a goat?", "-m", book, "--json", "--max-new-tokens", "4")
    kept = tmp_path / "kept.safetensors"
    assert mplus("memory", "save", book, kept).code == 0
    before = mplus(*asked).json
    text = tmp_path / "other.txt"
    text.write_text("A second text, about a whale.")
    run = shut(home)
    held = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}

    answer = run(*asked)
    assert answer.code == 0 and answer.json["answer"] == before["answer"]
    assert "warning: questions and answers are not kept: " in answer.err
    assert answer.json["sources"] == before["sources"]
    again = tmp_path / "again.safetensors"
    for command in (
        ("find", "goat", "-m", book),
        ("memory", "list"),
        ("memory", "show", book),
        ("memory", "map", book),
        ("memory", "verify", book),
        ("memory", "save", book, again),
        ("ingest", text, "-m", book, "--dry-run"),
        ("log", "1"),
    ):
        done = run(*command)
        assert done.code == 0, (command, done.err)
    assert again.read_bytes() == kept.read_bytes()
    assert "goat" in run("log").out

    for refused in (
        ("ingest", text, "-m", book),
        ("ingest", text, "-m", "new"),
        ("memory", "save", book, home / "kept.safetensors"),
        ("memory", "load", kept, "--as", "new"),
        ("memory", "rename", book, "new"),
        ("memory", "rm", book, "--yes"),
        ("memory", "rm-document", book, "1", "--yes"),
        ("memory", "fork", book, "new"),
        ("memory", "gc"),
    ):
        told = run(*refused)
        assert told.code == 1, (refused, told.err)
        assert told.error.endswith(
            "Read-only file system: write elsewhere (--home names the folder of memories)"
        ), refused
    told = run("log", "1", "--delete", "--yes")
    assert told.code == 1 and "history.db cannot be used" in told.error
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == held
