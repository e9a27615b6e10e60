"""Ctrl-C and locks between real processes."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mplus_cli.library import Library

LINE = "mplus: interrupted; what was committed is kept: run the same command to go on\n"


def wait_for(condition: Callable[[], Any], process: subprocess.Popen[str]) -> None:
    for _ in range(1200):
        if condition():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError("nothing happened for a minute")


def contents(name: str) -> list[Any]:
    """What two memories have in common that read the same."""
    folder = Library(Path(os.environ["MPLUS_HOME"])).open(name).folder
    with sqlite3.connect(folder / "memory.db") as connection:
        tables = ("documents", "chunks", "segments", "state")
        return [connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables]


def test_interrupted_reading_goes_on(
    start: Any, process: Any, mplus: Any, tiny: Path, long_story: Path
) -> None:
    library = Library(Path(os.environ["MPLUS_HOME"]))
    running = start("ingest", long_story, "-m", "long")

    def has_committed() -> bool:
        return "long" in library.names() and library.open("long").summary().chunks >= 64

    wait_for(has_committed, running)
    second = mplus("ingest", long_story, "-m", "long")
    assert second.code == 1
    assert f"being written by another process (pid {running.pid})" in second.error
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (130, "")
    assert err.endswith(LINE)
    assert "Traceback" not in err
    (document,) = library.open("long").documents()
    assert 0 < document.chunks_read < document.chunks
    again = mplus("ingest", long_story, "-m", "long")
    assert again.code == 0
    assert f"going on at chunk {document.chunks_read + 1}" in again.err
    assert mplus("ingest", long_story, "-m", "whole", "-q").code == 0
    assert contents("long") == contents("whole")


def test_interrupted_answer(start: Any, book: str) -> None:
    running = start("ask", "who?", "-m", book, "--max-new-tokens", "1800")
    assert running.stdout.read(1)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert (running.returncode, err) == (130, LINE)


@pytest.mark.parametrize("after", [0.4, 1.5])
def test_interrupted_while_loading(start: Any, book: str, after: float) -> None:
    running = start("ask", "who?", "-m", book, "--max-new-tokens", "1800")
    time.sleep(after)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert (running.returncode, err) == (130, LINE)


def test_processes(process: Any, tiny: Path, story: Path, tmp_path: Path) -> None:
    """A whole session the way a user runs it, flags against environment included."""
    result = process("ingest", story, "-q")
    assert (result.code, result.out, result.err) == (0, "", "")
    result = process("ask", "-", "--max-new-tokens", "4", stdin="who?", MPLUS_DEVICE="cpu")
    assert (result.code, result.err) == (0, "  Story\n")
    result = process("ask", "x", LANG="C", PYTHONIOENCODING="ascii", MPLUS_HOME=str(tmp_path / "é"))
    assert result.code == 1
