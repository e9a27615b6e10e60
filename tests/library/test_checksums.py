"""Every byte of `memory.db` that is read is covered: what changed is named before anything is made of it."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing

import pytest

from mplus_cli.errors import MismatchError
from mplus_cli.library import Library, database, snapshot
from mplus_cli.library.verify import verify


def execute(stored, statement, *values):
    with closing(sqlite3.connect(stored.folder / "memory.db")) as connection, connection:
        connection.execute(statement, values)


@pytest.mark.parametrize(
    "change",
    [
        "text = replace(text, 'a', 'b')",
        "text = CAST(x'ff' || text AS TEXT)",
        "text = CAST(text AS BLOB)",
        "document = 2",
        "position = 3",
        "tokens = tokens + 1",
        "first_page = 2, last_page = 2",
    ],
)
def test_a_changed_chunk_is_named_and_the_others_are_read(book, change):
    want = book.chunks([0, 2])
    execute(book, f"UPDATE chunks SET {change} WHERE number = 1")
    assert book.chunks([0, 2]) == want
    for read in (lambda: book.chunk(1), lambda: book.texts(3), lambda: book.chunk_numbers([1])):
        with pytest.raises(MismatchError, match=r'^memory "book" is damaged: .*chunk'):
            read()
    assert len(book.texts(1)) == 1
    assert {problem.file for problem in verify(book)} == {"memory.db"}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE documents SET title = 'other'",
        "UPDATE segments SET skip = 1 WHERE number = 1",
        "UPDATE state SET clock = clock + 1",
        "UPDATE settings SET value = 'other' WHERE key = 'model'",
        "UPDATE times SET at = '2001-01-01T00:00:00+00:00' WHERE what = 'created'",
        "UPDATE times SET at = '2001-01-01T00:00:00+00:00' WHERE what = 'document/1'",
        "UPDATE times SET what = 'document/2' WHERE what = 'document/1'",
        "DELETE FROM times WHERE what = 'sha256'",
        "DELETE FROM settings WHERE key = 'checksums_sha256'",
        "UPDATE settings SET key = CAST(x'ff' AS TEXT) WHERE key = 'model'",
        "UPDATE documents SET title = CAST(title AS BLOB)",
    ],
)
def test_other_changed_rows_are_found_by_whatever_looks(book, change):
    execute(book, change)
    for look in (book.view, book.summary, book.load, lambda: book.chunk(0)):
        with pytest.raises(MismatchError, match=r'^memory "book" is damaged: memory\.db: '):
            look()
    assert {problem.file for problem in verify(book)} == {"memory.db"}


def test_a_time_without_a_name_is_damage(book):
    execute(book, "UPDATE times SET what = NULL WHERE what LIKE 'file/stm%'")
    with pytest.raises(MismatchError, match=r'^memory "book" is damaged: memory\.db: '):
        book.load()
    assert {problem.file for problem in verify(book)} == {"memory.db"}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE checksums SET sha256 = replace(sha256, '0', '1')",
        "DELETE FROM checksums WHERE number = 2",
        "DELETE FROM checksums WHERE number = (SELECT max(number) FROM checksums)",
        "DROP TABLE checksums",
    ],
)
def test_changed_checksums_are_found(book, change):
    execute(book, change)
    assert any("checksums" in problem.message for problem in verify(book))


def test_a_changed_definition_is_found(book):
    """SQLite takes `PRHMARY KEY` for the name of a type: the column is no key then, and empty."""
    file = book.folder / "memory.db"
    good = file.read_bytes()
    for old, new in (
        (b"number INTEGER PRIMARY KEY, document", b"number INTEGER PRHMARY KEY, document"),
        (b"PRIMARY KEY, path TEXT", b"PRIMARY KEY, path TEXD"),
        (b"value TEXT NOT NULL)", b"value TEXT NOT NUDL)"),
        (b"tableplacesplaces", b"tableplacesplaceq"),
    ):
        assert good.count(old) == 1
        file.write_bytes(good.replace(old, new))
        for look in (book.view, book.load, lambda: book.chunk(1), lambda: book.texts(3)):
            with pytest.raises(MismatchError, match=r'^memory "book" is damaged: memory\.db: '):
                look()
        assert {problem.file for problem in verify(book)} == {"memory.db"}, new


def test_nothing_that_is_read_is_looked_up_in_an_index(book, monkeypatch):
    """Tables are sealed, indexes are not: a changed index must lead to no other row."""
    statements = []

    def opened(file, mode):
        connection = real(file, mode)
        connection.set_trace_callback(statements.append)
        return connection

    real = database._open
    monkeypatch.setattr(database, "_open", opened)
    view = book.view()
    book.chunk_numbers([1])
    book.chunk(1)
    book.texts(view.chunks)
    monkeypatch.undo()
    with database.connect(book.folder, "book") as connection:
        plans = [
            (statement, plan[-1])
            for statement in statements
            if statement.startswith("SELECT")
            for plan in connection.execute(f"EXPLAIN QUERY PLAN {statement}")
        ]
    assert len(plans) > 20
    assert [plan for plan in plans if "INDEX" in plan[1]] == []


def test_a_memory_that_has_read_nothing_is_covered(tmp_path, tiny):
    stored = Library(tmp_path).create("book", tiny.IDENTITY)
    assert stored.view().covered
    for change in ("UPDATE settings SET value = '{}' WHERE key = 'geometry'", "DELETE FROM times"):
        shutil.copytree(stored.folder, tmp_path / "kept")
        execute(stored, change)
        assert verify(stored)
        with pytest.raises(MismatchError):
            stored.view()
        shutil.rmtree(stored.folder)
        (tmp_path / "kept").rename(stored.folder)


def test_a_memory_of_an_earlier_mplus_is_covered_by_its_next_commit(book, tiny, model):
    want = book.all_chunks(book.view())
    tiny.make_older(book)
    assert not book.view().covered
    assert verify(book) == []
    assert book.all_chunks(book.view()) == want
    tiny.ingest(book, model, tiny.make_document("beta", 40))
    assert book.view().covered
    assert verify(book) == []
    execute(book, "UPDATE chunks SET text = 'other' WHERE number = 1")
    with pytest.raises(MismatchError):
        book.chunk(1)


def test_damage_is_not_covered_up(book, tiny, model):
    tiny.make_older(book)
    execute(book, "UPDATE chunks SET text = 'other' WHERE number = 1")
    before = tiny.contents(book.folder)
    with pytest.raises(MismatchError, match="the chunks are not those that were read"):
        tiny.ingest(book, model, tiny.make_document("beta", 40))
    assert tiny.contents(book.folder) == before


def test_what_an_earlier_mplus_adds_is_read_and_covered_later(book, tiny, model, monkeypatch):
    with monkeypatch.context() as earlier:
        earlier.setattr("mplus_cli.library.chunk_rows.put_checksums", lambda *_: None)
        tiny.ingest(book, model, tiny.make_document("beta", 40))
    execute(book, "UPDATE times SET at = 'of another commit' WHERE what = 'sha256'")
    assert verify(book) == []
    assert not book.view().covered
    tiny.ingest(book, model, tiny.make_document("gamma", 40))
    assert book.view().covered
    assert verify(book) == []


def test_flipped_bits(book, tmp_path):
    """A small draw of `benchmarks/reliability/flips.py`, over every kind of file: none is read over."""
    from benchmarks.reliability import flips

    snapshot.save(book, tmp_path / "book.safetensors")
    counts = flips.campaign(
        book, tmp_path / "book.safetensors", tmp_path, random.Random(7), flips=100
    )
    assert sum(counts.values()) == 100
    assert counts["silent"] == 0
    assert counts["found"] > 30
