"""Memories whose long-term memory is packed: files, checks, snapshots and resumed runs."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import pytest
import torch

from models.packing import Packed
from mplus_cli.errors import MismatchError
from mplus_cli.ingest import pipeline
from mplus_cli.library import Library, database, files, snapshot, tensors
from mplus_cli.library.mapping import draw_map
from mplus_cli.library.verify import verify


@pytest.fixture(scope="module")
def packing_model(tiny):
    return tiny.make_model(replace(tiny.CONFIG, ltm_format="k8v4"))


@pytest.fixture
def packed(tmp_path, tiny, packing_model, small_commits):
    document = tiny.make_document("alpha", 300, pages=3)
    return tiny.make_memory(tmp_path / "packed", packing_model, document)


def test_files_hold_codes_and_are_whole(packed):
    memory = packed.load()
    assert memory.segments and all(isinstance(part.tokens, Packed) for part in memory.segments)
    assert verify(packed) == []
    assert draw_map(packed).ltm_tokens == memory.ltm_tokens
    row = packed.view().segments[0]
    assert tensors.open_mapped(packed.folder, row.file)["keys"].dtype.is_floating_point is False


def test_what_is_given_back_is_read_again(packed):
    row = packed.view().segments[0]
    segment = files.open_segment(packed.folder, row)
    before = [tensor.clone() for tensor in segment.tokens.tensors().values()]
    segment.give_back()
    assert all(map(torch.equal, before, segment.tokens.tensors().values()))


def test_it_takes_fewer_bytes(packed, tmp_path, tiny, model):
    exact = tiny.make_memory(tmp_path / "exact", model, tiny.make_document("alpha", 300, pages=3))
    sizes = [
        sum(row.bytes for row in stored.view().segments) / stored.view().ltm_tokens
        for stored in (packed, exact)
    ]
    assert sizes[0] < sizes[1] / 2
    assert packed.summary().bytes < exact.summary().bytes


def test_an_interrupted_run_leaves_the_same_bytes(packed, tmp_path, tiny, packing_model):
    again = tiny.make_memory(tmp_path / "again", packing_model)
    document = tiny.make_document("alpha", 300, pages=3)
    for event in pipeline.read_documents(
        again, packing_model, tiny.given(document), tiny.Characters()
    ):
        if isinstance(event, pipeline.ChunkRead) and event.chunks_done == 10:
            break
    tiny.ingest(again, packing_model, document)
    assert tiny.contents(again.folder) == tiny.contents(packed.folder)


def test_a_snapshot_there_and_back(packed, tmp_path, tiny):
    file = tmp_path / "book.safetensors"
    snapshot.save(packed, file)
    other = snapshot.load(Library(tmp_path / "other"), file)
    assert verify(other) == []
    assert tiny.same_memory(packed, other)
    second = tmp_path / "second.safetensors"
    snapshot.save(other, second)
    assert second.read_bytes() == file.read_bytes()


def test_an_older_mplus_is_told_to_upgrade(packed, book, tmp_path, monkeypatch):
    """One that knows format 1 goes on to read exact memories, and refuses packed ones."""
    file = tmp_path / "book.safetensors"
    snapshot.save(packed, file)
    monkeypatch.setattr(database, "SCHEMA_VERSION", 1)
    monkeypatch.setattr("mplus_cli.library.snapshot_reader.VERSION", 1)
    assert book.load().ltm_tokens
    with pytest.raises(MismatchError, match="newer mplus"):
        packed.load()
    with pytest.raises(MismatchError, match="newer mplus"):
        snapshot.load(Library(tmp_path / "other"), file)


@pytest.mark.parametrize(
    "change",
    [
        lambda kept: kept.pop("value_scales"),
        lambda kept: kept.update(value_scales=kept["value_scales"][:, :, :1]),
        lambda kept: kept.update(values=kept["values"][..., :2]),
        lambda kept: kept.update(keys=kept["keys"].float()),
    ],
    ids=["no scales", "other scales", "other size", "no codes"],
)
def test_codes_that_do_not_fit_their_scales(packed, change):
    row = packed.view().segments[0]
    kept = {
        name: part.clone() for name, part in tensors.open_mapped(packed.folder, row.file).items()
    }
    change(kept)
    with pytest.raises(tensors.DamagedFile):
        tensors.make_segment(row.file, kept)


def test_old_memories_have_no_format_and_are_read(book, tiny):
    with sqlite3.connect(book.folder / "memory.db") as connection:
        geometry = '{"drop": "oldest"}'
        connection.execute("UPDATE settings SET value = ? WHERE key = 'geometry'", (geometry,))
    tiny.make_older(book)
    assert book.load().ltm_tokens
    segment = files.open_segment(book.folder, book.view().segments[0])
    assert segment.tokens.unpack() is segment.tokens
