"""Several processes at once: one writer, and readers that always see a commit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from itertools import count

import pytest

from mplus_cli.errors import MplusError
from mplus_cli.ingest import pipeline
from mplus_cli.library import Library, snapshot
from mplus_cli.library.mapping import draw_map
from mplus_cli.library.verify import verify

HOLD = """
import sys
from pathlib import Path
from mplus_cli.library import Library, snapshot
with Library(Path(sys.argv[1])).open("book").writer():
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def in_a_process():
    """Does some work in a process forked from this one; gives its number. It ends with what the work
    returns, and at the latest with the test."""
    started = []

    def run(work):
        pid = os.fork()
        if pid == 0:
            status = 99
            try:
                status = work()
            finally:
                os._exit(status)
        started.append(pid)
        return pid

    yield run
    for pid in started:
        with suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG)[0] == 0:  # still ours, so the number is too
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def ended(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


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
        for name in (
            () if seen else ("beta", "gamma")
        ):  # the state before the newest document is kept
            tiny.ingest(book, model, tiny.make_document(name, 40))
        seen.append(view.state.commit)
        from mplus_cli.library import files

        return files.open_memory(book.folder, view, "cpu")

    memory = book.read_consistently(read)
    assert len(seen) == 2
    assert memory.chunks == book.view().chunks


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_readers_while_a_process_writes(tmp_path, tiny, model, monkeypatch, in_a_process):
    """The writer goes on until four of its commits were seen."""
    monkeypatch.setattr(pipeline, "COMMIT_CHUNKS", 1)
    stored, enough = tiny.make_memory(tmp_path, model), tmp_path / "enough"

    def write():
        numbers = count()
        while not enough.exists():
            tiny.ingest(stored, model, tiny.make_document(f"alpha{next(numbers)}", 300))
        return 0

    pid = in_a_process(write)
    seen, done = set(), 0
    while not done:
        if len(seen) > 3:
            enough.touch()
        done, status = os.waitpid(pid, os.WNOHANG)
        view = stored.view()
        if view.state is None:
            continue
        view, memory = stored.load_view()
        seen.add(view.state.commit)
        assert memory.chunks == view.chunks == len(stored.all_chunks(view))
        assert memory.clock == len(memory.stm) + memory.ltm_tokens
        assert verify(stored) == []
    assert status == 0 and len(seen) > 3
    assert all(document.complete for document in stored.documents())


def test_a_writer_outlives_the_names_of_others(tmp_path, tiny, model):
    library = Library(tmp_path)
    stored = library.create("book", tiny.IDENTITY)
    with stored.writer():
        library.create("other", tiny.IDENTITY)
        library.rename("other", "another")
        library.remove("another")
    assert library.names() == ["book"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_all_at_once(tmp_path, tiny, model, monkeypatch, in_a_process):
    """Eight that read and save, one that writes, one that writes too late, those who change names."""
    monkeypatch.setattr(pipeline, "COMMIT_CHUNKS", 1)
    library = Library(tmp_path)
    stored = tiny.make_memory(tmp_path, model, tiny.make_document("alpha", 60))
    long, stop, refused = tiny.make_document("beta", 400), tmp_path / "stop", tmp_path / "refused"
    told = tmp_path / "told"
    told.mkdir()

    def reader(number):
        rounds = 0
        while not stop.exists() or not rounds:
            try:
                view, memory = stored.load_view()
                texts = stored.texts(memory.chunks)
                assert len(texts) == memory.chunks == view.chunks
                snapshot.save(stored, tmp_path / f"{number}.safetensors", overwrite=True)
            except MplusError as error:
                (told / f"{number}").write_text(str(error))
                return 2
            rounds += 1
        return 0

    def writer():
        given = tiny.given(long)
        events = pipeline.read_documents(stored, model, given, tiny.Characters())
        for number, _ in enumerate(events):
            while number == 12 and not refused.exists():
                time.sleep(0.01)
        return 0

    readers = [in_a_process(lambda number=number: reader(number)) for number in range(8)]
    held = in_a_process(writer)
    while len(stored.documents()) < 2:
        assert os.waitpid(held, os.WNOHANG)[0] == 0, "it failed"
    for change in (
        lambda: library.rename("book", "novel"),
        lambda: library.remove("book"),
        lambda: tiny.ingest(stored, model, tiny.make_document("gamma", 30)),
    ):
        with pytest.raises(MplusError) as raised:
            change()
        assert str(raised.value) == (
            f'memory "book" is being written by another process (pid {held}): wait for it or choose '
            "another memory with -m"
        )
    refused.touch()
    assert ended(held) == 0
    stop.touch()
    assert [ended(pid) for pid in readers] == [0] * 8, [path.read_text() for path in told.iterdir()]
    assert stored.documents()[-1].complete
    assert verify(stored) == []
    for number in range(8):
        snapshot.load(library, tmp_path / f"{number}.safetensors", f"copy{number}")

    # Names change under those who read: they see one memory to its end, or are told.
    stop.unlink()
    readers = [in_a_process(lambda number=number: reader(number)) for number in range(8)]
    library.rename("book", "novel")
    stop.touch()
    assert {ended(pid) for pid in readers} <= {0, 2}
    for path in told.iterdir():
        assert "was removed or renamed in the meantime" in path.read_text()
    assert verify(library.open("novel")) == []
    assert not list(tmp_path.glob(".*.tmp"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_of_many_that_fetch_the_base_one_does(tmp_path, monkeypatch, in_a_process):
    from benchmarks.reliability import faults
    from mplus_cli.runtime import catalog, embedded_base

    for name in ("_download", "_unpack", "_convert"):
        monkeypatch.setattr(embedded_base, name, getattr(embedded_base, name))
    faults.fake_fetch()
    download = embedded_base._download

    def counted(work, progress):
        (tmp_path / f"fetched-{os.getpid()}").touch()
        return download(work, progress)

    monkeypatch.setattr(embedded_base, "_download", counted)
    monkeypatch.setattr(embedded_base, "_POLL_SECONDS", 0.01)

    def fetch():
        embedded_base.pull(tmp_path, offline=False, progress=lambda *_: None)
        return 0

    assert [ended(pid) for pid in [in_a_process(fetch) for _ in range(6)]] == [0] * 6
    assert len(list(tmp_path.glob("fetched-*"))) == 1
    assert catalog.is_base_present(tmp_path)
    assert embedded_base.damage(catalog.base_folder(tmp_path)) is None
    names = {path.name for path in catalog.base_folder(tmp_path).parent.iterdir()}
    assert names == {".locks", catalog.BASE}
