"""Documents that changed since they were read, and documents that are to leave a memory."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from mplus_cli.api import Mplus
from mplus_cli.documents import Source, read_document
from mplus_cli.ingest.changed import find_replacement
from mplus_cli.ingest.events import DocumentFinished
from mplus_cli.ingest.job import plan
from mplus_cli.library import Library, StoredMemory
from mplus_cli.runtime.tokens import PlainTokenizer
from mplus_cli.terminal import capabilities

STORY = "In March the storm took the boat, and a sailor named Pim swam to the rocks.\n\n"
NEW = "The keeper of the lighthouse is called Bram Holt now. He keeps no goat.\n"


def memory(name: str) -> StoredMemory:
    return Library(Path(os.environ["MPLUS_HOME"])).open(name)


def titles(name: str) -> list[str]:
    return [row.title for row in memory(name).documents()]


def texts(name: str) -> str:
    return "".join(memory(name).texts(memory(name).view().chunks))


@pytest.fixture
def other(tmp_path: Path) -> Path:
    path = tmp_path / "tides.md"
    path.write_text("# Tides\n\nHigh water at Port Ambrel came at six in the morning.\n")
    return path


@pytest.fixture
def shelf(mplus: Any, book: str, other: Path) -> str:
    """A memory that has read two documents."""
    assert mplus("ingest", other, "-m", book, "-q").code == 0
    return book


def test_both_versions_are_kept_where_nobody_can_answer(
    mplus: Any, shelf: str, story: Path
) -> None:
    story.write_text(NEW)
    result = mplus("ingest", story, "-m", shelf, "--json")
    line = (
        'the memory has another version of "Story" and keeps both: --replace keeps the new one only'
    )
    assert (result.code, result.err.splitlines()[0]) == (0, line)
    (entry,) = result.json["documents"]
    assert (entry["status"], entry["replaced"]) == ("read", False)
    assert titles(shelf) == ["Story", "Tides", "Story"]
    # What the line says can be done afterwards too: nothing but the old version leaves.
    result = mplus("ingest", story, "-m", shelf, "--replace", "--json")
    (entry,) = result.json["documents"]
    assert (entry["status"], entry["replaced"]) == ("already-read", True)
    assert titles(shelf) == ["Tides", "Story"]
    assert texts(shelf).endswith(NEW.strip())
    assert "Orla" not in texts(shelf)
    assert mplus("ingest", story, "-m", shelf, "-q").err == ""


def test_replaced(mplus: Any, shelf: str, story: Path, other: Path, tmp_path: Path) -> None:
    story.write_text(NEW)
    third = tmp_path / "third.txt"
    third.write_text("A third text.")
    result = mplus("ingest", "--replace", third, story, other, "-m", shelf, "--json")
    assert result.code == 0
    assert "reading 1 other document again (" in result.err
    found = {entry["title"]: entry for entry in result.json["documents"]}
    states = {title: (entry["status"], entry["replaced"]) for title, entry in found.items()}
    assert states == {
        "Story": ("read", True),
        "Third": ("read", False),
        "Tides": ("already-read", False),
    }
    assert titles(shelf) == ["Tides", "Story", "Third"]
    assert result.json["tokens"] == memory(shelf).summary().tokens
    assert "Orla" not in texts(shelf)
    assert mplus("memory", "verify", shelf).code == 0
    fresh = mplus("ingest", other, story, third, "-m", "fresh", "-q")
    assert fresh.code == 0
    one, two = memory(shelf).load(), memory("fresh").load()
    assert one.stm.tokens.keys.equal(two.stm.tokens.keys)
    assert one.clock == two.clock


def test_asked_on_a_terminal(
    mplus: Any, shelf: str, story: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    story.write_text(NEW)
    monkeypatch.setattr(capabilities, "is_interactive", lambda: True)
    tides = memory(shelf).documents()[1]
    result = mplus("ingest", story, "-m", shelf, stdin="y\n")
    told = 'The memory has another version of "Story". Replace it'
    cost = f"{tides.tokens} tokens, {tides.chunks} chunks, about 1 s"
    assert result.err.startswith(f"{told} and read 1 other document again ({cost})? [y/N] ")
    assert titles(shelf) == ["Tides", "Story"]
    story.write_text(f"{NEW} Again.")
    result = mplus("ingest", story, "-m", shelf, stdin="\n")
    assert result.err.startswith(f"{told}? [y/N] "), "it is the newest: no other is read again"
    assert result.code == 0 and "and keeps both: --replace keeps the new one only" in result.err
    assert titles(shelf) == ["Tides", "Story", "Story"]


def test_the_same_path_named_otherwise(
    mplus: Any, book: str, story: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    story.write_text(NEW)
    monkeypatch.chdir(story.parent)
    assert mplus("ingest", "--replace", story.name, "-m", book, "-q").code == 0
    assert titles(book) == ["Story"]
    assert texts(book) == NEW.strip()


def test_standard_input_is_known_by_its_title(mplus: Any, tiny: Path) -> None:
    for number in range(2):
        assert mplus("ingest", "-", "-q", stdin=f"Text {number}.").code == 0
        mplus("ingest", "-", "-q", "--title", "Notes", "--replace", stdin=f"Notes {number}.")
    assert titles("default") == ["stdin", "stdin", "Notes"]
    assert texts("default").endswith("Notes 1.")


def test_other_pages_are_no_other_version(mplus: Any, tiny: Path, make_pdf: Any) -> None:
    pdf = make_pdf("two.pdf", "First page of it. One", "Second page. Two")
    for page in "12":
        result = mplus("ingest", pdf, "--pages", page, "--replace", "--json")
        assert result.json["documents"][0]["replaced"] is False
    assert len(titles("default")) == 2


def test_a_new_version_that_cannot_be_read(mplus: Any, shelf: str, story: Path) -> None:
    story.write_text("")
    result = mplus("ingest", "--replace", story, "-m", shelf)
    assert (result.code, "is empty" in result.error) == (1, True)
    assert titles(shelf) == ["Story", "Tides"]


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were parsed, as they are."""
    from mplus_cli.ingest import job

    parsed: list[str] = []

    def counting(source: Any, **options: Any) -> Any:
        parsed.append(Path(source.name).name)
        return read_document(source, **options)

    monkeypatch.setattr(job, "read_document", counting)
    return parsed


