"""`verify` finds each kind of damage, and says where; loading refuses what it can see at once."""

from __future__ import annotations

import sqlite3

import pytest

from mplus_cli.errors import MismatchError
from mplus_cli.library import files, tensors
from mplus_cli.library.verify import verify


def problems(stored):
    found = verify(stored)
    assert all("\n" not in str(problem) for problem in found)
    return [str(problem) for problem in found]


def flip(path, offset):
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


def execute(stored, statement):
    connection = sqlite3.connect(stored.folder / "memory.db")
    connection.execute(statement)
    connection.commit()
    connection.close()


def test_nothing_is_wrong_and_progress_counts_bytes(book):
    calls = []
    assert verify(book, lambda done, total: calls.append((done, total))) == []
    assert calls[-1][0] == calls[-1][1] > 0


@pytest.mark.parametrize("pattern", ["stm-*.safetensors", "ltm/2.safetensors"])
class TestFiles:
    def test_missing(self, book, pattern):
        (path,) = book.folder.glob(pattern)
        path.unlink()
        file = path.relative_to(book.folder).as_posix()
        assert problems(book) == [f'{file}: is missing (it holds parts of "alpha")']
        with pytest.raises(MismatchError, match=r"is missing.*mplus memory verify book"):
            book.load()

    def test_truncated(self, book, pattern):
        (path,) = book.folder.glob(pattern)
        path.write_bytes(path.read_bytes()[:-8])
        assert "bytes instead of" in problems(book)[0]
        with pytest.raises(MismatchError, match="bytes instead of"):
            book.load()

    @pytest.mark.parametrize("offset", [0, 20, 700, -1])
    def test_a_flipped_bit(self, book, pattern, offset):
        (path,) = book.folder.glob(pattern)
        flip(path, offset)
        assert "checksum differs" in problems(book)[0]

    def test_a_flipped_bit_of_the_header_length_is_seen_when_loading(self, book, pattern):
        (path,) = book.folder.glob(pattern)
        flip(path, 7)
        with pytest.raises(MismatchError, match="cannot be read"):
            book.load()


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE chunks SET text = 'other' WHERE number = 2", "not those that were read"),
        ("UPDATE chunks SET first_page = 9 WHERE number = 2", "not those that were read"),
        ("DELETE FROM chunks WHERE number = 3", "chunks instead of"),
        ("UPDATE documents SET title = 'other'", "not those that were written"),
        ("UPDATE documents SET chunks_read = 1", "chunks instead of 1"),
        ("UPDATE state SET clock = 3", "not those that were written"),
        ("UPDATE chunks SET document = 7 WHERE number = 1", "not there"),
        ("DELETE FROM settings WHERE key = 'model'", "settings are not readable"),
        ("DELETE FROM state", "chunks instead of 0"),
        ("DROP TABLE segments", "no such table"),
        ("UPDATE segments SET number = 9 - number", "not those that were written"),
    ],
)
def test_changed_rows(book, statement, message):
    execute(book, statement)
    assert any(message in problem for problem in problems(book))


def test_texts_do_not_shift_where_one_is_missing(book):
    count = book.view().chunks
    assert len(book.texts(count)) == count
    execute(book, "DELETE FROM chunks WHERE number = 3")
    assert len(book.texts(3)) == 3
    with pytest.raises(MismatchError, match=f"1 of {count} chunks have no text"):
        book.texts(count)


def test_a_damaged_page_of_the_database(book):
    path = book.folder / "memory.db"
    data = bytearray(path.read_bytes())
    for offset in range(4096 * 4, len(data), 64):
        data[offset] ^= 0xFF
    path.write_bytes(data)
    assert problems(book)


def test_a_file_that_is_no_database(book):
    (book.folder / "memory.db").write_bytes(b"nothing of the kind" * 300)
    assert problems(book)[0].startswith("memory.db: ")


def rewrite(book, name, change):
    """Rewrite segment 1 with one of its tensors changed, and record its new checksum."""
    row = book.view().segments[0]
    kept = {key: value.clone() for key, value in tensors.open_mapped(book.folder, row.file).items()}
    kept[name] = change(kept[name])
    segment = tensors.make_segment(row.file, kept)
    new = files.write_segment(book.folder, row.number, [segment])
    execute(
        book, f"UPDATE segments SET bytes = {new.bytes}, sha256 = '{new.sha256}' WHERE number = 1"
    )


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("born", lambda born: born.flip(1), "not in the order"),
        ("born", lambda born: born + 10_000, "younger than"),
        ("born", lambda born: born + 16, "in another order"),
        ("chunks", lambda chunks: chunks + 500, "never read"),
        ("chunks", lambda chunks: chunks - 500, "never read"),
        ("retriever_keys", lambda keys: keys, ""),
    ],
)
def test_tensors_that_do_not_fit_the_clock(book, name, change, message, monkeypatch):
    rewrite(book, name, change)
    monkeypatch.setattr("mplus_cli.library.verify.check_digests", lambda connection: [])
    found = problems(book)
    assert found == [] if not message else message in found[0]


@pytest.mark.parametrize("file", [0, 1, -1, "stm"])
def test_a_damaged_file_names_the_documents_it_holds(book, tiny, model, file):
    for title in ("beta", "gamma"):
        tiny.ingest(book, model, tiny.make_document(title, 120))
    view, memory = book.load_view()
    name = view.state.stm_file if file == "stm" else view.segments[file].file
    held = (memory.stm if file == "stm" else memory.segments[file]).tokens.chunks.tolist()[0]
    titles = {book.chunk(number).document_title for number in held}
    around = {
        book.chunk(number).document_title for number in (min(held) - 1, max(held)) if number >= 0
    }
    (book.folder / name).write_bytes(b"")
    (found,) = verify(book)
    assert titles <= set(found.documents) <= titles | around < {"alpha", "beta", "gamma"}
    assert (
        str(found).endswith(f'(it holds parts of "{found.documents[0]}"' + ")") or len(titles) > 1
    )
