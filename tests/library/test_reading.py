"""The ingest loop: its events, what it reads again and what not, and its commits."""

from __future__ import annotations

import pytest

from models.memory import merge
from models.update import read_chunk
from mplus_cli.documents import DocumentError, split_chunks
from mplus_cli.ingest import pipeline
from mplus_cli.library.mapping import draw_map
from mplus_cli.library.verify import verify


def of_type(events, kind):
    return [event for event in events if isinstance(event, kind)]


def test_the_memory_is_what_reading_chunk_by_chunk_gives(tmp_path, tiny, model, small_commits):
    document = tiny.make_document("alpha", 300, pages=3)
    stored = tiny.make_memory(tmp_path, model, document)
    memory = model.empty_memory()
    chunks = split_chunks(document, tiny.Characters(), 16)
    for chunk in chunks:
        memory = read_chunk(model, memory, chunk.ids)
    loaded = stored.load()
    assert loaded.clock == memory.clock
    assert loaded.stm.tokens.keys.equal(memory.stm.tokens.keys)
    assert loaded.stm.tail.equal(memory.stm.tail)
    assert loaded.stm.ages.equal(memory.stm.ages)
    expected, found = merge(memory.segments), merge(loaded.segments)
    assert found.tokens.values.equal(expected.tokens.values)
    assert found.born.equal(expected.born)
    assert [row.text for row in stored.chunks(range(len(chunks)))] == [c.text for c in chunks]
    assert verify(stored) == []


def test_events_of_a_document(tmp_path, tiny, model, small_commits):
    document = tiny.make_document("alpha", 150, pages=3)
    stored = tiny.make_memory(tmp_path, model)
    events = tiny.ingest(stored, model, document)
    started, finished = events[0], events[-1]
    assert isinstance(started, pipeline.DocumentStarted)
    assert (started.title, started.pages, started.chunks_done) == ("alpha", 3, 0)
    read = of_type(events, pipeline.ChunkRead)
    assert [event.chunks_done for event in read] == list(range(1, started.chunks + 1))
    assert read[-1].tokens_done == started.tokens == 150
    assert read[-1].page == 3
    assert read[-1].stm_tokens == 40
    commits = [event.chunks_done for event in of_type(events, pipeline.Committed)]
    assert commits == [*range(4, started.chunks, 4), started.chunks]
    assert finished.status == "read"
    assert finished.chunks == started.chunks


def test_commits_come_every_32_chunks(tmp_path, tiny, model):
    stored = tiny.make_memory(tmp_path, model)
    events = tiny.ingest(stored, model, tiny.make_document("alpha", 600))
    commits = of_type(events, pipeline.Committed)
    assert [event.chunks_done for event in commits] == [32, commits[-1].chunks_total]


def test_a_document_in_memory_is_not_read_again(tmp_path, tiny, model):
    document = tiny.make_document("alpha", 100)
    stored = tiny.make_memory(tmp_path, model, document)
    before = tiny.tree(tmp_path)
    (event,) = tiny.ingest(stored, model, document)
    assert (event.status, event.title) == ("already-read", "alpha")
    assert tiny.tree(tmp_path) == before


def test_a_failing_document_does_not_stop_the_others(tmp_path, tiny, model):
    def fail():
        raise DocumentError("bad.pdf is damaged: get it again")

    good = tiny.given(tiny.make_document("alpha", 60), tiny.make_document("beta", 60))
    bad = (tiny.Source(None, "bad.pdf"), fail)
    stored = tiny.make_memory(tmp_path, model)
    events = list(
        pipeline.read_documents(stored, model, [good[0], bad, good[1]], tiny.Characters())
    )
    (failed,) = of_type(events, pipeline.DocumentFailed)
    assert (failed.index, failed.path) == (1, "bad.pdf")
    assert failed.error == "bad.pdf is damaged: get it again"
    finished = of_type(events, pipeline.DocumentFinished)
    assert [event.title for event in finished] == ["alpha", "beta"]


def test_a_document_without_tokens_fails(tmp_path, tiny, model):
    stored = tiny.make_memory(tmp_path, model)
    (event,) = tiny.ingest(stored, model, tiny.make_document("alpha", 0))
    assert isinstance(event, pipeline.DocumentFailed)
    assert stored.is_empty


def interrupt(tiny, model, stored, document, after):
    events = pipeline.read_documents(stored, model, tiny.given(document), tiny.Characters())
    for event in events:
        if isinstance(event, pipeline.ChunkRead) and event.chunks_done == after:
            events.close()


