"""Snapshots: the same memory on the other side, or nothing."""

from __future__ import annotations

import hashlib
import json
import random

import pytest
from safetensors import safe_open

from mplus_cli.errors import MismatchError, MplusError, UsageError
from mplus_cli.ingest import pipeline
from mplus_cli.library import Library, snapshot, snapshot_reader
from mplus_cli.library.verify import verify


@pytest.fixture
def file(book, tmp_path):
    """A snapshot of the book."""
    path = tmp_path / "book.safetensors"
    snapshot.save(book, path)
    return path


@pytest.fixture
def library(tmp_path):
    """Another library, with one memory in it."""
    return Library(tmp_path / "other")


def test_a_round_trip_gives_the_same_memory(book, file, library, tiny, monkeypatch):
    monkeypatch.setattr(snapshot_reader, "SEGMENT_TOKENS", 13)
    loaded = snapshot.load(library, file)
    assert loaded.name == "book"
    assert verify(loaded) == []
    assert tiny.same_memory(loaded, book)
    assert loaded.identity == book.identity
    assert loaded.documents() == book.documents()
    assert loaded.all_chunks(loaded.view()) == book.all_chunks(book.view())
    assert [row.tokens for row in loaded.view().segments[:-1]] == [13] * (
        len(loaded.view().segments) - 1
    )
    one, other = book.summary(), loaded.summary()
    assert (one.created, one.updated, one.tokens) == (other.created, other.updated, other.tokens)


def test_save_load_save_gives_the_same_file(file, library, tmp_path, monkeypatch):
    monkeypatch.setattr(snapshot_reader, "SEGMENT_TOKENS", 13)
    again = tmp_path / "again.safetensors"
    snapshot.save(snapshot.load(library, file), again)
    assert again.read_bytes() == file.read_bytes()


def test_reading_goes_on_after_a_load(book, file, library, tiny, model):
    beta = tiny.make_document("beta", 100)
    loaded = snapshot.load(library, file, "copy")
    tiny.ingest(loaded, model, beta)
    tiny.ingest(book, model, beta)
    assert tiny.same_memory(loaded, book)


def test_an_unfinished_document_goes_on_after_a_load(tmp_path, tiny, model, small_commits):
    alpha = tiny.make_document("alpha", 300)
    stored = tiny.make_memory(tmp_path / "one", model)
    events = pipeline.read_documents(stored, model, tiny.given(alpha), tiny.Characters())
    for event in events:
        if isinstance(event, pipeline.Committed):
            events.close()
    snapshot.save(stored, tmp_path / "part.safetensors")
    loaded = snapshot.load(Library(tmp_path / "two"), tmp_path / "part.safetensors")
    started = tiny.ingest(loaded, model, alpha)[0]
    assert started.chunks_done == 4
    assert tiny.same_memory(loaded, tiny.make_memory(tmp_path / "three", model, alpha))


def test_a_memory_without_long_term_memory(tmp_path, tiny, model, library):
    stored = tiny.make_memory(tmp_path / "home", model, tiny.make_document("alpha", 30))
    assert stored.load().segments == ()
    snapshot.save(stored, tmp_path / "short.safetensors")
    assert tiny.same_memory(snapshot.load(library, tmp_path / "short.safetensors"), stored)


def test_the_safetensors_library_reads_it(book, file):
    with safe_open(file, framework="pt") as opened:
        assert opened.metadata()["format"] == "mplus-snapshot"
        assert opened.get_tensor("ltm.keys").shape[1] == book.load().ltm_tokens


def test_a_name_of_zeros_is_not_taken_for_the_digest(book, library, tmp_path):
    here = Library(book.folder.parent.parent)
    here.rename("book", "0" * 64)
    snapshot.save(here.open("0" * 64), tmp_path / "zeros.safetensors")
    assert verify(snapshot.load(library, tmp_path / "zeros.safetensors")) == []


def test_progress_reaches_the_total(book, tmp_path, library):
    calls = []
    file = tmp_path / "book.safetensors"
    snapshot.save(book, file, lambda done, total: calls.append((done, total)))
    assert calls[-1] == (file.stat().st_size,) * 2
    snapshot.load(library, file, None, lambda done, total: calls.append((done, total)))
    assert calls[-1] == (file.stat().st_size,) * 2


