"""A library that cannot be written: it is read as ever, and what would write to it is refused in a line."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

if sys.platform != "linux":
    pytest.skip("needs Linux's mount namespaces", allow_module_level=True)

NEW_NAMESPACE, PRIVATE = 0x20000, 0x4000 | 0x40000
BIND, READ_ONLY = 0x1000, 0x1000 | 0x20 | 1
DETACH = 2


@pytest.fixture
def read_only() -> Iterator[Callable[[Path], None]]:
    """Makes a folder read-only by a mount that this process alone sees, and that ends with it."""
    libc = ctypes.CDLL(None, use_errno=True)
    mounted = list[bytes]()

    def permitted(failed: int) -> None:
        if failed:
            pytest.skip(f"cannot mount here: {os.strerror(ctypes.get_errno())}")

    def protect(folder: Path) -> None:
        path = str(folder).encode()
        permitted(libc.unshare(NEW_NAMESPACE))
        permitted(libc.mount(b"none", b"/", None, PRIVATE, None))
        permitted(libc.mount(path, path, None, BIND, None))
        mounted.append(path)
        permitted(libc.mount(path, path, None, READ_ONLY, None))

    yield protect
    for path in mounted:
        libc.umount2(path, DETACH)


def test_a_read_only_library(
    mplus: Any, book: str, story: Path, tmp_path: Path, read_only: Callable[[Path], None]
) -> None:
    home = Path(os.environ["MPLUS_HOME"])
    asked = ("ask", "Who kept a goat?", "-m", book, "--json", "--max-new-tokens", "4")
    kept = tmp_path / "kept.safetensors"
    assert mplus("memory", "save", book, kept).code == 0
    before = mplus(*asked).json
    text = tmp_path / "other.txt"
    text.write_text("A second text, about a whale.")
    read_only(home)
    held = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}

    answer = mplus(*asked)
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
        done = mplus(*command)
        assert done.code == 0, (command, done.err)
    assert again.read_bytes() == kept.read_bytes()
    assert "goat" in mplus("log").out

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
        told = mplus(*refused)
        assert told.code == 1, (refused, told.err)
        assert told.error.endswith(
            "Read-only file system: write elsewhere (--home names the folder of memories)"
        ), refused
    told = mplus("log", "1", "--delete", "--yes")
    assert told.code == 1 and "history.db cannot be used" in told.error
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == held
