"""The example story through the commands: what is counted, and that the commands give the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mplus_cli.commands.eval import app
from mplus_cli.evaluation import story
from mplus_cli.evaluation.arms import ARMS
from mplus_cli.evaluation.values import Question
from mplus_cli.library import Library
from mplus_cli.runtime.session import open_session
from mplus_cli.settings import Flags, resolve

TEXT = "The keeper was called Orla Finch.\n\nShe kept a goat named Admiral in the barn.\n\n" * 4


@pytest.fixture
def flags(tiny_checkpoint_folder: Path, tmp_path: Path) -> Flags:
    return Flags(str(tiny_checkpoint_folder), "cpu", "float32", tmp_path / "home", True)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "story.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.mark.parametrize("arm", ["quoted", "reread1"])
def test_the_commands_give_the_same(flags: Flags, source: Path, tmp_path: Path, arm: str) -> None:
    session = open_session(resolve(flags, {}), note=print, progress=lambda *_: None)
    stored = story.ingest(session, Library(tmp_path / "work"), str(source))
    asked = story.ask(session, stored, "Who kept the goat?", ARMS[arm])

    def mplus(*arguments: str) -> str:
        options = ["--model", str(flags.model), "--device", "cpu", "--dtype", "float32"]
        options += ["--home", str(flags.home), "--offline", "--memory", story.MEMORY, "--json"]
        command = [sys.executable, "-m", "mplus_cli", *arguments, *options]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    mplus("ingest", str(source), "--quiet")
    count, options = ARMS[arm].reread, [] if ARMS[arm].quote else ["--no-quote"]
    options += [] if count is None else ["--reread", str(count)]
    told = json.loads(mplus("ask", "Who kept the goat?", *options))
    for values in (asked, told):
        values["usage"] = {k: v for k, v in values["usage"].items() if "seconds" not in k}
    assert json.loads(json.dumps(asked)) == told
    assert told["sources"]


def test_a_source_is_right_if_it_touches_the_pages() -> None:
    usage = {"prompt_tokens": 9, "seconds_to_first_token": 0.1, "seconds": 0.2}
    sources = [{"pages": pages} for pages in (None, [1, 3], [4, 5], [6, 6])]
    values = {"answer": "It was Ann.", "sources": sources, "usage": usage}

    def scored(first: int, last: int) -> Any:
        question = Question("q", "documents", "Who?", ("Ann",), pages=(first, last))
        return story.scored(question, ARMS["mplus"], values, 100)

    assert (scored(3, 4).hit, scored(3, 4).found, scored(3, 4).rank) == (1, True, 2)
    assert (scored(5, 5).found, scored(5, 5).rank) == (True, 3)
    assert (scored(7, 8).found, scored(7, 8).rank) == (False, None)


def test_the_command(
    flags: Flags,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = [
        {"id": number, "question": f"Who is {name}?", "answers": [name], "pages": [1, 1]}
        for number, name in enumerate(("Orla", "Admiral", "Finch"), start=1)
    ]
    questions = {"document": source.name, "questions": asked}
    (tmp_path / "questions.json").write_text(json.dumps(questions), encoding="utf-8")
    monkeypatch.setattr("mplus_cli.example_story.story_file", lambda: source)
    out = tmp_path / "out"

    def run(*arguments: str) -> str:
        app(["story", "--out", str(out), *arguments], obj=flags, standalone_mode=False)
        return capsys.readouterr().out

    rows = json.loads(run("--questions", "2", "--arms", "mplus,reread1", "--json"))
    right = {row["arm"]: row["count"] for row in rows if row["column"] == "exact hit"}
    assert right == {"mplus": 2, "reread1": 2}
    assert not (out / "work").exists()
    assert "documents: 2 questions" in run("--questions", "2")
    app(["report", str(out)], standalone_mode=False)
    text = (out / "tables.md").read_text()
    assert "eval story --questions 2 --arms mplus,quoted,reread1 --out out" in text
