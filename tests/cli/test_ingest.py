"""`mplus ingest`: what it says, what it returns, and every way a document can fail."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mplus_cli.documents import DocumentError, recognition, watching
from mplus_cli.ingest.shelf import BookFinished, read_book
from mplus_cli.library import Library
from mplus_cli.library.writer import Writer
from mplus_cli.runtime import session
from mplus_cli.settings import Flags, resolve

FIELDS = {"path", "title", "sha256", "pages", "tokens", "chunks", "status", "error", "replaced"}
REPORT = {"memory", "documents", "tokens", "stm_tokens", "ltm_tokens", "seconds"}


def library() -> Library:
    return Library(Path(os.environ["MPLUS_HOME"]))


def test_json(mplus: Any, tiny: Path, story: Path) -> None:
    result = mplus("ingest", story, "--title", "Orla", "--json")
    assert result.code == 0
    report = result.json
    assert set(report) == REPORT
    assert report["memory"] == "default"
    (document,) = report["documents"]
    assert set(document) == FIELDS
    assert document["path"] == str(story)
    assert document["title"] == "Orla"
    assert document["sha256"] == hashlib.sha256(story.read_bytes()).hexdigest()
    assert (document["status"], document["error"], document["pages"]) == ("read", None, None)
    assert report["tokens"] == document["tokens"] > 100
    assert document["chunks"] >= document["tokens"] / 32
    assert report["stm_tokens"] == 48
    assert report["ltm_tokens"] > 0
    summary = library().open("default").summary()
    assert (summary.tokens, summary.ltm_tokens) == (report["tokens"], report["ltm_tokens"])


def test_plain_lines_without_a_terminal(mplus: Any, tiny: Path, story: Path) -> None:
    result = mplus("ingest", story)
    assert result.out == ""
    assert "\x1b" not in result.err
    assert "\r" not in result.err
    first, last = result.err.splitlines()
    assert first.startswith("reading: Story (")
    assert last.startswith('memory "default": 1 document read; it holds ')


def test_quiet(mplus: Any, tiny: Path, story: Path) -> None:
    result = mplus("ingest", story, "-q")
    assert (result.code, result.out, result.err) == (0, "", "")


def test_again_is_already_read(mplus: Any, book: str, story: Path) -> None:
    result = mplus("ingest", story, "-m", book, "--json")
    assert result.code == 0
    assert [entry["status"] for entry in result.json["documents"]] == ["already-read"]
    assert "already read" in result.err


def test_stdin(mplus: Any, tiny: Path) -> None:
    result = mplus("ingest", "-", "--json", stdin="The goat is called Admiral.")
    assert [entry["path"] for entry in result.json["documents"]] == ["-"]
    assert library().open("default").chunk(0).text == "The goat is called Admiral."


def test_pages_of_a_pdf(mplus: Any, tiny: Path, make_pdf: Callable[..., Path]) -> None:
    pdf = make_pdf("three.pdf", "First page of it. One", "Second page. Two", "Third page. Three")
    assert mplus("ingest", pdf, "--pages", "2-3", "--json").json["documents"][0]["pages"] == 2
    rows = library().open("default").chunks([0])
    assert rows[0].first_page == 2
    assert "First" not in rows[0].text


def test_a_folder(mplus: Any, tiny: Path, tmp_path: Path) -> None:
    for name in ("a2.txt", "a10.md", "image.png"):
        (tmp_path / name).write_text(f"The text of {name}.")
    result = mplus("ingest", tmp_path, "--json")
    assert [Path(d["path"]).name for d in result.json["documents"]] == ["a2.txt", "a10.md"]
    assert "1 file was left out as no document (1 .png)" in result.err


def broken(kind: str, folder: Path, make_pdf: Callable[..., Path]) -> tuple[Path, str]:
    """A source that cannot be read, and a word of why."""
    if kind == "missing":
        return folder / "gone.pdf", "does not exist"
    if kind == "folder":
        (folder / "empty").mkdir()
        return folder / "empty", "no documents"
    if kind == "encrypted":
        return make_pdf("locked.pdf", "Secret text", password="secret"), "password"
    if kind == "scanned":
        return make_pdf("scan.pdf", "", ""), "no text"
    if kind == "truncated":
        whole = make_pdf("whole.pdf", *["A page of text. With lines"] * 20).read_bytes()
        path = folder / "half.pdf"
        path.write_bytes(whole[: len(whole) // 8])
        return path, "half.pdf"
    path = folder / f"{kind}.txt"
    path.write_bytes(b"" if kind == "zero" else os.urandom(4000))
    return path, "empty" if kind == "zero" else "not text"


KINDS = ["missing", "folder", "encrypted", "scanned", "truncated", "zero", "binary"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_document_that_cannot_be_read(
    mplus: Any, tmp_path: Path, make_pdf: Callable[..., Path], kind: str
) -> None:
    """Nothing is loaded for it: there is no model here at all."""
    path, why = broken(kind, tmp_path, make_pdf)
    result = mplus("ingest", path, "--json")
    assert result.code == 1
    assert why in result.error
    assert len(result.err.splitlines()) == 1
    (document,) = result.json["documents"]
    assert (document["status"], document["error"]) == ("failed", result.error)
    assert result.json["tokens"] == 0
    assert library().names() == []


def test_some_cannot_be_read(
    mplus: Any, tiny: Path, tmp_path: Path, story: Path, make_pdf: Callable[..., Path]
) -> None:
    paths = [broken(kind, tmp_path, make_pdf)[0] for kind in ("missing", "zero", "scanned")]
    result = mplus("ingest", paths[0], story, *paths[1:], "--json")
    assert result.code == 4
    statuses = [document["status"] for document in result.json["documents"]]
    assert statuses == ["failed", "read", "failed", "failed"]
    assert result.err.count("mplus: warning: not read: ") == 3
    assert mplus("ingest", *paths).error == "none of the 3 documents could be read"


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (("--title", "T"), "--title names one document, but 2 are given"),
        (("--pages", "9-2"), "backwards"),
        (("-m", ".x"), "cannot name a memory"),
        (("-m", ""), "name is empty"),
        (("--watch", "--dry-run"), "--watch reads documents: leave out --dry-run"),
        (("--watch",), "is not a folder: --watch is for folders"),
        (("--watch", "--pages", "1-2"), "--watch is for folders: leave out --json, --title"),
    ],
)
def test_usage(mplus: Any, story: Path, tmp_path: Path, extra: Any, said: str) -> None:
    (tmp_path / "other.txt").write_text("Other text.")
    result = mplus("ingest", story, tmp_path / "other.txt", *extra)
    assert result.code == 2
    assert said in result.error


def test_a_memory_of_another_model(
    mplus: Any, book: str, story: Path, tiny_base_folder: Path
) -> None:
    (story.parent / "more.txt").write_text("More text.")
    result = mplus("ingest", story.parent / "more.txt", "-m", book, "--model", tiny_base_folder)
    assert result.code == 3
    assert "was written by model tiny-checkpoint" in result.error
    assert mplus("ask", "who?", "-m", book, "--model", tiny_base_folder).code == 3


def test_another_dtype_is_refused_and_its_own_is_found(mplus: Any, tiny: Path, story: Path) -> None:
    for dtype, other in (("float32", "bfloat16"), ("bfloat16", "float32")):
        assert mplus("ingest", story, "-m", dtype, "--dtype", dtype, "-q").code == 0
        assert mplus("ask", "who?", "-m", dtype, "--max-new-tokens", "2").code == 0
        result = mplus("ask", "who?", "-m", dtype, "--dtype", other)
        assert result.code == 2
        assert f"is in {dtype}, not {other}: give --dtype {dtype}" in result.error


def test_a_memory_that_is_being_written(mplus: Any, book: str, story: Path) -> None:
    with library().open(book).writer():
        result = mplus("ingest", story, "-m", book)
    assert result.code == 1
    assert f"being written by another process (pid {os.getpid()})" in result.error


def test_a_full_disk(mplus: Any, tiny: Path, story: Path, monkeypatch: Any) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "_commit", fail)
        result = mplus("ingest", story)
    assert result.code == 1
    assert result.error.startswith("the disk is full")
    assert mplus("ingest", story).code == 0


def test_warnings_are_shown(mplus: Any, tiny: Path, tmp_path: Path, monkeypatch: Any) -> None:
    from dataclasses import replace

    from mplus_cli import documents

    def read(*given: Any, **options: Any) -> documents.Document:
        found = documents.read_document(*given, **options)
        return replace(found, warnings=("page 3 is empty",))

    monkeypatch.setattr("mplus_cli.ingest.job.read_document", read)
    (tmp_path / "a.txt").write_text("Some text.")
    assert "mplus: warning: page 3 is empty\n" in mplus("ingest", tmp_path / "a.txt").err
    assert mplus("ingest", tmp_path / "a.txt", "-m", "b", "-q").err == ""


def test_several_books_at_a_time(process: Any, tiny: Path, tmp_path: Path) -> None:
    """Each becomes a memory of its own; one that cannot be read does not stop the others."""
    for name in ("emma", "pim"):
        (tmp_path / f"{name}.txt").write_text(f"The keeper was called {name}. " * 40)
    books = [tmp_path / "emma.txt", tmp_path / "pim.txt"]
    result = process("ingest", "--workers", "2", *books, "--json")
    assert result.code == 0, result.err
    assert [(entry["memory"], entry["error"]) for entry in result.json["memories"]] == [
        ("emma", None),
        ("pim", None),
    ]
    assert 'memory "emma": 1 document read' in result.err
    result = process("ingest", "--workers", "2", *books, "nowhere.txt")
    assert result.code == 4
    assert "mplus: warning: not read: " in result.err and "nowhere.txt does not exist" in result.err
    assert process("ingest", "--workers", "2", "-m", "emma", *books).code == 2
    assert process("ingest", "--workers", "0", *books).code == 2
    web_page = Path(__file__).parents[1] / "fixtures" / "documents" / "not_a.pdf"
    assert "mplus: warning: not_a: " in process("ingest", "--workers", "1", web_page).err


def test_interrupted_workers_leave_nothing_behind(start: Any, tiny: Path, long_story: Path) -> None:
    running = start("ingest", "--workers", "2", long_story)
    names = library().names
    while "long" not in names():
        assert running.poll() is None, running.communicate()
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate()
    assert running.returncode == 130
    assert err.splitlines()[-1].startswith("mplus: interrupted")
    assert "Traceback" not in err
    with library().open("long").writer():
        pass  # no worker holds it any more


def steps(monkeypatch: pytest.MonkeyPatch, *left: Callable[[], object]) -> None:
    """Set what happens between one look at a watched folder and the next; Ctrl-C comes in the end."""
    coming = list(left)

    def sleep(_: float) -> None:
        if not coming:
            raise KeyboardInterrupt
        coming.pop(0)()

    monkeypatch.setattr(watching, "time", SimpleNamespace(sleep=sleep))


def test_a_memory_that_another_process_writes_does_not_end_the_watch(
    mplus: Any, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said once, and what came is read when the memory is free."""
    (inbox := tmp_path / "inbox").mkdir()
    first, late = inbox / "a.txt", inbox / "b.txt"
    first.write_text("The goat a")
    other = ExitStack()
    steps(
        monkeypatch,
        lambda: first.write_text("The goat ate the rope."),
        lambda: None,
        lambda: (
            late.write_text("It slept."),
            other.enter_context(library().open("notes").writer()),
        ),
        lambda: None,
        lambda: None,
        other.close,
    )
    result = mplus("ingest", "--watch", inbox, "-m", "notes")
    assert (result.code, result.err.count("is being written by another process")) == (0, 1)
    assert library().open("notes").texts(2) == ["The goat ate the rope.", "It slept."]
    assert result.err.count("1 document read") == 2


