"""Forks, what memories take on the disk, and what is left over: real files, killed processes."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest

from mplus_cli.errors import MplusError, UsageError
from mplus_cli.library import Library, database
from mplus_cli.library.forking import fork
from mplus_cli.library.seal import put_seals
from mplus_cli.library.space import collect, leftovers, total_bytes, usage
from mplus_cli.library.verify import verify


@pytest.fixture
def library(book: Any) -> Library:
    """The library of the memory "book"."""
    return Library(book.folder.parent.parent)


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_fork_is_whole_shares_files_and_goes_its_own_way(library: Library) -> None:
    before = files_of(library.open("book").folder)
    stored = fork(library, "book", "copy")
    assert verify(stored) == []
    assert stored.view().state == library.open("book").view().state
    shared = list(stored.folder.rglob("*.safetensors"))
    assert shared and all(path.stat().st_nlink == 2 for path in shared)
    assert (stored.folder / "memory.db").stat().st_nlink == 1
    assert stat.S_IMODE(stored.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((stored.folder / "memory.db").stat().st_mode) == 0o600
    one, other = usage(library.open("book")), usage(stored)
    assert one.shared == other.shared == one.long_term + one.short_term
    together = one.total + other.total - one.shared
    assert together <= total_bytes(library) < together + 100  # locks are files too
    library.remove("book")
    assert verify(stored) == [] and usage(stored).shared == 0
    assert files_of(stored.folder).keys() == before.keys()


def test_a_file_system_without_hard_links(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.EPERM, "not permitted")

    monkeypatch.setattr(os, "link", refuse)
    stored = fork(library, "book", "copy")
    assert verify(stored) == [] and usage(stored).shared == 0
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in stored.folder.glob("stm-*"))


def test_what_cannot_be_forked(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="already a memory"):
        fork(library, "book", "book")
    with pytest.raises(UsageError):
        fork(library, "book", "../x")
    with pytest.raises(MplusError, match="there is no memory"):
        fork(library, "gone", "x")
    library.create("empty", library.open("book").identity)
    with pytest.raises(MplusError, match="is empty"):
        fork(library, "empty", "x")
    next(library.open("book").folder.glob("stm-*")).unlink()
    with pytest.raises(MplusError, match="is missing"):
        fork(library, "book", "x")
    assert library.names() == ["book", "empty"]
    assert [entry.name for entry in library.folder.iterdir() if entry.name.startswith(".new")] == []


def test_a_commit_in_between_is_seen(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database is copied after the files: where it has gone on, all is taken again."""
    stored = library.open("book")
    link, seen = os.link, []

    def commit_meanwhile(source: Path, target: Path) -> None:
        link(source, target)
        if not seen:
            seen.append(source)
            with sqlite3.connect(stored.folder / "memory.db") as connection:
                connection.execute("UPDATE state SET number = number + 1")
                put_seals(connection)

    monkeypatch.setattr(os, "link", commit_meanwhile)
    copy = fork(library, "book", "copy")
    assert seen and copy.view().state == stored.view().state


def test_a_killed_fork_leaves_nothing_that_counts(library: Library, killed_before: Any) -> None:
    step = 1
    while killed_before(step, lambda: fork(library, "book", "copy")):
        assert verify(library.open("book")) == []
        if "copy" in library.names():
            assert verify(library.open("copy")) == []
            library.remove("copy")
        step += 1
    assert step > 4 and verify(library.open("copy")) == []


def test_what_is_left_over_goes_and_nothing_else(library: Library) -> None:
    stored = library.open("book")
    whole = files_of(stored.folder)
    for name in ("stm-interim-9.safetensors", "ltm/99.safetensors", "ltm/.7.safetensors.tmp"):
        (stored.folder / name).write_bytes(bytes(1000))
    for name in (".new-1", ".trash-2"):
        shutil.copytree(stored.folder, library.folder / name)
    (stored.folder / "mine.txt").write_text("not ours")
    assert usage(stored).left_over == 3000
    assert len(leftovers(library)) == 5
    with stored.writer():  # held by a living process
        (stored.folder / "ltm" / "99.safetensors").write_bytes(bytes(1000))
        gone = {path.name for path, _ in collect(library)}
        assert gone == {".new-1", ".trash-2"}
    assert [(path.name, held) for path, held in collect(library)] == [("99.safetensors", 1000)]
    assert collect(library) == [] and collect(Library(library.folder / "none")) == []
    del whole["memory.db"]
    assert whole.items() <= files_of(stored.folder).items()
    assert (stored.folder / "mine.txt").exists() and verify(stored) == []


def test_a_damaged_memory_is_counted_and_left(library: Library) -> None:
    folder = library.open("book").folder
    (folder / database.FILE).write_bytes(b"x" * 100)
    (folder / "stm-77.safetensors").write_bytes(bytes(10))
    found = usage(library.open("book"))
    assert (found.text, found.left_over) == (100, 0)
    assert collect(library) == [] and (folder / "stm-77.safetensors").exists()