def test_what_did_not_change_is_neither_parsed_beforehand_nor_kept(
    shelf: str, story: Path, other: Path, tmp_path: Path, loads: list[str]
) -> None:
    (tmp_path / "third.txt").write_text("A third text.")
    planned = plan([str(tmp_path / "third.txt"), str(story), str(other)], progress=print)
    given, found = find_replacement(planned.given, memory(shelf).documents())
    assert (found, loads) == (None, ["third.txt"])
    given, found = find_replacement(planned.given, memory(shelf).documents(), ocr=True)
    assert (found, loads) == (None, ["third.txt", "story.txt", "tides.md"])
    assert [load for _, load in given] == [load for _, load in planned.given]
    story.write_text(NEW)
    given, found = find_replacement(planned.given, memory(shelf).documents())
    assert found is not None and (found.titles, found.indices, found.others) == (("Story",), {1}, 1)
    assert loads[3:] == ["story.txt"]
    assert given[1][1]().text == NEW.strip() and loads[3:] == ["story.txt"]


def test_of_several_new_versions_one_cannot_be_read(
    mplus: Any, shelf: str, story: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails, and its earlier version stays; the others are put in the place of theirs."""
    encode = PlainTokenizer.encode
    monkeypatch.setattr(
        PlainTokenizer,
        "encode",
        lambda self, text: ([], []) if "unspeakable" in text else encode(self, text),
    )
    other.write_text("An unspeakable text, of which this model has no token.")
    story.write_text(NEW)
    result = mplus("ingest", "--replace", other, story, "-m", shelf, "--json")
    assert result.code == 4
    states = {d["title"]: (d["status"], d["replaced"]) for d in result.json["documents"]}
    assert states == {"Story": ("read", True), None: ("failed", False)}
    assert titles(shelf) == ["Tides", "Story"]
    assert "Port Ambrel" in texts(shelf) and "Orla" not in texts(shelf)


def test_an_upload_is_no_version_of_a_file(
    shelf: str, story: Path, mplus: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the server runs, and whatever the file was called when it was read."""
    monkeypatch.chdir(story.parent)
    assert mplus("ingest", story.name, "-m", "bare", "-q").code == 0
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    (uploads / story.name).write_text(NEW)
    planned = plan([Source(uploads / story.name, story.name, uploaded=True)], progress=print)
    for name in (shelf, "bare"):
        assert find_replacement(planned.given, memory(name).documents())[1] is None
    book = Mplus(Path(os.environ["MPLUS_HOME"]), model=os.environ["MPLUS_MODEL"]).memory("bare")
    assert [type(event) for event in book.reading(planned)].count(DocumentFinished) == 1
    assert memory("bare").documents()[1].path == f"upload://{story.name}"
    # Nor is a file one of an upload; but an upload is one of an upload of this name.
    story.write_text(f"{NEW} Again.")
    for source, earlier in ((Source(story, story.name), 0), (planned.given[0][0], 1)):
        (uploads / story.name).write_text(f"{NEW} And again.")
        _, found = find_replacement(
            plan([source], progress=print).given, memory("bare").documents()
        )
        assert found is not None and found.earlier == (memory("bare").documents()[earlier],)


def test_not_with_workers(mplus: Any, tiny: Path, story: Path) -> None:
    assert mplus("ingest", "--workers", "1", "--replace", story).code == 2


def test_interrupted_replacing_changes_nothing(
    hold: Any, mplus: Any, tiny: Path, story: Path, tmp_path: Path
) -> None:
    (tmp_path / "long.txt").write_text("".join(f"Day {day}. {STORY}" for day in range(20)))
    assert mplus("ingest", story, tmp_path / "long.txt", "-m", "long", "-q").code == 0
    story.write_text(NEW)
    before = memory("long").view()
    running = hold("models.update:read_chunk", 40, "ingest", "--replace", story, "-m", "long")
    work = Path(os.environ["MPLUS_HOME"]) / "memories" / ".long.tmp"
    assert list(work.glob("new/ltm/*"))
    running.send_signal(signal.SIGINT)
    _, err = running.communicate()
    assert running.returncode == 130
    kept, stopped = err.splitlines()[-2:]
    assert kept == "the memory is unchanged"
    assert stopped.startswith("mplus: interrupted")
    assert memory("long").view() == before
    assert not work.exists()


def test_rm_document(mplus: Any, shelf: str, other: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = mplus("memory", "show", shelf, "--json").json["documents"]
    assert [document["number"] for document in shown] == [1, 2]
    lines = mplus("memory", "show", shelf).out.splitlines()
    assert [line.split()[:2] for line in lines[-2:]] == [["1", "Story"], ["2", "Tides"]]
    result = mplus("memory", "rm-document", shelf, "2")
    assert (result.code, "--yes" in result.error) == (2, True)
    assert mplus("memory", "rm-document", shelf, "9", "-y").code == 2
    monkeypatch.setattr(capabilities, "is_interactive", lambda: True)
    refused = mplus("memory", "rm-document", shelf, "Stor", stdin="n\n")
    assert refused.code == 1
    told = r'Remove "Story", and read 1 other document again \(\d+ tokens, 2 chunks, about 1 s\)\? \[y/N\]'
    assert re.search(told, refused.err)
    refused = mplus("memory", "rm-document", shelf, "Tides", stdin="n\n")
    assert refused.err.startswith('Remove "Tides"? [y/N]')
    result = mplus("memory", "rm-document", shelf, "Stor", "-y", "--json")
    assert result.json == {
        "memory": shelf,
        "removed": {"number": 1, "title": "Story", "path": shown[0]["path"]},
        "documents": 1,
        "tokens": shown[1]["tokens"],
    }
    assert titles(shelf) == ["Tides"]
    assert mplus("memory", "verify", shelf).code == 0
    monkeypatch.setenv("MPLUS_MODEL", "/nowhere")  # none is needed where nothing is left
    assert mplus("memory", "rm-document", shelf, "1", "-y").code == 0
    assert memory(shelf).is_empty


def test_the_newest_is_replaced_without_reading_others(mplus: Any, shelf: str, other: Path) -> None:
    """In one step all the same: until `rebuilt` comes, whoever interrupts it keeps the earlier version."""
    other.write_text("Low water at Port Ambrel is at noon.")
    lines = mplus("ingest", other, "-m", shelf, "--replace", "--jsonl").out.splitlines()
    kinds = [json.loads(line)["event"] for line in lines]
    wanted = ["reread", "started", "chunk", "committed", "finished", "rebuilt", "report"]
    assert [kind for number, kind in enumerate(kinds) if kind not in kinds[:number]] == wanted
    assert kinds.count("reread") == 1 and titles(shelf) == ["Story", "Tides"]


def test_the_newest_is_removed_without_a_model(
    mplus: Any, shelf: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = texts(shelf)
    assert (
        mplus("ingest", "-", "--title", "Wrong", "-m", shelf, "-q", stdin="A wrong one.").code == 0
    )
    monkeypatch.setenv("MPLUS_MODEL", "/nowhere")
    assert mplus("memory", "rm-document", shelf, "Wrong", "-y").code == 0
    assert (titles(shelf), texts(shelf)) == (["Story", "Tides"], before)
    assert mplus("memory", "verify", shelf).code == 0


def test_a_chat_notices(mplus: Any, shelf: str) -> None:
    """What it loaded has other numbers than the memory now."""
    from mplus_cli.asking.conversation import Conversation
    from mplus_cli.asking.open_memory import load_memory
    from mplus_cli.asking.slash_commands import run as run_command
    from mplus_cli.runtime.session import open_session
    from mplus_cli.settings import Flags, resolve

    session = open_session(resolve(Flags()), note=print, progress=lambda *_: None)
    talk = Conversation(session, load_memory(session, memory(shelf)))
    assert mplus("memory", "rm-document", shelf, "Story", "-y").code == 0
    reply = run_command(talk, "/find high water at Port Ambrel")
    assert {source.document for source in reply.sources} == {"Tides"}
    assert talk.opened.memory.chunks == memory(shelf).view().chunks
