"""A shelf of books, read by Ray's actors on this machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mplus_cli.errors import MplusError, UsageError
from mplus_cli.ingest.job import Report, ingest, plan
from mplus_cli.ingest.shelf import read_shelf
from mplus_cli.library import Library
from mplus_cli.library.verify import verify
from mplus_cli.runtime.session import open_session
from mplus_cli.settings import Flags, Settings, resolve

TEXT = "Every night Orla Finch wrote the weather in a green book and lit the lamp. "


@pytest.fixture
def settings(tmp_path: Path, tiny_checkpoint_folder: Path) -> Settings:
    return resolve(Flags(str(tiny_checkpoint_folder), "cpu", home=tmp_path / "home", offline=True))


@pytest.fixture(scope="module")
def engine() -> Iterator[Any]:
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ray
    ray.shutdown()


@pytest.fixture
def books(tmp_path: Path) -> dict[str, Path]:
    """Two books that differ."""
    paths = {name: tmp_path / f"{name}.txt" for name in ("emma", "pim")}
    for count, path in enumerate(paths.values(), start=5):
        path.write_text(TEXT * count, encoding="utf-8")
    return paths


def test_memories_are_those_that_ingest_leaves(
    engine: Any, settings: Settings, books: dict[str, Path], tmp_path: Path
) -> None:
    done = read_shelf(books, settings)
    assert list(done) == ["emma", "pim"]
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
    again = read_shelf(books, settings)
    assert [document["status"] for name in books for document in again[name].report.documents] == [
        "already-read"
    ] * 2


def test_what_goes_wrong_with_one_book_is_told_and_the_others_are_read(
    engine: Any, settings: Settings, books: dict[str, Path], tmp_path: Path
) -> None:
    library = Library(settings.home)
    read_shelf({"pim": books["pim"]}, settings)
    with library.open("pim").writer():
        done = read_shelf(
            {"gone": tmp_path / "gone.txt", "pim": books["emma"], "emma": [books["emma"]]}, settings
        )
    assert done["gone"].error is None and done["gone"].report.is_hopeless
    assert "gone.txt" in done["gone"].report.failed[0]["error"]
    assert "being written by another process" in str(done["pim"].error)
    assert done["emma"].error is None and not done["emma"].report.failed
    assert library.names() == ["emma", "pim"]


def test_more_cores_than_there_are_are_refused(engine: Any, settings: Settings) -> None:
    with pytest.raises(UsageError, match="the engine has 2"):
        read_shelf({"emma": "a.txt"}, settings, cores=3)


def test_wrong_names_and_counts_are_refused_at_once(settings: Settings) -> None:
    with pytest.raises(UsageError):
        read_shelf({"../up": "a.txt"}, settings)
    with pytest.raises(UsageError, match="1 or more"):
        read_shelf({"emma": "a.txt"}, settings, cores=0)


def test_without_ray_it_says_what_to_install(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MplusError, match=r"pip install 'mplus\[ray\]'"):
        read_shelf({"emma": "a.txt"}, settings)
