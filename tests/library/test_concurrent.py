"""Several processes at once: one writer, and readers that always see a commit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from mplus_cli.errors import MplusError
from mplus_cli.ingest import pipeline
from mplus_cli.library import Library
from mplus_cli.library.mapping import draw_map
from mplus_cli.library.verify import verify

HOLD = """
import sys
from pathlib import Path
from mplus_cli.library import Library
with Library(Path(sys.argv[1])).open("book").writer():
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def holder(book):
    """Another process that is writing the memory."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(book.folder.parent.parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_writer_is_refused(book, holder, tiny, model):
    with pytest.raises(MplusError) as raised:
        tiny.ingest(book, model, tiny.make_document("beta", 50))
    assert str(raised.value) == (
        f'memory "book" is being written by another process (pid {holder.pid}): wait for it or '
        "choose another memory with -m"
    )
    assert raised.value.exit_code == 1
    assert book.load().chunks == len(draw_map(book).chunks)


def test_the_lock_goes_when_its_process_is_killed(book, holder):
    holder.kill()
    holder.wait()
    with book.writer():
        pass


def test_a_reader_keeps_what_it_loaded(book, tiny, model):
    before = book.load()
    keys = before.stm.tokens.keys.clone()
    tiny.ingest(book, model, tiny.make_document("beta", 200))
    assert before.stm.tokens.keys.equal(keys)
    assert before.segments[0].tokens.keys.isfinite().all()
    assert book.load().clock > before.clock


def test_a_file_that_a_commit_replaced_is_looked_up_again(book, tiny, model):
    seen = []

    def read(view):
        if not seen:
            tiny.ingest(book, model, tiny.make_document("beta", 40))
        seen.append(view.state.commit)
        from mplus_cli.library import files

        return files.open_memory(book.folder, view, "cpu")

    memory = book.read_consistently(read)
    assert len(seen) == 2
    assert memory.chunks == book.view().chunks


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_readers_while_a_process_writes(tmp_path, tiny, model, monkeypatch):
    monkeypatch.setattr(pipeline, "COMMIT_CHUNKS", 1)
    document = tiny.make_document("alpha", 700)
    stored = tiny.make_memory(tmp_path, model)
    pid = os.fork()
    if pid == 0:
        try:
            tiny.ingest(stored, model, document)
        finally:
            os._exit(0)
    seen, done = set(), 0
    try:
        while not done:
            done, _ = os.waitpid(pid, os.WNOHANG)
            view = stored.view()
            if view.state is None:
                continue
            view, memory = stored.load_view()
            seen.add(view.state.commit)
            assert memory.chunks == view.chunks == len(stored.all_chunks(view))
            assert memory.clock == len(memory.stm) + memory.ltm_tokens
            assert verify(stored) == []
    finally:
        if not done:
            os.kill(pid, signal.SIGKILL)
    assert len(seen) > 3
    assert stored.documents()[0].complete


def test_a_writer_outlives_the_names_of_others(tmp_path, tiny, model):
    library = Library(tmp_path)
    stored = library.create("book", tiny.IDENTITY)
    with stored.writer():
        library.create("other", tiny.IDENTITY)
        library.rename("other", "another")
        library.remove("another")
    assert library.names() == ["book"]
