"""Small files of long-term memory become larger ones as a memory grows."""

from __future__ import annotations

import itertools

import pytest

from mplus_cli.library import compaction
from mplus_cli.library.compaction import to_merge
from mplus_cli.library.verify import verify


def grown(news):
    """The files that a memory has after writing so many tokens each time, and all that was written."""
    files, written = [], 0
    for new in news:
        merged = to_merge(files, new)
        new += sum(files[len(files) - merged :])
        files = [*files[: len(files) - merged], new]
        written += new
    return files, written


def test_eight_of_a_size_become_one():
    assert to_merge([], 100) == 0
    assert to_merge([16_384] * 6, 16_384) == 0
    assert to_merge([16_384] * 7, 16_384) == 7
    assert to_merge([131_072] * 70, 131_072) == 0


def test_smaller_ones_go_along_but_do_not_count():
    assert to_merge([16_384] * 7 + [100], 16_384) == 8
    assert to_merge([16_384] * 7, 100) == 0
    assert to_merge([16_384] * 3 + [2_048] * 7, 2_048) == 7
    assert to_merge([131_072, 7, 3_000] + [16_384] * 7, 16_384) == 9, "none is left behind"


def test_no_more_than_eight_at_once_of_what_an_older_mplus_left():
    assert to_merge([16_384] * 61, 16_384) == 7


@pytest.mark.parametrize("each", [60, 1_000, 8_192, 16_384])
def test_few_files_and_little_rewriting(each):
    files, written = grown([each] * (1_000_000 // each))
    assert len(files) <= 8 + 3 * 7
    assert written <= 6 * 1_000_000


def test_any_sizes_leave_few_files():
    sizes = itertools.islice(itertools.cycle([512, 16_384, 7, 3_000, 16_384, 16_384, 90]), 700)
    files, written = grown(sizes)
    assert len(files) <= sum(files) / 131_072 + 4 * 8
    assert written <= 6 * sum(files)


@pytest.mark.parametrize("capacity", [None, 70])
def test_memory_is_the_same_in_fewer_files(tmp_path, tiny, small_commits, monkeypatch, capacity):
    config = tiny.MPlusConfig.from_dict({**tiny.CONFIG.to_dict(), "ltm_capacity": capacity})
    model = tiny.make_model(config)
    document = tiny.make_document("alpha", 500)
    monkeypatch.setattr(compaction, "FAN", 1_000)
    apart = tiny.make_memory(tmp_path / "apart", model, document)
    monkeypatch.setattr(compaction, "FAN", 3)
    merged = tiny.make_memory(tmp_path / "merged", model, document)
    assert tiny.same_memory(apart, merged)
    assert verify(merged) == []
    files = [row.file for row in merged.view().segments]
    assert len(files) < len(apart.view().segments)
    assert len(files) < 3
    assert sorted(path.name for path in (merged.folder / "ltm").iterdir()) == sorted(
        file.removeprefix("ltm/") for file in files
    )


def test_a_resumed_run_merges_alike(tmp_path, tiny, model, small_commits, monkeypatch):
    monkeypatch.setattr(compaction, "FAN", 3)
    document = tiny.make_document("alpha", 500)
    whole = tiny.make_memory(tmp_path / "whole", model, document)
    stored = tiny.make_memory(tmp_path / "resumed", model)
    for after in (9, 22):
        events = tiny.pipeline.read_documents(
            stored, model, tiny.given(document), tiny.Characters()
        )
        for event in events:
            if isinstance(event, tiny.pipeline.ChunkRead) and event.chunks_done == after:
                events.close()
    tiny.ingest(stored, model, document)
    assert tiny.contents(stored.folder) == tiny.contents(whole.folder)


def test_a_reader_keeps_what_it_opened(tmp_path, tiny, model, small_commits, monkeypatch):
    monkeypatch.setattr(compaction, "FAN", 3)
    stored = tiny.make_memory(tmp_path, model, tiny.make_document("alpha", 200))
    memory = stored.load()
    before = [segment.tokens.keys.clone() for segment in memory.segments]
    tiny.ingest(stored, model, tiny.make_document("beta", 300))
    for segment, keys in zip(memory.segments, before, strict=True):
        assert segment.tokens.keys.equal(keys)
