"""Files and folders that are whole or as they were: real kills, and the order of what reaches the disk."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from models import durable
from models.durable import new_file, new_folder, recover

ROOT = Path(__file__).resolve().parents[2]
Kill = Callable[[int, Callable[[], object]], bool]


@pytest.fixture(params=["exchanged", "renamed"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A system that exchanges two names in one step, and one that does not."""
    if request.param == "renamed":
        monkeypatch.setattr(durable, "_renameat2", lambda *_: False)
    elif sys.platform != "linux":
        pytest.skip("needs renameat2")
    return str(request.param)


def fill(folder: Path, text: str) -> None:
    with new_folder(folder) as fresh:
        (fresh / "a").write_text(text)
        (fresh / "inner").mkdir()
        (fresh / "inner" / "b").write_text(text)


def texts(folder: Path) -> set[str]:
    """What the files say; one text, if the folder is whole."""
    assert sorted(path.name for path in folder.rglob("*")) == ["a", "b", "inner"]
    return {path.read_text() for path in folder.rglob("*") if path.is_file()}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_killed_at_each_step_is_old_or_new(tmp_path: Path, killed_before: Kill) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def work() -> None:
        with new_file(path) as file:
            file.write(b"new" * 10_000)

    seen = set()
    for number in count(1):
        killed = killed_before(number, work)
        seen.add(path.read_text())
        if not killed:
            break
        work()  # nothing is in its way
        assert names(tmp_path) == ["file"]
        path.write_text("old")
    assert seen == {"old", "new" * 10_000}
    assert number > 3


@pytest.mark.parametrize("before", ["", "old"])
def test_a_folder_killed_at_each_step_is_old_or_new(
    tmp_path: Path, system: str, killed_before: Kill, before: str
) -> None:
    seen: list[str] = []
    for number in count(1):
        folder = tmp_path / str(number) / "folder"
        folder.parent.mkdir()
        if before:
            fill(folder, before)
        killed = killed_before(number, lambda folder=folder: fill(folder, "new"))  # type: ignore[misc]
        recover(folder)
        (found,) = texts(folder) if folder.exists() else {""}
        seen.append(found)
        if not killed:
            break
        fill(folder, "again")
        assert texts(folder) == {"again"}
        assert names(folder.parent) == ["folder"]
    # Once the new one was there, it stays.
    assert seen == sorted(seen, key=["", "old", "new"].index)
    assert {before, "new"} == set(seen)


def test_a_killed_recovery_is_recovered(tmp_path: Path, killed_before: Kill) -> None:
    for number in count(1):
        parent = tmp_path / str(number)
        fill(parent / "folder", "new")
        fill(parent / "old", "old")
        # As a death between the two renames leaves it.
        work = durable.beside(parent / "folder")
        work.mkdir()
        (parent / "folder").rename(work / "new")
        (parent / "old").rename(work / "old")
        killed = killed_before(number, lambda parent=parent: recover(parent / "folder"))  # type: ignore[misc]
        recover(parent / "folder")
        assert texts(parent / "folder") == {"new"}
        if not killed:
            break
    assert number > 3


def test_half_deleted_leftovers_never_come_back(tmp_path: Path, system: str) -> None:
    folder = tmp_path / "folder"
    fill(folder, "old")
    deleted = []

    def half(path: Path, **_: object) -> None:
        deleted.append(path)
        for file in path.rglob("a"):
            file.unlink()

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(shutil, "rmtree", half)
        fill(folder, "new")
    assert deleted
    shutil.rmtree(folder)
    recover(folder)
    assert not folder.exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(errno.ENOSPC, "full")])
def test_an_interrupt_at_each_step_leaves_old_or_new(
    tmp_path: Path, system: str, error: BaseException
) -> None:
    for number in count(1):
        folder = tmp_path / str(number) / "folder"
        fill(folder, "old")
        with pytest.MonkeyPatch.context() as monkeypatch:
            left = [number]

            def failing(
                call: Callable[..., object], left: list[int] = left
            ) -> Callable[..., object]:
                def step(*args: object, **kwargs: object) -> object:
                    left[0] -= 1
                    if left[0] == 0:
                        raise error
                    return call(*args, **kwargs)

                return step

            for name in ("fsync", "rename", "mkdir"):
                monkeypatch.setattr(os, name, failing(getattr(os, name)))
            monkeypatch.setattr(durable, "_renameat2", failing(durable._renameat2))
            try:
                fill(folder, "new")
            except (KeyboardInterrupt, OSError):
                pass
            else:
                break
        (found,) = texts(folder)
        assert found in ("old", "new")
        assert names(folder.parent) == ["folder"]
    assert number > 5