def test_a_file_is_not_overwritten_unless_asked(book, file):
    before = file.read_bytes()
    with pytest.raises(UsageError, match="exists already"):
        snapshot.save(book, file)
    assert file.read_bytes() == before
    snapshot.save(book, file, overwrite=True)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir() if path.is_file()] == [file.name]


def test_saving_into_no_folder_and_saving_nothing(book, tmp_path, library, tiny):
    with pytest.raises(MplusError, match="no folder"):
        snapshot.save(book, tmp_path / "nowhere" / "x.safetensors")
    with pytest.raises(MplusError, match="is empty"):
        snapshot.save(library.create("none", tiny.IDENTITY), tmp_path / "x.safetensors")


def test_a_taken_name_is_refused(file, library, tiny):
    library.create("book", tiny.IDENTITY)
    before = tiny.tree(library.folder)
    with pytest.raises(UsageError, match="--as"):
        snapshot.load(library, file)
    assert tiny.tree(library.folder) == before
    assert snapshot.load(library, file, "copy").name == "copy"


def refused(library, file, tiny, data):
    """Check that these bytes are refused with exit code 3, and nothing changes."""
    file.write_bytes(data)
    before = tiny.tree(library.folder)
    with pytest.raises(MismatchError) as raised:
        snapshot.load(library, file, "copy")
    assert "\n" not in str(raised.value)
    assert tiny.tree(library.folder) == before
    assert sorted(path.name for path in library.folder.iterdir()) == [".locks", "there"]
    return str(raised.value)


def test_a_flipped_bit_anywhere_is_refused(file, library, tiny):
    library.create("there", tiny.IDENTITY)
    data = file.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    chance = random.Random(0)
    offsets = [*range(8), *range(8, start, 4), *chance.sample(range(start, len(data)), 200)]
    for offset in [*offsets, start - 1, start, len(data) - 1]:
        flipped = bytearray(data)
        flipped[offset] ^= 1 << chance.randrange(8)
        refused(library, file, tiny, bytes(flipped))


def test_a_truncated_or_longer_file_is_refused(file, library, tiny):
    library.create("there", tiny.IDENTITY)
    data = file.read_bytes()
    for length in [0, 1, 7, 8, 100, len(data) // 2, len(data) - 1]:
        refused(library, file, tiny, data[:length])
    refused(library, file, tiny, data + b"\0")


def sealed(data, change):
    """The file with its header changed, and the digest of the result."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    change(header["__metadata__"], header)
    header["__metadata__"]["sha256"] = "0" * 64
    text = json.dumps(header, separators=(",", ":")).encode()
    out = len(text).to_bytes(8, "little") + text + data[8 + length :]
    return out.replace(b"0" * 64, hashlib.sha256(out).hexdigest().encode(), 1)


def in_memory(**changes):
    def change(metadata, header):
        metadata["memory"] = json.dumps({**json.loads(metadata["memory"]), **changes})

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda metadata, header: metadata.update(format="other"), "not a snapshot"),
        (lambda metadata, header: metadata.update(version="9"), "newer mplus"),
        (in_memory(name="../../x"), "damaged"),
        (in_memory(clock=3), "damaged"),
        (in_memory(chunks=1), "damaged"),
        (in_memory(stm_tokens="many"), "damaged"),
        (in_memory(ltm_tokens=1), "damaged"),
        (in_memory(documents=[]), "damaged"),
        (in_memory(model={}), "damaged"),
        (in_memory(tokens=5), "damaged"),
        (lambda metadata, header: header.update({"ltm.born": header.pop("ltm.chunks")}), "damaged"),
        (lambda metadata, header: header.pop("stm.tail"), "damaged"),
    ],
)
def test_a_file_that_lies_is_refused(file, library, tiny, change, message):
    library.create("there", tiny.IDENTITY)
    assert message in refused(library, file, tiny, sealed(file.read_bytes(), change))


def test_a_file_that_is_no_snapshot(file, library, tiny, tmp_path, book):
    library.create("there", tiny.IDENTITY)
    segment = next((book.folder / "ltm").iterdir()).read_bytes()
    assert "not a snapshot" in refused(library, file, tiny, segment)
    refused(library, file, tiny, b"%PDF-1.7 and so on")
    with pytest.raises(MplusError, match="cannot read"):
        snapshot.load(library, tmp_path / "nothing.safetensors")
