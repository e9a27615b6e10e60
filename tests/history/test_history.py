"""The file of questions and answers: what is kept, found, forgotten, and what is wrong with it."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import stat
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mplus_cli.errors import MplusError, UsageError
from mplus_cli.history.database import reading
from mplus_cli.history.export import export
from mplus_cli.history.export import markdown as to_markdown
from mplus_cli.history.passages import passages
from mplus_cli.history.record import Record
from mplus_cli.history.store import History, latest_chat


def answer(question: str, text: str = "The keeper.", memory: str = "book") -> dict[str, Any]:
    place = {"section": ["Part *1*"], "labels": None, "from": 0.0, "to": 0.5}
    source = {
        "document": "Story",
        "pages": [2, 3],
        "place": place,
        "chunk": 0,
        "score": 0.5,
        "text": "A SECRET. The keeper.",
        "quote": "The keeper.",
        "quote_span": [10, 21],
    }
    return {
        "question": question,
        "answer": text,
        "memory": memory,
        "model": "tiny",
        "sources": [source, source],
        "usage": {"seconds": 0.1},
        "reason": "stop",
    }


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "home")


def kept(history: History, *questions: str, command: str = "chat", memory: str = "book") -> Record:
    record = Record(history, command, True, pytest.fail)
    for question in questions:
        record.add(answer(question, memory=memory))
    return record


def test_conversations_are_kept_listed_and_found(history: History) -> None:
    assert history.listed(5) == [] and history.remove(None) == 0
    kept(history, "Who keeps 100% of the lamp?", "Why?")
    kept(history, "Who is the whale?", memory="whales", command="ask")
    assert [(line.id, line.turns, line.question) for line in history.listed(5)] == [
        (2, 1, "Who is the whale?"),
        (1, 2, "Who keeps 100% of the lamp?"),
    ]
    assert [line.id for line in history.listed(1)] == [2]
    assert [line.id for line in history.listed(5, memory="book")] == [1]
    for words, found in (("LAMP 100% keeper", [1]), ("keeper", [2, 1]), ("1_0", []), ("'", [])):
        assert [line.id for line in history.listed(5, words=words)] == found
    line, turns = history.find("1")
    assert (line.memory, [turn.question for turn in turns][1]) == ("book", "Why?")
    assert turns[0].details["sources"][0]["quote"] == "The keeper."
    assert latest_chat(history, None).id == 1
    for gone in ("3", "x", "9" * 40, ""):
        with pytest.raises(UsageError, match="there is no conversation"):
            history.find(gone)
    with pytest.raises(UsageError, match="there is no conversation yet"):
        latest_chat(history, "whales")


def test_all_passages_are_shown_and_searched(history: History, tmp_path: Path) -> None:
    """Also in what earlier versions kept: the sentences were always there. Words that are no passage, such as
    the names of fields, find nothing."""
    told = answer("Who?")
    first, other = ({**told["sources"][0]} for _ in range(2))
    first["second_quote"] = "He lit the\nlamp."
    other |= {"quote": "Él vio el BUQUE 100% verde.", "pages": [7, 7]}
    history.keep(None, "ask", [{**told, "sources": [first, other, other]}])
    history.keep(None, "ask", [{**told, "sources": [first], "doubtful": True}])
    gone = {**told, "sources": [first], "reason": "refused", "refused": True}
    history.keep(None, "ask", [{**gone, "answer": "The text does not say."}])
    history.keep(None, "ask", [{**gone, "sources": [], "answer": "Ahab", "refused": False}])
    for words, found in (
        ("buque Él 100%", [1]),
        ("vio who", [1]),
        ("lamp", [2]),
        ("keeper", [3, 2, 1]),
        ("buque lamp", []),
        ("document", []),
        ("SECRET", []),
    ):
        assert [line.id for line in history.listed(9, words=words)] == found, words
    where = 'Story, p. 2-3, "Part *1*"'
    lines = [[*passages(history.find(str(number))[1][0].details)] for number in (1, 2, 3, 4)]
    assert lines == [
        [f'{where}: "The keeper."', 'Story, p. 7, "Part *1*": "Él vio el BUQUE 100% verde."'],
        [f'{where}: "The keeper. ... He lit the lamp."'],
        [f'{where}: "The keeper."'],
        [],
    ]
    export(tmp_path / "talk.md", "book", [history.find("1")[1][0].details])
    assert '\n- Story, p. 7, "Part *1*": "Él vio' in (tmp_path / "talk.md").read_text("utf-8")


def test_it_is_private_and_what_is_removed_is_gone(history: History) -> None:
    """Whole chunks stay in the memory; deleted rows are written over."""
    kept(history, "Where is the treasure buried?")
    assert stat.S_IMODE(history.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(history.path.parent.stat().st_mode) == 0o700
    data = history.path.read_bytes()
    assert b"treasure" in data and b"SECRET" not in data
    assert history.remove([1, 7]) == 1
    assert b"treasure" not in history.path.read_bytes()
    assert [entry.name for entry in history.path.parent.iterdir()] == ["history.db"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_conversation_is_kept_with_its_turns_or_not_at_all(history: History) -> None:
    """Killed after each statement: no row is left that nothing lists and nothing deletes."""

    def keep(left: int) -> None:
        def count(_: str) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        real = sqlite3.connect

        def connect(*args: Any, **kwargs: Any) -> sqlite3.Connection:
            connection = real(*args, **kwargs)
            connection.set_trace_callback(count)
            return connection

        sqlite3.connect = connect  # type: ignore[assignment]
        Record(history, "chat", True, pytest.fail).save("talk", [answer("a"), answer("b")])

    for number in range(1, 100):
        pid = os.fork()
        if pid == 0:
            try:
                keep(number)
            finally:
                os._exit(0)
        killed = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0
        listed = [(line.name, line.turns) for line in history.listed(9)]
        assert listed == ([] if killed else [("talk", 2)])
        if not killed:
            break
        with reading(history.path) as connection:
            rows = connection.execute("SELECT count(*) FROM conversations").fetchone()
            assert rows == (0,)
    assert number > 8


def test_a_conversation_that_was_deleted_meanwhile_is_begun_anew(history: History) -> None:
    record = kept(history, "a")
    assert history.remove(None) == 1
    record.add(answer("b"))
    record.add(answer("c"))
    assert [(line.question, line.turns) for line in history.listed(5)] == [("b", 2)]


def test_the_number_of_a_deleted_conversation_is_not_given_again(history: History) -> None:
    """Who wrote a number down gets that conversation, or is told that there is none."""
    kept(history, "a")
    kept(history, "b")
    for removed in ([2], None):
        history.remove(removed)
        kept(history, "c")
        with pytest.raises(UsageError, match="there is no conversation"):
            history.find("2")
    assert [line.id for line in history.listed(5)] == [4]


EARLIER = """
CREATE TABLE conversations (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL DEFAULT '', command TEXT NOT NULL,
    memory TEXT NOT NULL, model TEXT NOT NULL, started TEXT NOT NULL);
