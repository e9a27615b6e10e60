"""A full disk: one line that says what to do, and the last commit stays."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import suppress

import pytest

from mplus_cli.errors import MplusError
from mplus_cli.library import Library, database, snapshot, tensors
from mplus_cli.library.verify import verify

MESSAGE = (
    "the disk is full: free some space and run the same command again (what was committed is kept)"
)


def assert_full(raised):
    assert str(raised.value) == MESSAGE
    assert raised.value.exit_code == 1


def fail_after(count, call, error):
    """`call`, but its `count`-th and later calls raise."""
    left = [count]

    def wrapped(*args, **kwargs):
        left[0] -= 1
        if left[0] < 0:
            raise error
        return call(*args, **kwargs)

    return wrapped


@pytest.mark.parametrize("after", range(6))
def test_a_write_that_fails_leaves_the_last_commit(
    tmp_path, tiny, model, small_commits, monkeypatch, after
):
    document = tiny.make_document("alpha", 200)
    whole = tiny.contents(tiny.make_memory(tmp_path / "whole", model, document).folder)
    stored = tiny.make_memory(tmp_path / "full", model)
    full = OSError(errno.ENOSPC, "No space left on device")
    with monkeypatch.context() as patched:
        patched.setattr(tensors, "header", fail_after(after, tensors.header, full))
        with pytest.raises(MplusError) as raised:
            tiny.ingest(stored, model, document)
    assert_full(raised)
    named = {"memory.db"}
    if not stored.is_empty:
        view = stored.view()
        named |= {row.file for row in view.segments} | {view.state.stm_file}
    assert set(tiny.tree(stored.folder)) == named
    assert verify(stored) == []
    tiny.ingest(stored, model, document)
    assert tiny.contents(stored.folder) == whole


def test_a_transaction_that_fails_leaves_the_last_commit(book, tiny, model, monkeypatch):
    before = tiny.contents(book.folder)

    class Full(sqlite3.OperationalError):
        sqlite_errorcode = sqlite3.SQLITE_FULL

    with monkeypatch.context() as patched:
        patched.setattr(
            database, "put_state", fail_after(0, database.put_state, Full("disk is full"))
        )
        with pytest.raises(MplusError) as raised:
            tiny.ingest(book, model, tiny.make_document("beta", 60))
    assert_full(raised)
    assert tiny.contents(book.folder) == before


def test_a_snapshot_that_does_not_fit_leaves_nothing(book, tiny, tmp_path, monkeypatch):
    file = tmp_path / "book.safetensors"
    snapshot.save(book, file)
    library = Library(tmp_path / "other")
    full = OSError(errno.EDQUOT, "Disk quota exceeded")
    with monkeypatch.context() as patched:
        patched.setattr(tensors, "header", fail_after(1, tensors.header, full))
        with pytest.raises(MplusError) as raised:
            snapshot.load(library, file)
    assert_full(raised)
    assert tiny.tree(library.folder) == {}
    with monkeypatch.context() as patched:
        patched.setattr("models.durable.sync_file", fail_after(0, None, full))
        with pytest.raises(MplusError) as raised:
            snapshot.save(book, tmp_path / "second.safetensors")
    assert_full(raised)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [file.name]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 500 KiB; skips where this process may not mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small disk")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=500k", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_memory_can_be_removed_from_a_full_disk(small_disk, tiny, model):
    """There is no room for the number of the process that holds the lock."""
    tiny.make_memory(small_disk, model, tiny.make_document("alpha", 100))
    library = Library(small_disk)
    shutil.rmtree(library.locks.folder)
    library.clean()
    with (small_disk / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
        while ballast.write(bytes(4096)):
            pass
    assert library.open("book").load().chunks
    library.rename("book", "novel")
    library.remove("novel")
    assert library.names() == []
    assert not tiny.tree(library.folder)


def test_a_lock_file_that_stays_is_no_failure(book, tiny, tmp_path, monkeypatch):
    """What it guarded is done by then; the next change of a name removes it."""
    snapshot.save(book, tmp_path / "book.safetensors")
    library = Library(tmp_path / "other")
    real = os.unlink

    def fails(path, *args, **kwargs):
        if ".locks" in str(path):
            raise OSError(errno.EIO, "Input/output error", str(path))
        real(path, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", fails)
        snapshot.load(library, tmp_path / "book.safetensors")
        library.rename("book", "novel")
        library.remove("novel")
    assert len(library.locks.taken()) == 3
    library.clean()
    assert library.locks.taken() == []


def test_a_disk_that_is_really_full(small_disk, tiny, model, small_commits, tmp_path, monkeypatch):
    # A merged file needs room beside those it replaces: more than this disk has.
    monkeypatch.setattr("mplus_cli.library.compaction.FAN", 1_000)
    document = tiny.make_document("alpha", 900)
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 150_000)
    stored = tiny.make_memory(small_disk, model)
    with pytest.raises(MplusError) as raised:
        tiny.ingest(stored, model, document)
    assert_full(raised)
    committed = stored.documents()[0].chunks_read
    assert 0 < committed < stored.documents()[0].chunks
    ballast.unlink()
    assert verify(stored) == []
    assert not list(stored.folder.rglob("*.tmp"))
    tiny.ingest(stored, model, document)
    assert stored.documents()[0].complete
    whole = tiny.make_memory(tmp_path / "whole", model, document)
    assert tiny.contents(stored.folder) == tiny.contents(whole.folder)
