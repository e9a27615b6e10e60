"""Interim commits: what a slow reading did is kept, and the full commits leave no trace of them."""

from __future__ import annotations

from itertools import count

import pytest

from mplus_cli.errors import MplusError
from mplus_cli.ingest import pipeline
from mplus_cli.library import compaction, database
from mplus_cli.library.verify import verify


@pytest.fixture
def always(monkeypatch):
    """An interim commit after each chunk but those of full ones; small files merge early."""
    monkeypatch.setattr(pipeline, "INTERIM_SECONDS", 0.0)
    monkeypatch.setattr(compaction, "FAN", 3)


@pytest.fixture(params=[{}, {"ltm_capacity": 20}, {"ltm_capacity": 50}, {"ltm_format": "k8v4"}])
def drawn(request, tiny):
    """A model and a document whose memory outgrows its capacity, where it has one."""
    values = {**tiny.CONFIG.to_dict(), **request.param}
    if "ltm_format" in request.param:
        values["scorer"] = "maxsim"
    return tiny.make_model(tiny.MPlusConfig.from_dict(values)), tiny.make_document("alpha", 200)


def read_to(events, chunk):
    """Read to a chunk and no further, as an interrupted run."""
    for event in events:
        if isinstance(event, pipeline.Committed) and event.chunks_done == chunk:
            events.close()
            return True
    return False


def test_full_commits_leave_no_trace(tmp_path, tiny, drawn, small_commits, monkeypatch, always):
    model, document = drawn
    often = tiny.make_memory(tmp_path / "often", model, document)
    monkeypatch.setattr(pipeline, "INTERIM_SECONDS", 1e9)
    whole = tiny.make_memory(tmp_path / "whole", model, document)
    assert len(whole.view().segments) < often.view().chunks
    assert tiny.contents(often.folder) == tiny.contents(whole.folder)


def test_an_interim_commit_is_a_memory_like_any_other(
    tmp_path, tiny, drawn, small_commits, monkeypatch, always
):
    model, document = drawn
    monkeypatch.setattr(pipeline, "INTERIM_SECONDS", 1e9)
    whole = tiny.make_memory(tmp_path / "whole", model, document)
    monkeypatch.setattr(pipeline, "INTERIM_SECONDS", 0.0)
    stored = tiny.make_memory(tmp_path / "stopped", model)
    for chunk in count(1):
        events = pipeline.read_documents(stored, model, tiny.given(document), tiny.Characters())
        if not read_to(events, chunk):
            break
        memory = stored.load()
        assert memory.chunks == stored.view().chunks == chunk
        assert verify(stored) == []
        named = [*(row.file for row in stored.view().segments), stored.view().state.stm_file]
        assert sorted(tiny.tree(stored.folder)) == sorted(["memory.db", *named])
    assert chunk > 10
    assert tiny.contents(stored.folder) == tiny.contents(whole.folder)


def test_killed_before_each_step_to_the_disk(
    tmp_path, tiny, model, small_commits, monkeypatch, always, killed_before
):
    document = tiny.make_document("alpha", 36)
    whole = tiny.contents(tiny.make_memory(tmp_path / "whole", model, document).folder)
    stored = tiny.make_memory(tmp_path / "killed", model)
    kept = []
    # What one run did stays for the next: each is killed a few steps later than the one before.
    for number in count(30, 3):
        killed = killed_before(number, lambda: tiny.ingest(stored, model, document))
        assert verify(stored) == []
        kept.append(stored.view().chunks)
        if not killed:
            break
    assert kept == sorted(kept)
    assert kept[0] > 0
    assert tiny.contents(stored.folder) == whole


def test_a_commit_that_cannot_be_looked_at_again_is_the_last_one_all_the_same(
    book, tiny, model, monkeypatch
):
    """Looking at it is part of its transaction: it fails with it, or not at all."""
    before = tiny.contents(book.folder)
    view_within, calls = database.view_within, []

    def failing(connection):
        calls.append(connection.in_transaction)
        if len(calls) == 3:  # the writer's, and that of the memory it goes on from
            raise MplusError("cannot be read")
        return view_within(connection)

    with monkeypatch.context() as patched:
        patched.setattr(database, "view_within", failing)
        with pytest.raises(MplusError, match="cannot be read"):
            tiny.ingest(book, model, tiny.make_document("beta", 60))
    assert all(calls)
    assert tiny.contents(book.folder) == before
    tiny.ingest(book, model, tiny.make_document("beta", 60))
    assert book.documents()[-1].complete