def test_an_interrupted_document_goes_on(tmp_path, tiny, model, small_commits):
    document = tiny.make_document("alpha", 300)
    whole = tiny.make_memory(tmp_path / "whole", model, document)
    stored = tiny.make_memory(tmp_path / "resumed", model)
    interrupt(tiny, model, stored, document, after=2)
    assert stored.is_empty
    interrupt(tiny, model, stored, document, after=11)
    (row,) = stored.documents()
    assert (row.chunks_read, row.complete) == (8, False)
    started, *events = tiny.ingest(stored, model, document)
    assert started.chunks_done == 8
    assert events[0].chunks_done == 9
    assert tiny.contents(stored.folder) == tiny.contents(whole.folder)


def test_another_document_after_an_interrupted_one(tmp_path, tiny, model, small_commits):
    alpha, beta = tiny.make_document("alpha", 300), tiny.make_document("beta", 100)
    stored = tiny.make_memory(tmp_path, model)
    interrupt(tiny, model, stored, alpha, after=9)
    tiny.ingest(stored, model, beta)
    assert [row.complete for row in stored.documents()] == [False, True]
    tiny.ingest(stored, model, alpha, beta)
    assert [row.complete for row in stored.documents()] == [True, True]
    first, second = draw_map(stored).documents
    assert len(first.runs) == 2
    assert first.runs[0] == (0, 7)
    assert second.runs == ((8, first.runs[1][0] - 1),)
    assert verify(stored) == []


def test_a_document_cut_differently_starts_over(tmp_path, tiny, model, small_commits):
    class Shifted(tiny.Characters):
        def encode(self, text):
            ids, offsets = super().encode(text)
            return [2 + (number + 1) % 290 for number in ids], offsets

    document = tiny.make_document("alpha", 200)
    stored = tiny.make_memory(tmp_path, model)
    interrupt(tiny, model, stored, document, after=5)
    events = list(pipeline.read_documents(stored, model, tiny.given(document), Shifted()))
    assert [row.complete for row in stored.documents()] == [False, True]
    (warning,) = of_type(events, pipeline.DocumentStarted)[0].warnings
    assert "alpha was read before, to chunk 4 of" in warning
    assert warning.endswith("remove it with mplus memory rm-document book 1")


def test_ctrl_c_in_a_pass_loses_only_what_was_not_committed(
    tmp_path, tiny, model, small_commits, monkeypatch
):
    def pressed(*args, **kwargs):
        raise KeyboardInterrupt

    document = tiny.make_document("alpha", 300)
    whole = tiny.make_memory(tmp_path / "whole", model, document)
    stored = tiny.make_memory(tmp_path / "stopped", model)
    events = pipeline.read_documents(stored, model, tiny.given(document), tiny.Characters())
    for event in events:
        if isinstance(event, pipeline.ChunkRead) and event.chunks_done == 6:
            break
    with monkeypatch.context() as patched:
        patched.setattr("models.update.write", pressed)
        with pytest.raises(KeyboardInterrupt):
            next(events)
    tiny.ingest(stored, model, document)
    assert tiny.contents(stored.folder) == tiny.contents(whole.folder)


@pytest.mark.parametrize("capacity", [20, 50])
def test_capacity_forgets_the_oldest_on_disk_too(tmp_path, tiny, small_commits, capacity):
    config = tiny.MPlusConfig.from_dict({**tiny.CONFIG.to_dict(), "ltm_capacity": capacity})
    model = tiny.make_model(config)
    document = tiny.make_document("alpha", 400)
    memory = model.empty_memory()
    for chunk in split_chunks(document, tiny.Characters(), 16):
        memory = read_chunk(model, memory, chunk.ids)
    stored = tiny.make_memory(tmp_path / "a", model)
    interrupt(tiny, model, stored, document, after=14)
    tiny.ingest(stored, model, document)
    loaded = stored.load()
    assert loaded.ltm_tokens == memory.ltm_tokens == capacity
    expected = merge(memory.segments)
    assert merge(loaded.segments).tokens.keys.equal(expected.tokens.keys)
    assert merge(loaded.segments).born.equal(expected.born)
    whole = tiny.make_memory(tmp_path / "b", model, document)
    assert tiny.contents(stored.folder) == tiny.contents(whole.folder)
    assert verify(stored) == []


def test_random_drops_are_stored_layer_by_layer(tmp_path, tiny, small_commits):
    values = {"drop": "random", "recall": "tokens", "scorer": "sigmoid", "retriever_layers": None}
    model = tiny.make_model(tiny.MPlusConfig.from_dict({**tiny.CONFIG.to_dict(), **values}))
    document = tiny.make_document("alpha", 300)
    whole = tiny.make_memory(tmp_path / "whole", model, document)
    stored = tiny.make_memory(tmp_path / "stopped", model)
    interrupt(tiny, model, stored, document, after=14)
    tiny.ingest(stored, model, document)
    assert tiny.contents(stored.folder) == tiny.contents(whole.folder)
    assert stored.load().segments[0].born.shape[0] == 3
    assert verify(stored) == []
