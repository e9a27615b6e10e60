"""mplus in Python: its page runs, its examples run, and it says what the commands say."""

from __future__ import annotations

import json
import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

import mplus_cli
from mplus_cli import Answer, Mplus, MplusError, Question, Retrieved, TextDelta
from mplus_cli.app import run
from mplus_cli.asking.events import event_from_json
from mplus_cli.documents import DocumentError
from mplus_cli.errors import MismatchError, UsageError
from mplus_cli.runtime import session

ROOT = Path(__file__).resolve().parents[2]
TEXT = (
    "Chapter I. The Vault\n\nThe sexton was called Ratsey. He kept a locket with a silver chain.\n\n"
    "Chapter II. The Rocks\n\nIn March the storm took the boat, and a sailor named Pim swam to the rocks.\n\n"
)
SHORT = Question("Who is the sexton?", max_new_tokens=8)


@pytest.fixture
def folder(tmp_path: Path, tiny_checkpoint_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a book in it to work in, the tiny model in use."""
    monkeypatch.setenv("MPLUS_MODEL", str(tiny_checkpoint_folder))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "moonfleet.txt").write_text(TEXT * 4)
    return tmp_path


@pytest.fixture
def mplus(folder: Path) -> Mplus:
    made = Mplus(device="cpu")
    made.memory("moonfleet").read("moonfleet.txt")
    return made


def test_the_page_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), re.S)
    assert len(blocks) >= 5
    names: dict[str, Any] = {"strict": None}
    for block in blocks:
        # The tiny model does not say how sure it is, and the book is not a real EPUB.
        code = block.replace("strict=True", "strict=False").replace(".epub", ".txt")
        exec(compile(code, "docs/python.md", "exec"), names)
    shown = capsys.readouterr().out
    assert "Ratsey" in shown and "passages" in shown and "['copy', 'moonfleet']" not in shown
    assert (folder / "moonfleet.safetensors").is_file()
    assert [line.name for line in Mplus().memories()] == ["copy", "moonfleet"]


def test_the_examples_run(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "questions.txt").write_text("Who is the sexton?\nWho swam to the rocks?\n")

    def example(name: str, *arguments: str) -> str:
        path = str(ROOT / "examples" / name)
        monkeypatch.setattr(sys, "argv", [path, *arguments])
        capsys.readouterr()
        runpy.run_path(path, run_name="__main__")
        return capsys.readouterr().out

    asked = example("ask_a_book.py", "moonfleet.txt", "Who is the sexton?")
    assert "tokens are in memory" in asked and "Moonfleet" in asked
    assert "locket" in example("find_passages.py", "example", "a locket with a silver chain")
    lines = example("questions_of_a_file.py", "example", "questions.txt").splitlines()
    assert [json.loads(line)["question"] for line in lines] == [
        "Who is the sexton?",
        "Who swam to the rocks?",
    ]


def test_it_says_what_the_commands_say(mplus: Mplus, capsys: pytest.CaptureFixture[str]) -> None:
    book = mplus.memory("moonfleet")
    events = list(book.stream(SHORT))
    *_, answer = events
    assert [type(event) for event in events[:1]] == [Retrieved]
    assert isinstance(answer, Answer) and answer.answer == book.ask(SHORT).answer
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == answer.answer
    capsys.readouterr()
    assert run(["ask", SHORT.text, "-m", "moonfleet", "--json", "--max-new-tokens", "8"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {**told, "usage": None} == {**answer.to_json(), "usage": None}
    assert run(["find", "a locket with a silver chain", "-m", "moonfleet", "--json"]) == 0
    found = [source.to_json() for source in book.find("a locket with a silver chain")]
    assert json.loads(capsys.readouterr().out) == found
    assert run(["memory", "show", "moonfleet", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == book.describe()


def test_events_survive_json(mplus: Mplus) -> None:
    for event in mplus.memory("moonfleet").stream(SHORT):
        assert event_from_json(json.loads(json.dumps(event.to_event()))) == event
    with pytest.raises(ValueError, match="not an event"):
        event_from_json({"event": "other"})


def test_the_model_is_loaded_once_and_a_new_commit_is_seen(
    mplus: Mplus, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = mplus.memory("moonfleet")
    loaded = book.load()
    monkeypatch.setattr(session, "load_model", None)
    assert book.load() is loaded
    (folder / "pim.txt").write_text("Pim kept a goat named Admiral. " * 8)
    report = book.read(folder / "pim.txt", "moonfleet.txt")
    assert [document["status"] for document in report.documents] == ["read", "already-read"]
    again = book.load()
    assert again is not loaded and again.session is loaded.session
    assert again.opened.memory.chunks > loaded.opened.memory.chunks
    assert mplus.memory("other").read("pim.txt").tokens > 0


def test_the_text_around_a_passage(mplus: Mplus) -> None:
    book = mplus.memory("moonfleet")
    total = book.documents()[0].chunks
    whole = [book.excerpt("Moonfleet", first, 1) for first in range(total)]
    assert "".join(excerpt.rows[0].text for excerpt in whole).split() == (TEXT * 4).split()
    assert [excerpt.following for excerpt in whole] == [*range(1, total), None]
    number = next(n for n in range(total) if "locket" in whole[n].rows[0].text)
    chapter = book.chapter(number)
    assert number in [row.number for row in chapter.rows]
    sections = {row.place.section for row in chapter.rows if row.place}
    assert len(sections) == 1
    for wrong in (lambda: book.chapter(total), lambda: book.excerpt("Moonfleet", total)):
        with pytest.raises(UsageError, match="there is no chunk"):
            wrong()
    with pytest.raises(UsageError, match="no document"):
        book.excerpt("Emma")


def test_the_only_memory_need_not_be_named(mplus: Mplus, folder: Path) -> None:
    """It is asked; documents are read into the default one, which is asked from then on."""
    book = mplus.memory()
    assert book.stored.name == book.ask(SHORT).memory == "moonfleet"
    assert book.name == "default"  # the one that is read into
    assert book.find("a locket with a silver chain") and len(book.documents()) == 1
    assert book.read("moonfleet.txt").memory == "default"
    assert book.stored.name == "default"
    assert [line.name for line in mplus.memories()] == ["default", "moonfleet"]


def test_failures_say_what_to_do(mplus: Mplus, folder: Path, tiny_base_folder: Path) -> None:
    with pytest.raises(MplusError, match='there is no memory "moonflet"; did you mean'):
        mplus.memory("moonflet").ask("Who?")
    with pytest.raises(UsageError, match="the question is empty"):
        mplus.memory("moonfleet").ask(" ")
    with pytest.raises(UsageError, match="cannot name a memory"):
        mplus.memory("a b").read("moonfleet.txt")
    with pytest.raises(DocumentError, match=r"nowhere\.pdf does not exist"):
        mplus.memory("other").read("nowhere.pdf")
    assert "other" not in [line.name for line in mplus.memories()]
    assert len(mplus.memory("other").read("nowhere.pdf", "moonfleet.txt").failed) == 1
    other = Mplus(model=str(tiny_base_folder), device="cpu")
    with pytest.raises(MismatchError, match="was written by model"):
        other.memory("moonfleet").ask("Who?")


def test_the_package_gives_what_it_lists() -> None:
    assert all(getattr(mplus_cli, name).__name__ == name for name in mplus_cli.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = mplus_cli.nothing
