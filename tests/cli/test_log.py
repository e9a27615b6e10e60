"""Conversations that last: `ask` and `chat` keep them, `log` shows them, chat goes on with them."""

from __future__ import annotations

import io
import json
import os
import re
from pathlib import Path
from typing import Any

import pexpect
import pytest
from rich.console import Console

from mplus_cli import settings
from mplus_cli.asking.conversation import Conversation, status
from mplus_cli.asking.open_memory import load_memory
from mplus_cli.asking.slash_commands import completions
from mplus_cli.asking.slash_commands import run as run_command
from mplus_cli.errors import UsageError
from mplus_cli.history.record import Record
from mplus_cli.history.store import History
from mplus_cli.library import StoredMemory
from mplus_cli.runtime.session import open_session
from mplus_cli.terminal import capabilities
from mplus_cli.terminal.history_view import listed_table

SHORT = ("--max-new-tokens", "6")


@pytest.fixture
def conversation(book: str) -> Conversation:
    """A conversation with the short text, that is kept."""
    given = settings.resolve(settings.Flags())
    opened = open_session(given, note=lambda _: None, progress=lambda *_: None)
    memory = load_memory(opened, opened.library.open(book))
    record = Record(History(given.home), "chat", True, pytest.fail)
    return Conversation(opened, memory, record=record)


def test_what_is_asked_is_kept(mplus: Any, book: str) -> None:
    answer = mplus("ask", "Who keeps the goat?", "-m", book, "--json", *SHORT).json
    (listed,) = mplus("log", "--json").json["conversations"]
    assert (listed["id"], listed["command"], listed["memory"], listed["turns"]) == (
        1,
        "ask",
        book,
        1,
    )
    shown = mplus("log", "1", "--json").json
    assert shown["turns"][0]["answer"] == answer["answer"]
    assert "Who keeps the goat?" in mplus("log").out
    text = mplus("log", "1").out
    assert "> Who keeps the goat?" in text and "  Story" in text
    assert "Who keeps" in mplus("log", "--search", "goat").out
    assert "no conversation matches" in mplus("log", "--search", "zebra").err
    assert "there is no conversation '9'" in mplus("log", "9").error
    for filtered in (("-m", "other"), ("--search", "zebra")):
        assert "leave out --search" in mplus("log", "all", "--delete", *filtered).error
    assert mplus("log", "all", "--delete", "--yes", "--json").json == {"removed": 1}
    assert mplus("log", "--json").json == {"conversations": []}
    assert "nothing has been asked yet" in mplus("log").err
    assert "needs the number" in mplus("log", "--delete").error


def test_what_was_doubtful_is_shown_so(mplus: Any) -> None:
    """An answer that came below its passage, as one that may be wrong, is no plain answer afterwards."""
    source = {"document": "Story", "pages": None, "quote": "The keeper."}
    turn = {"memory": "book", "model": "tiny", "reason": "stop", "sources": [source]}
    turns: list[dict[str, Any]] = [
        {**turn, "question": "Who?", "answer": "The keeper", "doubtful": True, "refused": False},
        {**turn, "question": "Why?", "answer": "The text does not say.", "refused": True},
        {**turn, "question": "Where?", "answer": "At sea", "doubtful": False, "refused": False},
    ]
    History(Path(os.environ["MPLUS_HOME"])).keep(None, "ask", turns)
    told = [part.splitlines()[1:3] for part in mplus("log", "1").out.split("\n> ")[1:]]
    assert told == [
        ["The keeper", "  Not sure of this answer."],
        ["The text does not seem to say.", "  Nearest in the text:"],
        ["At sea", '  Story: "The keeper."'],
    ]


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        (60, "no. | memory | first question"),
        (80, "no. | last asked | memory | first question"),
        (100, "no. | last asked | memory | questions | first question"),
    ],
)
def test_each_conversation_is_a_line_below_named_columns(columns: int, names: str) -> None:
    history = History(Path(os.environ["MPLUS_HOME"]))
    about = {"memory": "king-solomons-mines", "model": "tiny", "answer": "Evans", "sources": []}
    for question in (
        "Who?",
        "Which elephant hunter first told Quatermain the legend of the mines?",
    ):
        history.keep(None, "ask", [{"question": question, **about}])
    screen = Console(width=columns, record=True, file=io.StringIO())
    screen.print(listed_table(history.listed(5), columns))
    header, *lines = screen.export_text().splitlines()
    assert " | ".join(re.split(" {2,}", header.strip())) == names
    assert len(lines) == 2 and lines[0].startswith("  2  ") and lines[0].endswith("…")
    assert "Which elephant hunter first" in lines[0] and lines[1].rstrip().endswith("  Who?")