def test_a_folder_that_is_not_there_is_not_watched(mplus: Any, tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    result = mplus("ingest", "--watch", tmp_path / "inbox", tmp_path / "inbux")
    told = f"{tmp_path / 'inbux'} does not exist: did you mean {tmp_path / 'inbox'}?"
    assert (result.code, result.error) == (2, told)


def test_what_comes_into_a_folder_is_read(
    mplus: Any, tiny: Path, story: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One document after the other, failures told, the model loaded once; Ctrl-C is a good end."""
    (inbox := tmp_path / "inbox").mkdir()
    files = {name: inbox / name for name in ("a.txt", "b.txt")}
    steps(
        monkeypatch,
        lambda: files["a.txt"].write_text("The goat ate the rope."),
        lambda: None,
        files["b.txt"].touch,
        lambda: None,
        lambda: files["a.txt"].write_text("The goat ate the logbook."),
        lambda: None,
    )
    loads = []
    real = session.load_model
    monkeypatch.setattr(session, "load_model", lambda *a, **b: loads.append(1) or real(*a, **b))
    result = mplus("ingest", "--watch", "--replace", inbox, "-m", "notes")
    waiting = 'watching: new files are read into memory "notes" (Ctrl-C stops it)'
    told = result.err.splitlines()
    assert (result.code, told.count(waiting), told[-1]) == (0, 4, waiting)
    assert told[0].startswith(f"mplus: warning: {inbox} has no documents in it")
    assert told.count(f"mplus: warning: not read: {files['b.txt']} is empty") == 1
    assert library().open("notes").texts(1) == ["The goat ate the logbook."]
    assert len(loads) == 1


def test_ocr_that_is_not_installed(
    mplus: Any, tiny: Path, make_pdf: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said before anything is read; without the option, a scanned PDF names the same command."""
    monkeypatch.setattr(recognition, "_ENGINE", ("no_such_engine",))
    scan = make_pdf("scan.pdf", "")
    result = mplus("ingest", "--ocr", scan)
    assert (result.code, result.error) == (
        1,
        "OCR is not installed: install it with: pip install 'mplus[ocr]'",
    )
    assert mplus("ingest", scan, "--workers", "2", "--ocr").error == result.error


def test_ocr_with_workers(
    tiny: Path, make_pdf: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each worker recognises the pages of its own book."""
    wanted = []

    def planned(sources: Any, *, ocr: bool, progress: Any) -> Any:
        wanted.append(ocr)
        raise DocumentError("far enough")

    monkeypatch.setattr("mplus_cli.ingest.shelf.plan", planned)
    scan = str(make_pdf("scan.pdf", ""))
    for ocr in (True, False):
        *_, last = read_book("scan", [scan], resolve(Flags()), ocr)
        assert isinstance(last, BookFinished) and last.error == "far enough"
    assert wanted == [True, False]
