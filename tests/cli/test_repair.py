"""`mplus memory repair`: whole documents are kept, the others named; the damaged memory stays until the new
one is whole."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mplus_cli.ingest import repairing
from mplus_cli.library import Library, database, files, tensors
from mplus_cli.library.seal import put_seals


@pytest.fixture
def books(mplus: Any, tiny: Path, tmp_path: Path) -> Path:
    """The folder of a memory of three texts."""
    for number in range(3):
        text = f"Chapter {number}. " + f"The keeper number {number} kept a goat. " * 40
        (tmp_path / f"book{number}.txt").write_text(text)
        assert mplus("ingest", tmp_path / f"book{number}.txt", "-m", "books", "-q").code == 0
    return Path(os.environ["MPLUS_HOME"]) / "memories" / "books"


def contents(folder: Path) -> list[Any]:
    """What two equal memories share."""
    files = [path.read_bytes() for path in sorted(folder.rglob("*.safetensors"))]
    with closing(sqlite3.connect(folder / "memory.db")) as connection:
        tables = ("documents", "chunks", "places", "checksums", "segments", "state", "settings")
        return [*files, *(connection.execute(f"SELECT * FROM {t}").fetchall() for t in tables)]


def execute(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / "memory.db")) as connection, connection:
        connection.execute(statement)


def test_nothing_is_lost_where_the_text_is_sound(mplus: Any, books: Path) -> None:
    assert mplus("memory", "repair", "books", "--json").json["repaired"] is False
    before = contents(books)
    for file in [next(books.glob("stm-*")), next(books.glob("ltm/*"))]:
        file.write_bytes(file.read_bytes()[:-9])
        asked = mplus("ask", "Who kept a goat?", "-m", "books")
        assert asked.code == 3
        assert "`mplus memory repair books` keeps what is intact" in asked.error
        assert mplus("memory", "repair", "books").code == 2  # nobody to confirm it
        repaired = mplus("memory", "repair", "books", "--yes", "--json")
        assert repaired.json == {
            "memory": "books",
            "repaired": True,
            "kept": ["Book0", "Book1", "Book2"],
            "lost": [],
        }
        assert contents(books) == before
        assert mplus("memory", "verify", "books").code == 0


def test_a_document_whose_text_is_damaged_is_named_and_left_out(
    mplus: Any, books: Path, tmp_path: Path
) -> None:
    execute(books, "UPDATE chunks SET text = replace(text, 'goat', 'boat') WHERE document = 2")
    verified = mplus("memory", "verify", "books")
    assert verified.code == 3
    assert 'of "Book1", is damaged' in verified.out
    repaired = mplus("memory", "repair", "books", "--yes")
    assert repaired.code == 0
    told = f"read it again with mplus ingest -m books {tmp_path / 'book1.txt'}"
    assert '"Book1" is lost' in repaired.err
    assert told in " ".join(repaired.err.split())
    for number in (0, 2):
        assert mplus("ingest", tmp_path / f"book{number}.txt", "-m", "fresh", "-q").code == 0
    assert contents(books) == contents(books.with_name("fresh"))
    assert mplus("memory", "verify", "books").code == 0


def test_rows_that_cannot_be_trusted_are_reported(mplus: Any, books: Path) -> None:
    execute(books, "UPDATE documents SET title = 'Bock2' WHERE id = 3")
    repaired = mplus("memory", "repair", "books", "--yes")
    assert repaired.code == 0
    assert "titles, paths, page counts and times may be damaged" in repaired.err
    assert mplus("memory", "verify", "books").code == 0


def test_where_nothing_can_be_kept(mplus: Any, books: Path) -> None:
    execute(books, "UPDATE chunks SET text = 'x' || text")
    before = contents(books)
    assert "nothing of memory" in mplus("memory", "repair", "books", "--yes").error
    assert contents(books) == before
    (books / "memory.db").write_bytes(b"no database at all" * 100)
    assert mplus("memory", "repair", "books", "--yes").code == 3


def test_what_interrupts_a_repair_leaves_the_damaged_memory(
    mplus: Any, books: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(books, "UPDATE chunks SET text = 'x' || text WHERE document = 1")
    before = contents(books)
    again: Callable[..., Any] = repairing.reread_rows

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        events = again(*args, **kwargs)
        yield next(events)
        yield next(events)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(repairing, "reread_rows", interrupted)
        assert "the disk is full" in mplus("memory", "repair", "books", "--yes").error
    assert contents(books) == before
    assert mplus("memory", "repair", "books", "--yes").code == 0
    assert mplus("memory", "verify", "books").code == 0


def test_deep_verification_reads_the_beginning_again(mplus: Any, books: Path) -> None:
    deep = mplus("memory", "verify", "books", "--deep", "--json")
    assert (deep.code, deep.json["ok"]) == (0, True)
    library = Library(books.parents[1])
    row = library.open("books").view().segments[0]
    # Rightly sealed, so that nothing but the model can tell.
    kept = {key: value.clone() for key, value in tensors.open_mapped(books, row.file).items()}
    kept["values"] = kept["values"].flip(1)
    new = files.write_segment(books, row.number, [tensors.make_segment(row.file, kept)])
    with database.connect(books, "books") as connection:
        connection.execute(
            "UPDATE segments SET bytes = ?, sha256 = ? WHERE number = ?",
            (new.bytes, new.sha256, row.number),
        )
        put_seals(connection)
    assert mplus("memory", "verify", "books").code == 0
    deep = mplus("memory", "verify", "books", "--deep")
    assert deep.code == 3
    assert 'is not what the text gives that was read first (it holds parts of "Book0")' in deep.out
    assert mplus("memory", "repair", "books", "--yes").code == 0
    assert mplus("memory", "verify", "books", "--deep").code == 0
