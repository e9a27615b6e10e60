"""Crashes: a process killed at any moment of an ingest leaves the last commit.

The killed processes are real: forked from this one, so that each is there at once.
"""

from __future__ import annotations

import os
import random
import signal
import time
from itertools import count

import pytest

from mplus_cli.library import Library, compaction
from mplus_cli.library.verify import verify

if not hasattr(os, "fork"):
    pytest.skip("needs fork", allow_module_level=True)


@pytest.fixture(autouse=True)
def merging(monkeypatch):
    """Merge small files at nearly every commit, so that runs are killed in the middle of it too."""
    monkeypatch.setattr(compaction, "FAN", 2)


@pytest.fixture
def documents(tiny):
    return [tiny.make_document("alpha", 130, pages=4), tiny.make_document("beta", 40)]


@pytest.fixture
def whole(tmp_path, tiny, model, small_commits, documents):
    """What an uninterrupted run leaves."""
    return tiny.contents(tiny.make_memory(tmp_path / "whole", model, *documents).folder)


def start(work):
    """Run `work` in a process of its own; its number."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return pid


def ended_by_itself(pid):
    _, status = os.waitpid(pid, 0)
    assert status in (0, signal.SIGKILL), "the process failed"
    return status == 0


def test_killed_at_random_moments(tmp_path, tiny, model, documents, whole):
    """Kill and start again until it is done, many times over."""
    began = time.monotonic()
    tiny.make_memory(tmp_path / "timed", model, *documents)
    usual = time.monotonic() - began
    chance, kills = random.Random(0), 0
    for attempt in count():
        if kills >= 12:
            break
        home = tmp_path / f"home{attempt}"

        def work(home=home):
            stored = Library(home).open_or_create("book", tiny.IDENTITY)
            tiny.ingest(stored, model, *documents)

        for later in count(8):  # a machine may be much slower by now than it was
            pid = start(work)
            time.sleep(chance.uniform(0, usual * later / 10))
            os.kill(pid, signal.SIGKILL)
            if ended_by_itself(pid):
                break
            kills += 1
            if "book" in Library(home).names():
                stored = Library(home).open("book")
                assert verify(stored) == []
                if not stored.is_empty:
                    stored.load()
        assert tiny.contents(home / "memories" / "book") == whole


def test_killed_before_each_step_to_the_disk(
    tmp_path, tiny, model, documents, whole, killed_before
):
    for number in count(1):
        home = tmp_path / f"home{number}"

        def work(home=home):
            stored = Library(home).open_or_create("book", tiny.IDENTITY)
            tiny.ingest(stored, model, *documents)

        killed = killed_before(number, work)
        stored = Library(home).open_or_create("book", tiny.IDENTITY)
        assert verify(stored) == []
        tiny.ingest(stored, model, *documents)
        assert tiny.contents(stored.folder) == whole
        assert sorted(path.name for path in stored.folder.parent.iterdir()) == [".locks", "book"]
        if not killed:
            break
    assert number > 30


def test_leftovers_of_a_killed_remove_go_with_the_next_change(tmp_path, tiny, model, monkeypatch):
    library = Library(tmp_path)
    library.create("book", tiny.IDENTITY)

    def work():
        monkeypatch.setattr(
            "shutil.rmtree", lambda *args, **kwargs: os.kill(os.getpid(), signal.SIGKILL)
        )
        library.remove("book")

    assert not ended_by_itself(start(work))
    assert library.names() == []
    assert any(path.name.startswith(".trash-") for path in library.folder.iterdir())
    library.create("other", tiny.IDENTITY)
    assert sorted(path.name for path in library.folder.iterdir()) == [".locks", "other"]
