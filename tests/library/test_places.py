"""Where chunks stand: kept with them, carried by snapshots, and missing where an older mplus wrote."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from safetensors import safe_open

from mplus_cli.documents import Heading
from mplus_cli.ingest import pipeline
from mplus_cli.library import Library, database, snapshot
from mplus_cli.library.verify import verify
from mplus_cli.place import Place


def with_places(document):
    """The document with a label on each page, and two chapters."""
    half = len(document.text) // 2
    pages = tuple(replace(page, label=f"A-{page.number}") for page in document.pages)
    headings = (Heading(0, 1, "One"), Heading(half, 1, "Two"), Heading(half, 2, "Later"))
    return replace(document, pages=pages, headings=headings)


@pytest.fixture
def placed(tiny):
    return with_places(tiny.make_document("alpha", 300, pages=2))


@pytest.fixture
def stored(tmp_path, tiny, model, placed):
    return tiny.make_memory(tmp_path / "home", model, placed)


def test_chunks_know_their_places(stored):
    rows = stored.all_chunks(stored.view())
    first, last = rows[0].place, rows[-1].place
    assert first == Place(("One",), ("A-1", "A-1"), 0.0, first.end, first.headings)
    assert last == Place(("Two", "Later"), ("A-2", "A-2"), last.start, 1.0, last.headings)
    assert stored.chunk(len(rows) - 1) == rows[-1]
    assert verify(stored) == []


def test_an_interrupted_reading_leaves_the_same_rows(tmp_path, tiny, model, placed, small_commits):
    whole = tiny.make_memory(tmp_path / "whole", model, placed)
    parts = tiny.make_memory(tmp_path / "parts", model)
    events = pipeline.read_documents(parts, model, tiny.given(placed), tiny.Characters())
    for event in events:
        if isinstance(event, pipeline.Committed):
            events.close()
    tiny.ingest(parts, model, placed)
    assert tiny.contents(parts.folder) == tiny.contents(whole.folder)


def test_a_memory_of_an_earlier_mplus_goes_on(tmp_path, tiny, model, placed, stored):
    tiny.make_older(stored, "places")
    assert verify(stored) == []
    assert {row.place for row in stored.all_chunks(stored.view())} == {None}
    count = stored.view().chunks
    tiny.ingest(stored, model, with_places(tiny.make_document("beta", 100, pages=2)))
    rows = stored.all_chunks(stored.view())
    assert [row.place is None for row in rows] == [row.number < count for row in rows]
    assert verify(stored) == []


def test_an_earlier_mplus_reads_and_writes_this_one(stored):
    """What it does with the database: its queries name the columns or count them."""
    with database.connect(stored.folder, stored.name) as connection:
        row = connection.execute("SELECT * FROM chunks").fetchone()
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    assert len(row) == 7


def test_changed_places_are_found(stored):
    with database.connect(stored.folder, stored.name) as connection:
        connection.execute("UPDATE places SET place = replace(place, 'One', 'Two')")
    assert {problem.file for problem in verify(stored)} == {"memory.db"}


def test_a_snapshot_carries_them(tmp_path, stored):
    file = tmp_path / "book.safetensors"
    snapshot.save(stored, file)
    loaded = snapshot.load(Library(tmp_path / "other"), file)
    assert loaded.all_chunks(loaded.view()) == stored.all_chunks(stored.view())
    assert verify(loaded) == []
    snapshot.save(loaded, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == file.read_bytes()


def test_a_snapshot_of_an_earlier_mplus(tmp_path, stored, tiny):
    tiny.make_older(stored, "places")
    snapshot.save(stored, tmp_path / "old.safetensors")
    with safe_open(tmp_path / "old.safetensors", "pt") as file:
        assert "places" not in file.keys()  # noqa: SIM118
    loaded = snapshot.load(Library(tmp_path / "other"), tmp_path / "old.safetensors")
    assert loaded.chunk(0).place is None
    assert verify(loaded) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"section":"a","labels":null,"from":0,"to":1}',
        '{"section":[],"labels":["i"],"from":0,"to":1}',
        '{"section":[],"labels":null,"from":0,"to":2}',
        '{"section":[],"labels":null,"from":NaN,"to":1}',
        '{"section":[1],"labels":null,"from":0,"to":1}',
        '{"section":[],"labels":null,"from":0,"to":1,"headings":1}',
        '{"section":[],"labels":null,"from":0,"to":1,"headings":[[1,0,[]]]}',
        '{"section":[],"labels":null,"from":0,"to":1,"headings":[[0,1,["a",2]]]}',
    ],
)
def test_what_is_no_place(text):
    with pytest.raises(ValueError, match="no place"):
        Place.loads(text)


def test_a_place_as_json():
    place = Place(("Part 2", "Chapter 7"), ("iv", "v"), 0.64, 0.65)
    wanted = {"section": ["Part 2", "Chapter 7"], "labels": ["iv", "v"], "from": 0.64, "to": 0.65}
    assert place.to_json() == json.loads(place.dumps()) == wanted
    assert Place.loads(place.dumps()) == place


def test_the_section_of_a_sentence():
    """Of a chunk that spans two chapters, which the place of the whole cannot tell."""
    headings = ((0, 0, ("Four",)), (10, 17, ("Five",)))
    place = Place(("Four",), None, 0.2, 0.3, headings)
    assert Place.loads(place.dumps()) == place
    assert [place.at(position).section for position in (0, 9, 10, 30)] == [
        ("Four",),
        ("Four",),
        ("Five",),
        ("Five",),
    ]
    assert place.at(30).to_json() == place.to_json() | {"section": ["Five"]}
    assert Place(("Four",)).at(7) == Place(("Four",))