CREATE TABLE turns (
    id INTEGER PRIMARY KEY, conversation INTEGER NOT NULL
        REFERENCES conversations (id) ON DELETE CASCADE,
    at TEXT NOT NULL, question TEXT NOT NULL, answer TEXT NOT NULL, details TEXT NOT NULL);
CREATE INDEX turns_conversation ON turns (conversation);
INSERT INTO conversations VALUES (3, 'talk', 'chat', 'book', 'tiny', '2025-11-29T10:00:00+00:00');
INSERT INTO turns VALUES
    (5, 3, '2025-11-29T10:00:00+00:00', 'Who?', 'Nan', '{}'),
    (6, 3, '2025-11-29T10:01:00+00:00', 'Why?', 'So', '{}');
PRAGMA user_version = 1;
"""
"""A file as versions wrote it that gave numbers again."""


def test_a_file_of_an_earlier_version(history: History) -> None:
    """Read as it is; whole after the first change, and earlier versions still read and write it."""
    history.path.parent.mkdir()
    with closing(sqlite3.connect(history.path)) as connection:
        connection.executescript(EARLIER)
    before = history.path.read_bytes()
    assert [turn.question for turn in history.find("talk")[1]] == ["Who?", "Why?"]
    assert history.path.read_bytes() == before
    kept(history, "Where?")
    assert [(line.id, line.turns) for line in history.listed(5)] == [(4, 1), (3, 2)]
    assert [turn.answer for turn in history.find("3")[1]] == ["Nan", "So"]
    assert history.remove([3, 4]) == 2
    kept(history, "When?")
    assert [(line.id, line.turns) for line in history.listed(5)] == [(5, 1)]
    with closing(sqlite3.connect(history.path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM turns").fetchone() == (1,)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_reading_writes_nothing(history: History) -> None:
    """Not even tables, into a file that a process made and had no time to fill."""
    history.path.parent.mkdir()
    for make in (lambda: None, history.path.touch):
        make()
        assert history.listed(5) == [] and history.last("book", "2025-11-29T10:00:00+00:00") is None
        with pytest.raises(UsageError, match="there is no conversation"):
            history.find("1")
    assert history.path.read_bytes() == b""
    assert [entry.name for entry in history.path.parent.iterdir()] == ["history.db"]


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be removed there")
def test_a_file_that_was_moved_away_is_made_anew_and_private(history: History) -> None:
    record = kept(history, "a")
    for change in (record.drop_last, lambda: record.save("talk", [])):
        history.path.unlink()
        change()
        assert stat.S_IMODE(history.path.stat().st_mode) == 0o600


def test_names_and_turns_taken_back(history: History) -> None:
    record = kept(history, "a", "b")
    record.drop_last()
    record.save("talk", [])
    assert [turn.question for turn in history.find("talk")[1]] == ["a"]
    for name in ("", "12", "all", "x" * 101):
        with pytest.raises(UsageError):
            record.save(name, [])


def test_no_name_and_no_number_is_called_damage(history: History) -> None:
    record = kept(history, "a", memory="b\udcff")
    record.save("n\udcff", [])
    assert len(history.listed(1 << 70, memory="b\udcff", words="\udcff")) == 1
    assert history.find("n\udcff")[0].id == 1
    for wanted in ("x\udcff", "9" * 25, "9" * 5000):
        with pytest.raises(UsageError, match="there is no conversation"):
            history.find(wanted)


def test_what_is_not_wanted_is_kept_only_when_asked(history: History) -> None:
    record = Record(history, "chat", False, pytest.fail)
    record.add(answer("a"))
    assert not history.path.exists()
    record.save("talk", [answer("a")])
    record.add(answer("b"))
    assert [turn.question for turn in history.find("talk")[1]] == ["a", "b"]


def test_a_turn_that_was_not_kept_takes_no_other_back(history: History) -> None:
    record = kept(history, "a")
    sound, said = history.path.read_bytes(), list[str]()
    record.warn = said.append
    history.path.write_bytes(b"not a database, but long enough to be read as one " * 40)
    record.add(answer("b"))
    history.path.write_bytes(sound)
    record.drop_last()
    assert [turn.question for turn in history.find("1")[1]] == ["a"]
    record.wanted = True
    history.path.write_bytes(b"damaged " * 200)
    record.drop_last()
    assert len(said) == 2 and not record.wanted


def test_a_damaged_file_hinders_no_answer(history: History) -> None:
    history.path.parent.mkdir()
    history.path.write_bytes(b"not a database, but long enough to be read as one " * 40)
    said: list[str] = []
    record = Record(history, "ask", True, said.append)
    record.add(answer("a"))
    record.add(answer("b"))
    (line,) = said
    assert "are not kept" in line and "is damaged" in line
    with pytest.raises(MplusError, match="move it away"):
        history.listed(5)


def test_a_newer_file_is_left_alone(history: History) -> None:
    kept(history, "a")
    with sqlite3.connect(history.path) as connection:
        connection.execute("PRAGMA user_version = 9")
    with pytest.raises(MplusError, match="newer mplus"):
        history.listed(5)


def test_two_write_at_once(history: History) -> None:
    def keep(name: str) -> None:
        kept(history, *"abcd", memory=name)

    threads = [threading.Thread(target=keep, args=(name,)) for name in "012"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted((line.memory, line.turns) for line in history.listed(9)) == [
        ("0", 4),
        ("1", 4),
        ("2", 4),
    ]


def test_export(history: History, tmp_path: Path) -> None:
    markdown, data = tmp_path / "talk.md", tmp_path / "talk.JSON"
    export(markdown, "book", [answer("Who\n# is it?")])
    text = markdown.read_text()
    assert (
        "\n## Who # is it?\n\nThe keeper.\n\n- Story, p. 2-3" in text and text.count("- Story") == 1
    )
    unsure = {**answer("Why?", "The text does not say."), "reason": "unsure"}
    assert "No clear answer found in the text." in to_markdown("book", [unsure])
    assert "text.\n\nNearest" not in to_markdown("book", [unsure])  # an earlier mplus kept it so
    lines = to_markdown("book", [{**answer("Who?"), "doubtful": True}]).splitlines()
    assert lines[lines.index("The keeper.") + 2] == "Not sure of this answer."
    refused = to_markdown("book", [{**unsure, "reason": "refused", "refused": True}])
    assert "The text does not seem to say.\n\nNearest in the text:\n\n- Story" in refused
    export(data, "book", [answer("Who?")])
    assert json.loads(data.read_text())["turns"][0]["question"] == "Who?"
    with pytest.raises(UsageError, match="is there already"):
        export(markdown, "book", [])
    with pytest.raises(MplusError, match=r"^cannot write \S*/gone/x\.md: No such file"):
        export(tmp_path / "gone" / "x.md", "book", [])
