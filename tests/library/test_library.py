"""Names, summaries, creating, renaming and removing memories, and who may read them."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from dataclasses import replace

import pytest

from mplus_cli.errors import MismatchError, MplusError, UsageError
from mplus_cli.library import Library
from mplus_cli.library.mapping import draw_map
from mplus_cli.library.names import missing_message
from mplus_cli.library.verify import verify


@pytest.fixture
def library(tmp_path):
    return Library(tmp_path / "home")


def test_importing_and_listing_loads_no_network(book):
    code = (
        "import json, sys; from pathlib import Path; from mplus_cli.library import Library; "
        "import mplus_cli.ingest.pipeline; summaries = Library(Path(sys.argv[1])).summaries(); "
        "heavy = {'torch', 'safetensors', 'numpy', 'transformers'} & set(sys.modules); "
        "print(json.dumps([summaries[0].ltm_tokens, sorted(heavy)]))"
    )
    home = book.folder.parent.parent
    ran = subprocess.run(
        [sys.executable, "-c", code, str(home)], capture_output=True, text=True, check=True
    )
    ltm_tokens, heavy = json.loads(ran.stdout)
    assert ltm_tokens > 0
    assert heavy == []


@pytest.mark.parametrize("name", ["", ".x", "a/b", "a b", "..", "é", "x\n", "x" * 101, "a\\b"])
def test_names_that_are_refused(library, tiny, name):
    with pytest.raises(UsageError):
        library.create(name, tiny.IDENTITY)
    with pytest.raises(UsageError):
        library.open(name)
    assert not library.folder.exists()


@pytest.mark.parametrize("name", ["research", "a.b-c_9", "_x", "x" * 100])
def test_names_that_are_allowed(library, tiny, name):
    assert library.create(name, tiny.IDENTITY).name == name
    assert library.names() == [name]


@pytest.mark.parametrize(
    ("name", "near"),
    [("-rf", "such as rf"), ("Les Misérables", "such as Les-Miserables"), ("漢字", "'_' first")],
)
def test_a_name_that_is_refused_says_what_is_allowed(library, tiny, name, near):
    library.create("book", tiny.IDENTITY)
    for use in (
        lambda: library.create(name, tiny.IDENTITY),
        lambda: library.open(name),
        lambda: library.open_or_create(name, tiny.IDENTITY),
        lambda: library.rename("book", name),
    ):
        with pytest.raises(UsageError, match="letters A-Z and a-z, digits") as raised:
            use()
        assert str(raised.value).endswith(near)


def test_a_memory_whose_name_starts_with_a_dash_is_not_lost(library, tiny):
    """Earlier versions let it be called so: it is listed, and can be given another name."""
    library.create("rf", tiny.IDENTITY)
    (library.folder / "rf").rename(library.folder / "-rf")
    assert library.names() == ["-rf"]
    library.rename("-rf", "rf")
    assert library.open("rf").is_empty


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "read something first with `mplus ingest`"),
        (["demo"], 'the only one is "demo"'),
        (["a", "b"], 'there are "a" and "b"'),
        (["a", "b", "c", "d"], 'there are "a", "b", "c" and "d"'),
        (["a", "b", "c", "d", "e"], "`mplus memory list` shows the ones there are"),
    ],
)
def test_a_missing_memory_names_those_there_are(names, said):
    assert missing_message("default", names) == f'there is no memory "default": {said}'


def test_a_missing_memory_names_the_nearest(library, tiny):
    with pytest.raises(MplusError, match="mplus ingest"):
        library.open("reserch")
    library.create("research", tiny.IDENTITY)
    with pytest.raises(MplusError) as raised:
        library.open("reserch")
    assert str(raised.value) == 'there is no memory "reserch"; did you mean "research"?'
    assert raised.value.exit_code == 1
    with pytest.raises(MplusError, match='the only one is "research"'):
        library.path("zzz")


def test_creating_twice_is_refused(library, tiny):
    library.create("book", tiny.IDENTITY)
    with pytest.raises(UsageError, match="already a memory"):
        library.create("book", tiny.IDENTITY)
    assert library.open_or_create("book", tiny.IDENTITY).identity.name == "tiny"


def test_another_model_is_refused(library, tiny):
    stored = library.create("book", tiny.IDENTITY)
    other = replace(tiny.IDENTITY, name="other", fingerprint="cd" * 32)
    stored.check(replace(tiny.IDENTITY, name="renamed"))
    with pytest.raises(MismatchError, match=r"written by model tiny \(abab") as raised:
        stored.check(other)
    assert raised.value.exit_code == 3
    with pytest.raises(MismatchError):
        library.open_or_create("book", other)


def test_summary_of_a_memory(book, tiny):
    library = Library(book.folder.parent.parent)
    library.create("empty", tiny.IDENTITY)
    read, empty = library.summaries()
    assert (read.name, read.model, read.documents, read.tokens) == ("book", "tiny", 1, 300)
    assert read.chunks == sum(1 for _ in book.chunks(range(read.chunks)))
    memory = book.load()
    assert (read.stm_tokens, read.ltm_tokens) == (len(memory.stm), memory.ltm_tokens)
    assert read.bytes == sum(len(data) for data in tiny.tree(book.folder).values())
    assert read.created <= read.updated
    assert read.error is None
    assert (empty.chunks, empty.documents, empty.stm_tokens) == (0, 0, 0)


def test_an_empty_memory_cannot_be_loaded(library, tiny):
    stored = library.create("book", tiny.IDENTITY)
    assert stored.is_empty
    assert verify(stored) == []
    assert draw_map(stored).chunks == ()
    with pytest.raises(MplusError, match="is empty"):
        stored.load()


def test_a_damaged_memory_is_listed_with_its_error(book):
    library = Library(book.folder.parent.parent)
    (book.folder / "memory.db").write_bytes(b"no database" * 100)
    (summary,) = library.summaries()
    assert summary.name == "book"
    assert "damaged" in summary.error
    (book.folder / "memory.db").unlink()
    (summary,) = library.summaries()
    assert "missing" in summary.error
    library.remove("book")
    assert library.names() == []


def test_a_newer_database_is_refused(book):
    connection = sqlite3.connect(book.folder / "memory.db")
    connection.execute("PRAGMA user_version = 9")
    connection.close()
    with pytest.raises(MismatchError, match="newer mplus"):
        book.load()


def test_renaming(book, tiny):
    library = Library(book.folder.parent.parent)
    library.create("taken", tiny.IDENTITY)
    before = tiny.contents(book.folder)
    with pytest.raises(UsageError, match="already a memory"):
        library.rename("book", "taken")
    with pytest.raises(UsageError):
        library.rename("book", "a/b")
    with pytest.raises(MplusError, match="no memory"):
        library.rename("nothing", "new")
    library.rename("book", "novel")
    assert library.names() == ["novel", "taken"]
    assert tiny.contents(library.path("novel")) == before
    assert verify(library.open("novel")) == []


def test_a_memory_being_written_is_neither_renamed_nor_removed(book):
    library = Library(book.folder.parent.parent)
    with book.writer():
        for change in (lambda: library.rename("book", "new"), lambda: library.remove("book")):
            with pytest.raises(MplusError, match=rf"being written .*\(pid {os.getpid()}\)"):
                change()
    library.remove("book")
    assert library.names() == []
    assert [path.name for path in library.folder.iterdir()] == [".locks"]


def test_a_memory_in_the_making_is_not_cleaned_up(library, tiny):
    with library.staging() as folder:
        (folder / "file").write_text("kept")
        library.create("other", tiny.IDENTITY)
        assert (folder / "file").exists()
    assert not folder.exists()
    assert library.names() == ["other"]


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(library, tiny, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(MplusError, match="check the folder"):
        library.create("book", tiny.IDENTITY)
    tmp_path.chmod(0o700)


def test_chunks_by_number(book):
    rows = book.chunks([3, 0, 3])
    assert [row.number for row in rows] == [3, 0, 3]
    assert rows[0].document_title == "alpha"
    assert book.chunk(0).first_page == 1
    with pytest.raises(MismatchError, match="chunk 999"):
        book.chunk(999)


def test_the_map_says_where_every_chunk_is(book):
    drawn, memory = draw_map(book), book.load()
    assert sum(place.stm_tokens for place in drawn.chunks) == len(memory.stm)
    assert sum(place.ltm_tokens for place in drawn.chunks) == memory.ltm_tokens
    assert drawn.chunks[0].stm_tokens == 0
    assert drawn.chunks[-1].ltm_tokens == 0
    assert drawn.documents[0].runs == ((0, len(drawn.chunks) - 1),)
    assert [place.last_page for place in drawn.chunks][-1] == 3
