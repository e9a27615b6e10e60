"""Authors and dates: kept with their documents, carried by snapshots, unknown where an older mplus read."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from safetensors import safe_open

from mplus_cli.ingest import pipeline
from mplus_cli.library import Library, database, snapshot
from mplus_cli.library.verify import verify
from mplus_cli.runtime.model_info import describe


@pytest.fixture
def written(tiny):
    """A document that names its author."""
    document = tiny.make_document("alpha", 300, pages=2)
    return replace(document, author="Jane Austen", date="1815")


@pytest.fixture
def stored(tmp_path, tiny, model, written):
    return tiny.make_memory(
        tmp_path / "home", model, written, tiny.make_document("beta", 50), dated(tiny)
    )


def dated(tiny):
    return replace(tiny.make_document("gamma", 50), date="May 1818")


def told(stored):
    return [(row.title, row.author, row.date) for row in stored.documents()]


TOLD = [("alpha", "Jane Austen", "1815"), ("beta", None, None), ("gamma", None, "May 1818")]


def test_documents_know_their_authors(stored):
    assert told(stored) == TOLD
    assert verify(stored) == []
    shown = describe(stored)["documents"]
    assert [(one["author"], one["date"]) for one in shown] == [one[1:] for one in TOLD]


def test_an_interrupted_reading_leaves_the_same_rows(tmp_path, tiny, model, written, small_commits):
    whole = tiny.make_memory(tmp_path / "whole", model, written, dated(tiny))
    parts = tiny.make_memory(tmp_path / "parts", model)
    events = pipeline.read_documents(parts, model, tiny.given(written), tiny.Characters())
    for event in events:
        if isinstance(event, pipeline.Committed):
            events.close()
    tiny.ingest(parts, model, written, dated(tiny))
    assert tiny.contents(parts.folder) == tiny.contents(whole.folder)


def test_a_memory_of_an_earlier_mplus_goes_on(tiny, model, stored):
    tiny.make_older(stored, "metadata")
    assert verify(stored) == []
    assert told(stored) == [(title, None, None) for title, _, _ in TOLD]
    delta = replace(tiny.make_document("delta", 50), author="H. Thoreau")
    tiny.ingest(stored, model, delta)
    assert told(stored)[-1] == ("delta", "H. Thoreau", None)
    assert told(stored)[0] == ("alpha", None, None)
    assert verify(stored) == []


def test_an_earlier_mplus_reads_and_writes_this_one(tiny, model, stored):
    """What it does with the database: its queries name the columns or count them; what it reads has
    neither author nor date."""
    with database.connect(stored.folder, stored.name) as connection:
        row = connection.execute("SELECT * FROM documents").fetchone()
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    assert len(row) == 10
    tiny.ingest(stored, model, tiny.make_document("delta", 50))
    assert told(stored) == [*TOLD, ("delta", None, None)]
    assert verify(stored) == []


def test_a_memory_without_authors_has_no_table(tmp_path, tiny, model):
    stored = tiny.make_memory(tmp_path / "other", model, tiny.make_document("beta", 50))
    assert "metadata" not in tiny.contents(stored.folder)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE metadata SET author = 'Charles Dickens'",
        "DELETE FROM metadata",
        "DROP TABLE metadata",
        "UPDATE metadata SET date = x'00ff'",
    ],
)
def test_changed_authors_are_found(stored, change):
    with database.connect(stored.folder, stored.name) as connection:
        connection.execute(change)
    assert {problem.file for problem in verify(stored)} == {"memory.db"}


def test_a_snapshot_carries_them(tmp_path, stored):
    file = tmp_path / "book.safetensors"
    snapshot.save(stored, file)
    loaded = snapshot.load(Library(tmp_path / "other"), file)
    assert told(loaded) == TOLD
    assert verify(loaded) == []
    snapshot.save(loaded, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == file.read_bytes()


def test_snapshots_with_and_without_them_are_read_by_an_earlier_mplus(tmp_path, stored, tiny):
    """It makes its rows of all that a document says there, and passes over other things."""
    for name in ("new", "old"):
        snapshot.save(stored, tmp_path / name)
        with safe_open(tmp_path / name, "pt") as file:
            memory = json.loads(file.metadata()["memory"])
        assert not {"author", "date"} & set().union(*memory["documents"])
        assert ("metadata" in memory) == (name == "new")
        if name == "new":
            tiny.make_older(stored, "metadata")
    loaded = snapshot.load(Library(tmp_path / "other"), tmp_path / "old")
    assert told(loaded) == [(title, None, None) for title, _, _ in TOLD]
    assert verify(loaded) == []