def test_what_fails_leaves_what_was_there(tmp_path: Path) -> None:
    fill(tmp_path / "folder", "old")
    (tmp_path / "file").write_text("old")
    with pytest.raises(TypeError), new_folder(tmp_path / "folder") as fresh:
        (fresh / "a").write_text(b"new")  # type: ignore[arg-type]
    with pytest.raises(TypeError), new_file(tmp_path / "file") as file:
        file.write("new")  # type: ignore[arg-type]
    assert texts(tmp_path / "folder") == {"old"}
    assert (tmp_path / "file").read_text() == "old"
    assert names(tmp_path) == ["file", "folder"]


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What reaches the disk, in order, by the last part of its name."""
    seen: list[tuple[str, str]] = []
    fsync, replace = os.fsync, os.replace

    def name_of(descriptor: int) -> str:
        return Path(os.readlink(f"/proc/self/fd/{descriptor}")).name

    def synced(descriptor: int) -> None:
        seen.append(("sync", name_of(descriptor)))
        fsync(descriptor)

    def replaced(old: Path, new: Path) -> None:
        seen.append(("name", Path(new).name))
        replace(old, new)

    def exchanged(old: Path, new: Path, flags: int) -> bool:
        seen.append(("name", Path(new).name))
        return renameat2(old, new, flags)

    renameat2 = durable._renameat2
    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc")
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    monkeypatch.setattr(durable, "_renameat2", exchanged)
    return seen


def test_a_file_is_on_the_disk_before_its_name_and_its_name_at_the_end(
    tmp_path: Path, steps: list[tuple[str, str]]
) -> None:
    with new_file(tmp_path / "file") as file:
        file.write(b"new")
    assert steps == [("sync", ".file.tmp"), ("name", "file"), ("sync", tmp_path.name)]


def test_a_folder_is_on_the_disk_before_its_name_and_its_name_at_the_end(
    tmp_path: Path, steps: list[tuple[str, str]]
) -> None:
    fill(tmp_path / "folder", "old")
    steps.clear()
    fill(tmp_path / "folder", "new")
    assert set(steps[:-2]) == {("sync", name) for name in ("a", "b", "inner", "new")}
    assert steps[-2:] == [("name", "folder"), ("sync", tmp_path.name)]


def test_one_process_writes_and_another_is_told(tmp_path: Path) -> None:
    with new_file(tmp_path / "file") as file, new_folder(tmp_path / "folder") as fresh:
        file.write(b"first")
        (fresh / "a").write_text("first")
        for write in (new_file(tmp_path / "file"), new_folder(tmp_path / "folder")):
            with pytest.raises(BlockingIOError, match="being written by another process"), write:
                pass
    assert (tmp_path / "file").read_text() == "first"
    assert (tmp_path / "folder" / "a").read_text() == "first"


def test_of_many_that_may_not_replace_one_wins(tmp_path: Path, system: str) -> None:
    won, ready = [], threading.Barrier(8)

    def write(number: int) -> None:
        ready.wait()
        try:
            with new_file(tmp_path / "file", replace=False) as file:
                file.write(b"%d" % number)
            won.append(number)
        except (FileExistsError, BlockingIOError):
            pass

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert (tmp_path / "file").read_text() == str(won[0])
    assert names(tmp_path) == ["file"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs mkfifo")
def test_what_is_no_regular_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for name in ("pipe", "link"):
        with (
            pytest.raises(FileExistsError, match="is not a regular file"),
            new_file(tmp_path / name),
        ):
            pass
    (tmp_path / "file").write_text("mine")
    with pytest.raises(NotADirectoryError, match="is not a folder"), new_folder(tmp_path / "file"):
        pass
    assert names(tmp_path) == ["file", "link", "pipe"]


def test_a_name_that_is_not_confirmed_is_there_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(durable, "sync_folder", fails)
    with pytest.raises(durable.Unconfirmed), new_file(tmp_path / "file") as file:
        file.write(b"new")
    assert (tmp_path / "file").read_text() == "new"


PROGRAM = """
import sys
from pathlib import Path
from models import durable
if sys.argv[1] == "renamed":
    durable._renameat2 = lambda *_: False
with durable.new_folder(Path("folder")) as fresh:
    (fresh / "a").write_text("new")
    (fresh / "inner").mkdir()
    (fresh / "inner" / "b").write_text("new")
with durable.new_file(Path("file")) as file:
    file.write(b"new")
print("done", flush=True)
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
@pytest.mark.parametrize("how", ["exchanged", "renamed"])
def test_killed_before_each_system_call(tmp_path: Path, how: str) -> None:
    """By strace, so that nothing of the process itself has a say in it."""
    calls = ("rename", "renameat2", "mkdir", "rmdir", "unlink", "unlinkat", "fsync", "chmod")
    seen: list[tuple[str, str]] = []
    for call in calls:  # strace counts each call by itself
        for number in count(1):
            place = tmp_path / f"{call}{number}"
            fill(place / "folder", "old")
            (place / "file").write_text("old")
            trace = ["strace", "-f", "-o", "trace", "-e", f"trace={','.join(calls)}"]
            inject = ["-e", f"inject={call}:signal=SIGKILL:when={number}"]
            done = subprocess.run(
                [*trace, *inject, sys.executable, "-c", PROGRAM, how],
                cwd=place,
                env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
                capture_output=True,
                text=True,
            )
            if "ptrace" in done.stderr:
                pytest.skip(done.stderr)
            recover(place / "folder")
            (found,) = texts(place / "folder")
            seen.append((found, (place / "file").read_text()))
            if "done" in done.stdout:
                break
            fill(place / "folder", "again")
            assert texts(place / "folder") == {"again"}
    assert set(seen) == {("old", "old"), ("new", "old"), ("new", "new")}
    assert len(seen) > len(calls) + 15
