"""A shelf of books, read by processes of this machine and by Ray's workers."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mplus_cli.errors import ExitCode, MplusError, UsageError
from mplus_cli.ingest.engines import LocalProcesses, RayCluster
from mplus_cli.ingest.job import Report, ingest, plan
from mplus_cli.ingest.shelf import (
    BookFinished,
    BookProgress,
    Engine,
    ShelfReport,
    name_memories,
    read_shelf,
)
from mplus_cli.library import Library
from mplus_cli.library.verify import verify
from mplus_cli.runtime.session import open_session
from mplus_cli.settings import Flags, Settings, resolve

TEXT = "Every night Orla Finch wrote the weather in a green book and lit the lamp. "


@pytest.fixture
def settings(tmp_path: Path, tiny_checkpoint_folder: Path) -> Settings:
    return resolve(Flags(str(tiny_checkpoint_folder), "cpu", home=tmp_path / "home", offline=True))


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    ray = pytest.importorskip("ray")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ray
    ray.shutdown()


@pytest.fixture(params=["processes", "ray"])
def engine(request: pytest.FixtureRequest) -> Engine:
    if request.param == "processes":
        return LocalProcesses(2)
    request.getfixturevalue("ray")
    return RayCluster()


@pytest.fixture
def books(tmp_path: Path) -> dict[str, Path]:
    """Two books that differ."""
    paths = {name: tmp_path / f"{name}.txt" for name in ("emma", "pim")}
    for count, path in enumerate(paths.values(), start=5):
        path.write_text(TEXT * count, encoding="utf-8")
    return paths


def finished(events: Iterator[Any]) -> dict[str, BookFinished]:
    return {event.name: event for event in events if isinstance(event, BookFinished)}


def test_memories_are_those_that_ingest_leaves(
    engine: Engine, settings: Settings, books: dict[str, Path], tmp_path: Path
) -> None:
    events = list(read_shelf(books, settings, engine))
    assert {event.name for event in events if isinstance(event, BookProgress)} == set(books)
    done = finished(iter(events))
    assert set(done) == {"emma", "pim"}
    library, alone = Library(settings.home), Library(tmp_path / "alone")
    session = open_session(settings, note=lambda _: None, progress=lambda *_: None)
    for name, book in books.items():
        assert done[name].error is None
        (document,) = done[name].report.documents
        assert (document["status"], document["path"]) == ("read", str(book))
        stored = library.open(name)
        assert verify(stored) == []
        expected = alone.open_or_create(name, session.identity)
        planned = plan([str(book)], progress=lambda *_: None)
        list(ingest(session, expected, planned.given, Report(name)))
        files = {row.file: row.sha256 for row in expected.view().segments}
        assert {row.file: row.sha256 for row in stored.view().segments} == files
        one, other = stored.view().state, expected.view().state
        assert one is not None and other is not None
        assert one.stm_sha256 == other.stm_sha256
        assert done[name].report.tokens == one.tokens > 100
    again = finished(read_shelf(books, settings, engine))
    assert [document["status"] for name in books for document in again[name].report.documents] == [
        "already-read"
    ] * 2


def test_one_book_that_fails_does_not_stop_the_others(
    engine: Engine, settings: Settings, books: dict[str, Path], tmp_path: Path
) -> None:
    library = Library(settings.home)
    finished(read_shelf({"pim": books["pim"]}, settings, engine))
    shelf = {"gone": tmp_path / "gone.txt", "pim": books["emma"], "emma": [books["emma"]]}
    with library.open("pim").writer():
        done = finished(read_shelf(shelf, settings, engine))
    assert done["gone"].error is None and done["gone"].report.is_hopeless
    assert "gone.txt" in done["gone"].report.failed[0]["error"]
    assert "being written by another process" in str(done["pim"].error)
    assert done["emma"].error is None and not done["emma"].report.failed
    assert library.names() == ["emma", "pim"]
    report = ShelfReport(list(done.values()))
    assert report.exit_code == ExitCode.PARTIAL
    assert [entry["memory"] for entry in report.to_json()["memories"]] == ["emma", "gone", "pim"]


def children(pid: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_worker(pid: int) -> bool:
    return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="finds worker processes in /proc")
def test_a_worker_that_is_killed_is_reported_and_its_book_resumes(
    settings: Settings, books: dict[str, Path]
) -> None:
    books["emma"].write_text(TEXT * 4000, encoding="utf-8")
    done: dict[str, BookFinished] = {}
    for event in read_shelf(books, settings, LocalProcesses(2)):
        if isinstance(event, BookProgress) and event.name == "emma" and event.chunks_done == 3:
            for pid in filter(is_worker, children(os.getpid())):
                if b"emma" in worker_books(pid):
                    os.kill(pid, signal.SIGKILL)
        elif isinstance(event, BookFinished):
            done[event.name] = event
    assert "died (exit code -9): run the same command to go on" in str(done["emma"].error)
    assert done["pim"].error is None
    again = finished(read_shelf(books, settings, LocalProcesses(1)))
    assert again["emma"].error is None
    assert [entry["status"] for entry in again["emma"].report.documents] == ["read"]


def worker_books(pid: int) -> bytes:
    """The lock file that a worker holds open names the memory it writes."""
    held = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()]
    return " ".join(held).encode()


@pytest.mark.skipif(sys.platform != "linux", reason="finds worker processes in /proc")
def test_stopping_early_ends_the_workers(settings: Settings, books: dict[str, Path]) -> None:
    books["emma"].write_text(TEXT * 4000, encoding="utf-8")
    events = read_shelf(books, settings, LocalProcesses(2))
    next(events)
    before = set(filter(is_worker, children(os.getpid())))
    assert before
    events.close()  # type: ignore[attr-defined]
    assert not any(Path(f"/proc/{pid}").exists() for pid in before)


def test_a_cluster_of_its_own_sends_no_statistics(
    settings: Settings, books: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray")
    started: dict[str, str | None] = {}

    def init(address: str, **_: Any) -> None:
        started[address] = os.environ.get("RAY_USAGE_STATS_ENABLED")
        raise ConnectionError("seen enough")

    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(UsageError, match="no Ray cluster at local: seen enough"):
        list(read_shelf(books, settings, RayCluster()))
    assert started == {"local": "0"}


def test_more_cores_than_there_are_are_refused(ray: Any, settings: Settings) -> None:
    with pytest.raises(UsageError, match="the cluster has 2"):
        list(read_shelf({"emma": "a.txt"}, settings, RayCluster(cores=3)))


def test_wrong_names_and_counts_are_refused_at_once(settings: Settings) -> None:
    with pytest.raises(UsageError):
        list(read_shelf({"../up": "a.txt"}, settings, LocalProcesses(1)))
    with pytest.raises(UsageError, match="1 or more"):
        LocalProcesses(0)
    with pytest.raises(UsageError, match="1 or more"):
        RayCluster(cores=0)


def test_without_ray_it_says_what_to_install(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MplusError, match=r"pip install 'mplus\[ray\]'"):
        list(read_shelf({"emma": "a.txt"}, settings, RayCluster()))


def test_memories_are_named_after_files(tmp_path: Path) -> None:
    names = ("Émile & I.txt", "war-and-peace.md", "ch1.txt")
    for name in names:
        (tmp_path / name).write_text(TEXT)
    (tmp_path / "thesis.doc").write_bytes(b"PK")
    notes: list[str] = []
    given = [str(tmp_path), str(tmp_path / "gone.pdf"), str(tmp_path / "ch1.txt")]
    named = name_memories(given, notes.append)
    assert len(notes) == 1 and "thesis.doc" in notes[0]
    assert set(named) == {"Emile-I", "war-and-peace", "ch1", "gone"}
    (tmp_path / "ch1.md").write_text(TEXT)
    with pytest.raises(UsageError, match='would both become the memory "ch1"'):
        name_memories([str(tmp_path)], notes.append)
    with pytest.raises(UsageError, match="standard input"):
        name_memories(["-"], notes.append)