def test_deleting_asks_in_a_terminal(mplus: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `memory rm` does; without a terminal, nothing is deleted unless it says --yes."""
    history = History(Path(os.environ["MPLUS_HOME"]))
    for _ in range(3):
        about = {"memory": "book", "model": "tiny"}
        history.keep(None, "ask", [{"question": "Who?", "answer": "Nan", "sources": [], **about}])
    monkeypatch.setattr(capabilities, "is_interactive", lambda: True)
    for which, asked in (("all", "Delete all conversations"), ("1", "Delete conversation 1 ")):
        refused = mplus("log", which, "--delete", stdin="\n")
        assert refused.code == 1 and refused.err.startswith(asked)
        assert refused.err.endswith("nothing is deleted\n") and "error" not in refused.err
    assert mplus("log", "1", "--delete", "--json", stdin="y\n").json == {"removed": 1}
    assert mplus("log", "2", "--delete", "--yes", "--json").json == {"removed": 1}
    monkeypatch.setattr(capabilities, "is_interactive", lambda: False)
    for which in ("all", "3"):
        refused = mplus("log", which, "--delete")
        assert (refused.code, len(mplus("log", "--json").json["conversations"])) == (2, 1)
        assert refused.error.startswith(
            "nothing is deleted: there is no terminal to ask on, so give --yes"
        )
    assert mplus("log", "all", "--delete", "-y", "--json").json == {"removed": 1}


def test_one_setting_keeps_nothing(mplus: Any, book: str) -> None:
    assert mplus("config", "set", "history", "off").code == 0
    mplus("ask", "Who?", "-m", book, *SHORT)
    mplus("chat", "-m", book, stdin="who?\n")
    assert {entry.name for entry in Path(os.environ["MPLUS_HOME"]).iterdir()} == {"memories"}


def test_a_history_that_cannot_be_written_is_a_warning(mplus: Any, book: str) -> None:
    (Path(os.environ["MPLUS_HOME"]) / "history.db").mkdir()
    result = mplus("ask", "Who?", "-m", book, *SHORT)
    assert result.code == 0 and result.out
    assert "questions and answers are not kept" in result.err


def test_chat_goes_on_with_the_last_conversation(mplus: Any, book: str, tmp_path: Path) -> None:
    assert mplus("chat", "-m", book, stdin="who?\n").code == 0
    talk = tmp_path / "talk.json"
    result = mplus("chat", "--continue", stdin=f"why?\n/export {talk}\n/stats\n")
    assert result.code == 0, result.err
    assert "2 answers in this conversation" in result.err and "long-term" in result.err
    (listed,) = mplus("log", "--json").json["conversations"]
    assert listed["turns"] == 2
    told = json.loads(talk.read_text())
    assert [turn["question"] for turn in told["turns"]] == ["who?", "why?"]
    assert "there is no conversation yet" in mplus("chat", "-c", "-m", "other").error


def ask(conversation: Conversation, text: str) -> str:
    *_, last = conversation.ask(text)
    return str(last.answer)  # type: ignore[union-attr]


def test_retry_and_edit_take_the_last_turn_back(conversation: Conversation) -> None:
    for line in ("/retry", "/edit", "/edit x", "/save x", "/export x"):
        with pytest.raises(UsageError):
            run_command(conversation, line)
    ask(conversation, "who?")
    ask(conversation, "why?")
    assert run_command(conversation, "/retry").asks == "why?"
    assert [question for question, _ in conversation.turns] == ["who?"]
    assert run_command(conversation, "/edit").edits == "who?"
    assert run_command(conversation, "/edit Where is it?").asks == "Where is it?"
    assert conversation.turns == conversation.details == []
    ask(conversation, "Where is it?")
    assert conversation.record is not None
    ((kept, turns),) = [conversation.record.history.find("1")]
    assert [turn.question for turn in turns] == ["Where is it?"] and kept.turns == 1


def test_resume_brings_back_turns_and_memory(
    conversation: Conversation, mplus: Any, story: Path
) -> None:
    answer = ask(conversation, "who?")
    assert run_command(conversation, "/save talk").lines[0].startswith('saved as "talk"')
    assert mplus("ingest", story, "-m", "other", "-q").code == 0
    run_command(conversation, "/memory other")
    assert conversation.details == []
    assert run_command(conversation, "/resume").lines == ("talk  book: who?",)
    assert completions(conversation, "/resume t") == ["/resume talk"]
    assert run_command(conversation, "/resume talk").lines == (
        'memory "book"; asked last:',
        "> who?",
    )
    assert conversation.turns == [("who?", answer)]
    assert conversation.opened.stored.name == "book"
    ask(conversation, "why?")
    assert conversation.record is not None
    assert conversation.record.history.find("talk")[0].turns == 2
    run_command(conversation, "/clear")
    ask(conversation, "and then?")
    assert len(conversation.record.history.listed(9)) == 2
    with pytest.raises(UsageError, match="there is no conversation"):
        run_command(conversation, "/resume gone")


def test_a_memory_read_in_part_says_so_in_a_chat(
    conversation: Conversation, mplus: Any, story: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where `mplus chat -m other` begins: answers come from a part only."""
    assert mplus("ingest", story, "-m", "other", "-q").code == 0
    (document,) = conversation.session.library.open("other").documents()
    monkeypatch.setattr(StoredMemory, "unfinished", lambda stored: [(document, 2)])
    note = run_command(conversation, "/memory other").lines[1]
    assert note.startswith("Story was not read to its end: answers come only from its first ")
    ask(conversation, "who?")
    run_command(conversation, "/memory book")
    assert run_command(conversation, "/resume 1").lines == (
        *('memory "other"; asked last:', "> who?"),
        note,
    )


def test_map_stats_and_the_bar(conversation: Conversation) -> None:
    drawn = run_command(conversation, "/map").drawn
    assert drawn is not None and len(drawn.documents) == 1
    assert len(run_command(conversation, "/stats").lines) == 2
    ask(conversation, "who?")
    assert "first token after" in run_command(conversation, "/stats").lines[2]
    assert status(conversation).startswith("book | ") and " s | /help" in status(conversation)


def test_reading_in_a_chat(mplus: Any, book: str, tmp_path: Path) -> None:
    other = tmp_path / "white whale.txt"
    other.write_text("The whale was white. Its name was Moby. " * 3)
    lines = f"/ingest {other}\n/document white whale\n/ingest {tmp_path}/gone.txt\n/ingest\n/map\n"
    result = mplus("chat", "-m", book, stdin=lines)
    assert 'asking only "White Whale"' in result.err, result.err
    assert "gone.txt" in result.err and "/ingest needs files" in result.err
    assert "White Whale" in result.out


def test_in_a_terminal(
    book: str, spawn: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Files complete, the bar shows the memory, the editor's question is asked."""
    (tmp_path / "letter.txt").write_text("A letter. " * 20)
    monkeypatch.setenv("EDITOR", "sed -i s/who/whom/")
    child = spawn("chat", "-m", book, PROMPT_TOOLKIT_NO_CPR="0")
    child.expect_exact("\x1b[6n")  # where is the cursor? the bar is drawn below
    child.send("\x1b[5;1R")
    child.expect_exact("memory tokens")
    child.send(f"/ingest {tmp_path}/let\t")
    child.expect_exact("ter.txt")
    child.send("\x15who is it?\r")
    child.expect_exact("Story")
    child.expect_exact("\x1b[?2004h")
    child.send("/edit\r")
    child.expect_exact("Story")
    child.expect_exact("\x1b[?2004h")
    child.sendeof()
    child.wait()
    _, turns = History(Path(os.environ["MPLUS_HOME"])).find("1")
    assert [turn.question for turn in turns] == ["whom is it?"]


def test_without_motion(book: str, spawn: Any) -> None:
    """TERM=dumb: no spinner, no colour, nothing redrawn."""
    child = spawn("ask", "who?", "-m", book, *SHORT, TERM="dumb")
    child.expect(pexpect.EOF)
    assert "\x1b" not in child.before and "Story" in child.before
    child = spawn("chat", "-m", book, TERM="dumb")
    child.expect_exact("> ")
    child.send("who?\r")
    child.expect_exact("Story")
    child.sendeof()
    child.expect(pexpect.EOF)
    assert "\x1b[" not in child.before
