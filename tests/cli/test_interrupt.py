"""Ctrl-C and locks between real processes."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from models import update
from mplus_cli.ingest import pipeline
from mplus_cli.library import Library, ModelIdentity
from mplus_cli.runtime import session

LINE = "mplus: interrupted\n"


def contents(name: str) -> list[Any]:
    """What two memories have in common that read the same."""
    folder = Library(Path(os.environ["MPLUS_HOME"])).open(name).folder
    with sqlite3.connect(folder / "memory.db") as connection:
        tables = ("documents", "chunks", "segments", "state")
        return [connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables]


def test_interrupted_reading_goes_on(hold: Any, mplus: Any, tiny: Path, long_story: Path) -> None:
    library = Library(Path(os.environ["MPLUS_HOME"]))
    running = hold("models.update:read_chunk", 70, "ingest", long_story, "-m", "long")
    second = mplus("ingest", long_story, "-m", "long")
    assert second.code == 1
    assert f"being written by another process (pid {running.pid})" in second.error
    running.send_signal(signal.SIGINT)
    out, err = running.communicate()
    assert (running.returncode, out) == (130, "")
    assert err.endswith(LINE)
    assert "Traceback" not in err
    (document,) = library.open("long").documents()
    assert 0 < document.chunks_read < document.chunks
    line = r"Long: (\d+) of ([\d,]+) chunks are kept; run the same command again to continue"
    kept = re.fullmatch(line, err.splitlines()[-2])
    assert kept is not None, err
    assert 64 <= int(kept[1]) <= document.chunks_read < 70
    again = mplus("ingest", long_story, "-m", "long")
    assert again.code == 0
    assert f"resuming at chunk {document.chunks_read + 1}" in again.err
    assert mplus("ingest", long_story, "-m", "whole", "-q").code == 0
    assert contents("long") == contents("whole")


def test_asked_while_it_is_read(hold: Any, mplus: Any, tiny: Path, long_story: Path) -> None:
    library = Library(Path(os.environ["MPLUS_HOME"]))
    ask = ("ask", "who?", "-m", "long", "--max-new-tokens", "2", "--no-sources")
    running = hold("models.update:read_chunk", 40, "ingest", long_story, "-m", "long")
    (document,) = library.open("long").documents()
    known = f"answers come only from its first {document.chunks_read} of {document.chunks} chunks"
    asked = mplus(*ask)
    assert (asked.code, asked.err.splitlines()[0]) == (0, f"Long is being read: {known}")
    running.kill()
    running.wait()
    asked = mplus(*ask)
    assert asked.err.splitlines()[0] == f"Long was not read to its end: {known}"


def test_asked_before_anything_is_kept(mplus: Any, tiny: Path, story: Path) -> None:
    library = Library(Path(os.environ["MPLUS_HOME"]))
    identity = ModelIdentity("tiny", "ab" * 32, {})
    with library.create("new", identity).writer():
        asked = mplus("ask", "who?", "-m", "new")
        assert (asked.code, asked.error) == (
            1,
            'memory "new" is being read, and nothing is kept of it yet: ask again in a few seconds',
        )
    assert 'memory "new" is empty' in mplus("ask", "who?", "-m", "new").error


def test_eight_ask_at_once(start: Any, mplus: Any, book: str) -> None:
    """Each gets its answer, and each is kept in the history."""
    ask = ("ask", "who?", "-m", book, "--max-new-tokens", "2")
    asked = mplus(*ask, "--no-sources").out
    running = [start(*ask, "--no-sources") for _ in range(8)]
    told = [process.communicate() for process in running]
    assert [process.returncode for process in running] == [0] * 8, told
    assert {out for out, _ in told} == {asked}
    assert not any("not kept" in err for _, err in told)
    assert len(mplus("log", "--json").json["conversations"]) == 9


def test_removed_while_the_model_is_loaded(
    mplus: Any, book: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_model = session.load_model

    def slowly(*args: Any, **kwargs: Any) -> Any:
        Library(Path(os.environ["MPLUS_HOME"])).remove(book)
        return load_model(*args, **kwargs)

    monkeypatch.setattr(session, "load_model", slowly)
    asked = mplus("ask", "who?", "-m", book)
    assert asked.code == 1
    assert asked.error.startswith(f'memory "{book}" was removed or renamed in the meantime')


def test_a_slow_reading_is_kept_every_few_seconds(
    mplus: Any, tiny: Path, long_story: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Far fewer chunks than a full commit takes, but longer than an interim one waits."""
    seconds = iter(range(0, 10**6, 3))
    monkeypatch.setattr(pipeline.time, "monotonic", lambda: next(seconds))
    read_chunk, left = update.read_chunk, [7]

    def interrupted(*args: Any) -> Any:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        return read_chunk(*args)

    monkeypatch.setattr(update, "read_chunk", interrupted)
    assert mplus("ingest", long_story, "-m", "long").code == 130
    (document,) = Library(Path(os.environ["MPLUS_HOME"])).open("long").documents()
    assert document.chunks_read > 3


def test_bytes_that_changed_are_no_answer(mplus: Any, book: str) -> None:
    folder = Library(Path(os.environ["MPLUS_HOME"])).open(book).folder
    path = max((folder / "ltm").iterdir(), key=lambda path: path.stat().st_size)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    data[-5] ^= 1
    path.write_bytes(data)
    asked = mplus("ask", "who?", "-m", book, "--max-new-tokens", "2")
    assert (asked.code, asked.out) == (3, "")
    assert f"ltm/{path.name} is not what was written" in asked.error


@pytest.mark.parametrize(
    ("where", "call"),
    [
        ("mplus_cli.commands.ask", 1),
        ("torch", 1),
        ("models.checkpoints:load", 1),
        ("models.generate:read", 1),
        ("models.generate:is_repeating", 30),
    ],
)
def test_interrupted_while_loading_and_while_answering(
    hold: Any, book: str, where: str, call: int
) -> None:
    running = hold(where, call, "ask", "who?", "-m", book, "--max-new-tokens", "1800")
    running.send_signal(signal.SIGINT)
    _, err = running.communicate()
    assert (running.returncode, err) == (130, LINE)


def test_processes(process: Any, tiny: Path, story: Path, tmp_path: Path) -> None:
    """A whole session the way a user runs it, flags against environment included."""
    result = process("ingest", story, "-q")
    assert (result.code, result.out, result.err) == (0, "", "")
    result = process("ask", "-", "--max-new-tokens", "4", stdin="who?", MPLUS_DEVICE="cpu")
    assert result.code == 0
    assert re.search(r"^  Story, at \d+ %$", result.err, flags=re.MULTILINE)
    result = process("ask", "x", LANG="C", PYTHONIOENCODING="ascii", MPLUS_HOME=str(tmp_path / "é"))
    assert result.code == 1
