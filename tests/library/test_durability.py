"""What reaches the disk, in which order; what is said if the disk does not confirm it; what is not a file."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from itertools import count
from pathlib import Path

import pytest

from models import durable
from mplus_cli.errors import DISK_FULL, MismatchError, MplusError, UsageError
from mplus_cli.library import Library, database, snapshot
from mplus_cli.library.verify import verify

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def steps(monkeypatch):
    """What reaches the disk, in order: (what, the last part of the name)."""
    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc")
    seen = []

    def watch(module, name, what, path_of):
        call = getattr(module, name)

        def watched(*args, **kwargs):
            seen.append((what, Path(path_of(*args)).name))
            return call(*args, **kwargs)

        monkeypatch.setattr(module, name, watched)

    watch(os, "fsync", "sync", lambda descriptor: os.readlink(f"/proc/self/fd/{descriptor}"))
    watch(os, "replace", "name", lambda old, new: new)
    watch(os, "rename", "name", lambda old, new: new)
    watch(os, "unlink", "delete", lambda path, **_: path)
    watch(database, "put_state", "commit", lambda *_: "memory.db")
    return seen


def test_a_commit_syncs_files_and_folders_before_it_names_them(
    book, tiny, model, steps, monkeypatch
):
    before = book.view().state.stm_file
    tiny.ingest(book, model, tiny.make_document("beta", 4))
    state = book.view().state
    segment = book.view().segments[-1].file.removeprefix("ltm/")
    assert steps == [
        ("sync", f".{segment}.tmp"),
        ("name", segment),
        ("sync", "ltm"),
        ("sync", f".{state.stm_file}.tmp"),
        ("name", state.stm_file),
        ("sync", "book"),
        ("commit", "memory.db"),
        *(step for step in steps[7:] if step[0] == "delete"),
    ]
    assert ("delete", before) not in steps, "there the newest document can be taken out again"
    tiny.ingest(book, model, tiny.make_document("gamma", 4))
    assert ("delete", before) in steps[7:]


def test_a_change_of_names_is_synced(book, tmp_path, tiny, steps):
    library = Library(book.folder.parent.parent)
    library.rename("book", "novel")
    assert steps[:2] == [("name", "novel"), ("sync", "memories")]
    steps.clear()
    library.create("other", tiny.IDENTITY)
    assert steps[-3:-1] == [("name", "other"), ("sync", "memories")]
    steps.clear()
    library.remove("other")
    assert steps[0][1].startswith(".trash-")
    assert steps[1] == ("sync", "memories")


def test_the_database_syncs_all_it_says_it_committed(book):
    with database.connect(book.folder, "book") as connection:
        values = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("synchronous", "journal_mode", "fullfsync", "foreign_keys")
        }
    # 3 is EXTRA: the folder is synced too, once the rollback journal is deleted.
    assert values == {"synchronous": 3, "journal_mode": "delete", "fullfsync": 1, "foreign_keys": 1}


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_the_database_reaches_the_disk_before_its_journal_goes(book, tmp_path):
    program = (
        "import sys; from pathlib import Path; from mplus_cli.library import database\n"
        "with database.connect(Path(sys.argv[1]), 'book') as c, database.transaction(c):\n"
        "    database.put_times(c, {'updated': database.now() + 'x'})\n"
    )
    trace, traced = tmp_path / "trace", "strace -y -e trace=fsync,fdatasync,unlink -o".split()
    done = subprocess.run(
        [*traced, trace, sys.executable, "-c", program, book.folder],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        pytest.skip(done.stderr)
    lines = trace.read_text().splitlines()
    gone = next(at for at, line in enumerate(lines) if "unlink" in line and "-journal" in line)
    synced = [line for line in lines[:gone] if "sync(" in line]
    assert "memory.db-journal>" in synced[0]
    assert "memory.db>" in synced[-1]
    assert any("sync(" in line and "/book>" in line for line in lines[gone:])


def fail_to_sync(monkeypatch, names):
    """Make syncing of folders with these names fail."""
    sync_folder = durable.sync_folder

    def failing(folder):
        if Path(folder).name in names:
            raise OSError(errno.EIO, "Input/output error", str(folder))
        sync_folder(folder)

    monkeypatch.setattr(durable, "sync_folder", failing)


def test_what_the_disk_does_not_confirm_is_reported_as_done(book, tmp_path, monkeypatch):
    library = Library(book.folder.parent.parent)
    fail_to_sync(monkeypatch, ("memories", "out"))
    told = r", but the disk did not confirm it \(Input/output error\): check the disk$"
    with pytest.raises(MplusError, match=f'^memory "book" is now "novel"{told}'):
        library.rename("book", "novel")
    assert library.names() == ["novel"]
    (tmp_path / "out").mkdir()
    file = tmp_path / "out" / "novel.safetensors"
    with pytest.raises(MplusError, match=f"^{file} is written{told}"):
        snapshot.save(library.open("novel"), file)
    assert file.exists()
    with pytest.raises(MplusError, match=f'^memory "again" is made{told}'):
        snapshot.load(library, file, "again")
    assert verify(library.open("again")) == []
    with pytest.raises(MplusError, match=f'^memory "novel" is removed{told}'):
        library.remove("novel")
    assert library.names() == ["again"]
    assert sorted(path.name for path in library.locks.folder.iterdir()) == [".names"]


def test_a_commit_whose_folder_is_not_synced_is_none(book, tiny, model, monkeypatch):
    before = tiny.contents(book.folder)
    fail_to_sync(monkeypatch, ("ltm",))
    with pytest.raises(MplusError, match=r"^cannot write .*: Input/output error: check the disk$"):
        tiny.ingest(book, model, tiny.make_document("beta", 60))
    assert tiny.contents(book.folder) == before


def test_a_full_disk_that_shows_when_the_database_is_synced(book, tiny, model, monkeypatch):
    class Late(sqlite3.OperationalError):
        sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC

    def fails(*_):
        raise Late("disk I/O error")

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(database, "put_state", fails)
    with pytest.raises(MplusError, match=r"disk I/O error: check the disk of .*memory.db$"):
        tiny.ingest(book, model, tiny.make_document("beta", 60))
    monkeypatch.setattr("mplus_cli.library.sqlite_errors.os.fsync", full)
    monkeypatch.setattr(durable, "sync_file", lambda file: file.flush())
    monkeypatch.setattr(durable, "sync_folder", lambda _: None)
    with pytest.raises(MplusError) as raised:
        tiny.ingest(book, model, tiny.make_document("beta", 60))
    assert str(raised.value) == DISK_FULL


@pytest.mark.parametrize("offset", [-1, -1_000, 400])
@pytest.mark.parametrize("pattern", ["stm-*", "ltm/1.*", "ltm/2.*"])
def test_bytes_that_changed_are_found_before_they_are_read(book, pattern, offset):
    book.load()
    (path,) = book.folder.glob(pattern)
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)
    with pytest.raises(MismatchError, match=r'^memory "book" is damaged: .*`mplus memory verify'):
        book.load()


@pytest.mark.skipif(sys.platform == "win32", reason="there a file has no such time")
@pytest.mark.parametrize("pattern", ["stm-*", "ltm/1.*"])
def test_bytes_that_changed_are_found_though_the_file_says_it_is_as_old_as_ever(book, pattern):
    book.load()
    (path,) = book.folder.glob(pattern)
    data, was = bytearray(path.read_bytes()), path.stat()
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    while path.stat().st_ctime_ns == was.st_ctime_ns:  # a clock that ticks seldom
        os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert path.stat().st_mtime_ns == was.st_mtime_ns
    with pytest.raises(MismatchError, match=r'^memory "book" is damaged: .*`mplus memory verify'):
        book.load()


def test_a_file_is_compared_once_for_every_change(book, monkeypatch):
    from mplus_cli.library import files

    compared = []
    digest = files.digest
    monkeypatch.setattr(
        files, "digest", lambda path, *more: compared.append(path.name) or digest(path, *more)
    )
    book.load()  # a copy of what the fixture made: other files to this machine
    named = sorted(Path(file).name for file in files.named_files(book.view()))
    assert sorted(compared) == named
    book.load()
    assert sorted(compared) == named
    os.utime(book.folder / "ltm" / "1.safetensors")
    book.load()
    assert compared[len(named) :] == ["1.safetensors"]
    assert verify(book) == []


def test_what_was_just_written_or_loaded_is_not_compared(book, tiny, model, tmp_path, monkeypatch):
    from mplus_cli.library import files

    tiny.ingest(book, model, tiny.make_document("beta", 60))
    snapshot.save(book, tmp_path / "book.safetensors")
    other = snapshot.load(Library(tmp_path / "other"), tmp_path / "book.safetensors")
    monkeypatch.setattr(files, "digest", lambda path: pytest.fail(f"{path} is compared"))
    book.load()
    other.load()


def test_a_library_that_cannot_be_written_is_read(book, monkeypatch):
    def read_only(*_):
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr(database, "put_checked", read_only)
    assert book.load().chunks == book.view().chunks


def test_a_memory_that_is_removed_meanwhile_is_reported(book):
    library = Library(book.folder.parent.parent)
    library.rename("book", "novel")
    for look in (book.load, book.summary, lambda: book.chunk(0), lambda: verify(book)):
        with pytest.raises(MplusError, match="was removed or renamed in the meantime") as raised:
            look()
        assert raised.value.exit_code == 1


def test_a_list_leaves_out_what_is_removed_meanwhile(book, monkeypatch):
    library = Library(book.folder.parent.parent)
    monkeypatch.setattr(library, "names", lambda: ["book", "gone"])
    assert [line.name for line in library.summaries()] == ["book"]


@pytest.mark.parametrize("force", [False, True])
def test_two_saves_to_one_name_are_both_reported_correctly(book, tmp_path, force):
    file = tmp_path / "book.safetensors"
    said, ready = [], threading.Barrier(4)

    def save():
        ready.wait()
        try:
            snapshot.save(book, file, overwrite=force)
            said.append("saved")
        except MplusError as error:
            said.append(str(error))

    threads = [threading.Thread(target=save) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said.count("saved") == 1 or (force and "saved" in said)
    others = {line for line in said if line != "saved"}
    assert others <= {
        f"{file} is being written by another process: wait for it",
        f"{file} exists already: choose another name, or give --force",
    }
    snapshot.load(Library(tmp_path / "other"), file)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs mkfifo")
@pytest.mark.parametrize("kind", ["pipe", "device", "link"])
def test_what_is_no_regular_file_is_not_saved_to(book, tmp_path, kind):
    file = tmp_path / kind
    if kind == "device":
        try:
            os.mknod(file, 0o600 | 0o020000, os.makedev(1, 7))  # the numbers of "full"
        except PermissionError:
            pytest.skip("only root makes devices")
    else:
        os.mkfifo(tmp_path / "pipe")
    if kind == "link":
        file.symlink_to("pipe")
    before = file.lstat()
    with pytest.raises(UsageError, match="is not a regular file"):
        snapshot.save(book, file, overwrite=True)
    assert os.path.samestat(before, file.lstat())
    assert file.lstat().st_mode == before.st_mode


def test_locks_that_a_late_kill_left_go_with_the_next_change(book, tmp_path, killed_before, tiny):
    file = tmp_path / "book.safetensors"
    snapshot.save(book, file)
    left = 0
    for number in count(1):
        library = Library(tmp_path / str(number))
        killed = killed_before(number, lambda library=library: snapshot.load(library, file))
        if library.locks.folder.exists():
            left += any(name.startswith(".new-") for name in library.locks.taken())
        if "book" in library.names():
            assert verify(library.open("book")) == []
        library.create("other", tiny.IDENTITY)
        assert not any(path.name.startswith(".new-") for path in library.folder.rglob("*"))
        if not killed:
            break
    assert left > 3
