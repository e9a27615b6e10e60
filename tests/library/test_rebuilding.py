"""A document leaves a memory: what is left is a memory that never read it, and a crash changes nothing."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import time
from contextlib import closing
from dataclasses import asdict, replace
from itertools import count
from types import SimpleNamespace

import pytest

from mplus_cli.errors import MplusError
from mplus_cli.ingest import pipeline, rebuilding
from mplus_cli.library import Library, earlier, files, rewinding
from mplus_cli.library.privacy import open_to_others
from mplus_cli.library.verify import verify


@pytest.fixture
def documents(tiny):
    return [
        replace(tiny.make_document("alpha", 130, pages=4), author="Ada", date="1815"),
        tiny.make_document("beta", 70),
        tiny.make_document("gamma", 90, pages=2),
    ]


def without(tiny, model, home, *numbers, tokenizer=None):
    """Take documents out of the memory `book`."""
    with Library(home).rebuilding("book") as (stored, fresh):
        return list(
            rebuilding.reread(stored, fresh, model, tokenizer or tiny.Characters(), without=numbers)
        )


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_what_is_left_never_read_it(
    tmp_path, tiny, model, small_commits, documents, gone, monkeypatch
):
    stored = tiny.make_memory(tmp_path / "one", model, *documents)
    before = stored.view()
    left = [document for index, document in enumerate(documents) if index != gone]
    never = tiny.make_memory(tmp_path / "never", model, *left)
    events = without(tiny, model, tmp_path / "one", gone + 1)
    assert tiny.contents(stored.folder) == tiny.contents(never.folder)
    assert tiny.same_memory(stored, never)
    assert verify(stored) == []
    assert [row.id for row in stored.documents()] == [1, 2]
    added = [row.added for row in before.documents if row.id != gone + 1]
    assert [row.added for row in stored.documents()] == added
    view = stored.view()
    assert (view.created, before.rebuilt) == (before.created, "")
    assert view.rebuilt
    total = events[0].chunks_total
    assert [event.chunks_done for event in events] == list(range(total + 1))
    assert total == view.chunks
    assert open_to_others(tmp_path / "one") == []
    with monkeypatch.context() as patched:  # its files are known to be what was written
        patched.setattr(files, "digest", lambda path: pytest.fail(f"{path} is compared"))
        stored.load()
    # And it goes on from there as the other one does.
    for memory in (stored, never):
        tiny.ingest(memory, model, tiny.make_document("delta", 60))
    assert tiny.contents(stored.folder) == tiny.contents(never.folder)


def rewind(home, *numbers):
    """Take the newest documents out of the memory `book`, without a model."""
    with Library(home).rebuilding("book") as (stored, fresh):
        rewinding.rewind(stored, fresh, numbers)


@pytest.mark.parametrize("after", [None, 3])
def test_the_newest_leaves_without_a_reading(
    tmp_path, tiny, model, small_commits, documents, monkeypatch, after
):
    """However far it was read, also where files were merged since: as if it had never been read."""
    alpha, beta, _ = documents
    long = tiny.make_document("long", 500, pages=3)
    stored = tiny.make_memory(tmp_path / "one", model, alpha, beta)
    never = tiny.make_memory(tmp_path / "never", model, alpha, beta)
    before = stored.view()
    if after is None:
        tiny.ingest(stored, model, long)
        assert not set(before.segments) <= set(stored.view().segments), "some were merged"
    else:
        interrupt(tiny, model, stored, long, after, monkeypatch)
    assert rewinding.can_rewind(stored, [3])
    assert not rewinding.can_rewind(stored, [2]) and not rewinding.can_rewind(stored, [2, 3])
    rewind(tmp_path / "one", 3)
    assert tiny.contents(stored.folder) == tiny.contents(never.folder)
    assert verify(stored) == [] and open_to_others(tmp_path / "one") == []
    view = stored.view()
    assert (view.documents, view.created, bool(view.rebuilt)) == (
        before.documents,
        before.created,
        1,
    )
    assert tiny.same_memory(stored, never)
    assert not rewinding.can_rewind(stored, [2]), "one step back is kept, no more"
    for memory in (stored, never):
        tiny.ingest(memory, model, tiny.make_document("delta", 60))
    assert tiny.contents(stored.folder) == tiny.contents(never.folder)
    rewind(tmp_path / "one", 3)
    assert stored.view().documents == before.documents


def test_what_cannot_be_gone_back_to(tmp_path, tiny, model, small_commits, documents, monkeypatch):
    """Then nothing is left behind, and the others are read again."""
    stored = tiny.make_memory(tmp_path / "damaged", model, *documents)
    file = stored.folder / stored.view().earlier.state.stm_file
    never = tiny.contents(tiny.make_memory(tmp_path / "never", model, *documents[:2]).folder)
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + b"?")
    assert rewinding.can_rewind(stored, [3])
    before = tiny.tree(tmp_path / "damaged")
    with pytest.raises(rewinding.CannotRewind):
        rewind(tmp_path / "damaged", 3)
    assert tiny.tree(tmp_path / "damaged") == before
    with Library(tmp_path / "damaged").rebuilding("book") as (locked, fresh):
        with pytest.raises(rewinding.CannotRewind):
            rewinding.rewind(locked, fresh, [3])
        assert not list(fresh.folder.rglob("*.safetensors")), (
            "the others are read into an empty one"
        )
        list(rebuilding.reread(locked, fresh, model, tiny.Characters(), without=[3]))
    assert tiny.contents(stored.folder) == never
    (
        stored.folder / stored.view().earlier.state.stm_file
    ).unlink()  # as an mplus does that knows nothing of it
    assert not rewinding.can_rewind(stored, [2])

    alpha, beta, gamma = documents
    turns = tiny.make_memory(tmp_path / "turns", model)
    interrupt(tiny, model, turns, alpha, 3, monkeypatch)
    tiny.ingest(turns, model, beta)
    assert turns.view().earlier is None, "it was begun behind no full commit"
    tiny.ingest(turns, model, gamma, alpha)
    assert turns.view().earlier is not None
    assert not rewinding.can_rewind(turns, [3]), "another was read on behind it"


def test_what_was_forgotten_cannot_come_back(tmp_path, tiny, documents):
    small = tiny.make_model(replace(tiny.CONFIG, ltm_capacity=64))
    stored = tiny.make_memory(tmp_path, small, *documents)
    assert stored.view().earlier is not None and not rewinding.can_rewind(stored, [3])


@pytest.mark.parametrize("change", [("7", "8"), ("stm-", "../"), ("{", "[")])
def test_a_record_that_is_not_what_was_written_is_none(tmp_path, tiny, model, documents, change):
    stored = tiny.make_memory(tmp_path, model, *documents[:2])
    assert stored.view().earlier is not None
    with closing(sqlite3.connect(stored.folder / "memory.db")) as connection, connection:
        connection.execute("UPDATE times SET at = replace(at, ?, ?) WHERE what = 'earlier'", change)
    assert stored.view().earlier is None and not rewinding.can_rewind(stored, [2])
    assert verify(stored) == []


@pytest.mark.parametrize("documents", ["1", 1.0, True, None, -1, [1]])
def test_no_value_of_a_record_is_trusted(tmp_path, tiny, model, small_commits, documents):
    """Not even where its digest fits."""
    alpha = tiny.make_document("alpha", 130)
    view = tiny.make_memory(tmp_path, model, alpha, tiny.make_document("beta", 70)).view()
    rows = [asdict(row) for row in view.earlier.segments]

    def record(documents):
        content = json.dumps([documents, asdict(view.earlier.state), rows])
        return f"{hashlib.sha256(content.encode()).hexdigest()} {content}"

    assert earlier.loads(record(1)) == view.earlier
    assert earlier.loads(record(documents)) is None
    lost = SimpleNamespace(view=lambda: replace(view, state=None))
    assert not rewinding.can_rewind(lost, [2])


def test_nothing_is_left(tmp_path, tiny, model, documents):
    stored = tiny.make_memory(tmp_path, model, documents[0])
    without(tiny, model, tmp_path, 1)
    assert stored.is_empty
    assert stored.documents() == []
    assert [path.name for path in stored.folder.iterdir()] == ["memory.db"]
    tiny.ingest(stored, model, documents[0])
    assert verify(stored) == []


def interrupt(tiny, model, stored, document, after, monkeypatch):
    """Read so many chunks of a document; all of them are kept."""
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "INTERIM_SECONDS", 0.0)
        events = pipeline.read_documents(stored, model, tiny.given(document), tiny.Characters())
        for event in events:
            if isinstance(event, pipeline.Committed) and event.chunks_done == after:
                events.close()


def test_interrupted_readings_stay_in_order(
    tmp_path, tiny, model, small_commits, documents, monkeypatch
):
    """Documents that were read in turns are read again in turns, unfinished ones as far as they were."""
    alpha, beta, gamma = documents

    def read(home, *, with_beta):
        stored = tiny.make_memory(home, model)
        interrupt(tiny, model, stored, alpha, 3, monkeypatch)
        if with_beta:
            tiny.ingest(stored, model, beta)
        interrupt(tiny, model, stored, gamma, 2, monkeypatch)
        interrupt(tiny, model, stored, alpha, 6, monkeypatch)
        return stored

    stored = read(tmp_path / "one", with_beta=True)
    never = read(tmp_path / "never", with_beta=False)
    without(tiny, model, tmp_path / "one", 2)
    assert tiny.contents(stored.folder) == tiny.contents(never.folder)
    assert [row.chunks_read for row in stored.documents()] == [6, 2]
    assert verify(stored) == []
    tiny.ingest(stored, model, alpha, gamma)
    tiny.ingest(never, model, alpha, gamma)
    assert tiny.contents(stored.folder) == tiny.contents(never.folder)


@pytest.mark.parametrize("unfinished", [False, True])
def test_text_that_is_now_cut_differently(
    tmp_path, tiny, model, documents, monkeypatch, unfinished
):
    class Shifted(tiny.Characters):
        def encode(self, text):
            ids, offsets = super().encode(text)
            return [number + 1 for number in ids], offsets

    class Halved(tiny.Characters):
        def encode(self, text):
            ids, offsets = super().encode(text)
            return ids[::2], offsets[::2]

    stored = tiny.make_memory(tmp_path, model, documents[0])
    if unfinished:
        interrupt(tiny, model, stored, documents[1], 2, monkeypatch)
    else:
        tiny.ingest(stored, model, documents[1])
    before = tiny.tree(tmp_path)
    with pytest.raises(MplusError, match="beta cannot be read again as it was"):
        without(tiny, model, tmp_path, 1, tokenizer=Halved() if unfinished else Shifted())
    assert tiny.tree(tmp_path) == before


def test_nobody_else_writes_meanwhile(tmp_path, tiny, model, documents):
    library = Library(tmp_path)
    stored = tiny.make_memory(tmp_path, model, documents[0])
    loaded = stored.load()
    with library.rebuilding("book"):
        with pytest.raises(MplusError, match="is being written by another process"):
            tiny.ingest(stored, model, documents[1])
        with pytest.raises(MplusError, match="is being written by another process"):
            library.remove("book")
        library.create("other", tiny.IDENTITY)  # cleans up, but not what is being made
        assert stored.load().clock == loaded.clock  # readers see the memory as it was
    assert stored.is_empty


def test_killed_at_random_moments(tmp_path, tiny, model, small_commits, documents):
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    stored = tiny.make_memory(tmp_path / "one", model, *documents)
    old = tiny.contents(stored.folder)
    new = tiny.contents(tiny.make_memory(tmp_path / "never", model, *documents[1:]).folder)
    began = time.monotonic()
    tiny.make_memory(tmp_path / "timed", model, *documents)
    usual = time.monotonic() - began
    chance = random.Random(0)
    for _ in range(20):
        pid = os.fork()
        if pid == 0:
            try:
                without(tiny, model, tmp_path / "one", 1)
            finally:
                os._exit(0)
        time.sleep(chance.uniform(0, usual))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        found = tiny.contents(Library(tmp_path / "one").open("book").folder)
        assert found in (old, new)
        if found == new:
            break
    Library(tmp_path / "one").create("other", tiny.IDENTITY)
    assert leftovers(tmp_path / "one") == []


@pytest.mark.parametrize("exchange", [True, False])
def test_killed_before_each_step_to_the_disk(
    tmp_path, tiny, model, killed_before, monkeypatch, exchange
):
    """Also where the system cannot exchange two names."""
    from models import durable

    if not exchange:
        monkeypatch.setattr(durable, "_renameat2", lambda *_: False)
    documents = [tiny.make_document("alpha", 40), tiny.make_document("beta", 40)]
    never = tiny.contents(tiny.make_memory(tmp_path / "never", model, documents[1]).folder)
    old = tiny.contents(tiny.make_memory(tmp_path / "made", model, *documents).folder)
    for number in count(1):
        home = tmp_path / f"home{number}"
        shutil.copytree(tmp_path / "made", home)
        killed = killed_before(number, lambda home=home: without(tiny, model, home, 1))
        stored = Library(home).open("book")
        assert tiny.contents(stored.folder) in (old, never)
        assert verify(stored) == []
        Library(home).create("other", tiny.IDENTITY)
        assert leftovers(home) == []
        if not killed:
            break
    assert tiny.contents(stored.folder) == never
    assert number > 15


def leftovers(home):
    names = {path.name for path in (home / "memories").iterdir()}
    return sorted(names - {".locks", "book", "other"})
