"""Asking from scripts: many questions at once, events, templates, how much is said, exit codes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from mplus_cli.asking.batch import (
    AnsweredQuestion,
    Output,
    RejectedLine,
    Tally,
    ask_each,
    read_questions,
)
from mplus_cli.asking.events import Answer, Usage
from mplus_cli.asking.question import Question
from mplus_cli.errors import EXIT_CODES, ExitCode, UsageError

ROOT = Path(__file__).parents[2]
SHORT = ("--max-new-tokens", "6")
LINES = (
    '{"question": "Who keeps the goat?"}\n'
    '\n{"id": "b", "question": "What is green?", "document": "Story", "gold": "the book"}\n'
    "{no json\n"
    '{"id": true, "question": "Who?"}\n'
    '{"id": "b", "question": "Who?"}\n'
    '{"question": "Who?", "document": "Gone"}\n'
    '{"question": " "}\n'
)


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_questions_in_answers_out(mplus: Any, book: str, tmp_path: Path) -> None:
    """One line a question, in order; what is damaged is said with its line, and the rest is asked."""
    file = tmp_path / "q.jsonl"
    file.write_text(LINES)
    result = mplus("ask", "-m", book, "--questions", file, *SHORT)
    assert result.code == ExitCode.PARTIAL
    first, second = lines_of(result.out)
    assert (first["id"], second["id"]) == (1, "b")
    assert list(first)[1:4] == ["question", "answer", "memory"]
    single = mplus("ask", "Who keeps the goat?", "-m", book, "--json", *SHORT).json
    assert first["answer"] == single["answer"] and first["sources"] == single["sources"]
    said = result.err
    for where in (
        f"{file}:4: it is not a JSON object such as",
        f'{file}:5: its "id"',
        f"{file}:6: the id b is used twice",
    ):
        assert where in said
    assert 'question 7: there is no document "Gone"' in said and f"{file}:8: the question" in said
    assert said.splitlines()[-1] == "2 questions answered, 5 not asked"
    piped = lines_of(mplus("ask", "-m", book, "--questions", "-", *SHORT, stdin=LINES).out)
    assert [line["answer"] for line in piped] == [first["answer"], second["answer"]]


def test_a_run_goes_on_where_it_was_broken_off(mplus: Any, book: str, tmp_path: Path) -> None:
    questions = "".join(f'{{"id": {n}, "question": "Who is {n}?"}}\n' for n in range(3))
    whole, part = tmp_path / "whole.jsonl", tmp_path / "part.jsonl"
    asked = ("ask", "-m", book, "--questions", "-", *SHORT, "--output")
    assert mplus(*asked, whole, stdin=questions).code == 0
    lines = whole.read_text().splitlines(keepends=True)
    part.write_text(lines[0] + lines[1][:40])  # killed in the middle of a line
    result = mplus(*asked, part, stdin=questions)
    assert (result.code, result.out) == (0, "")
    assert "2 questions answered, 1 answered before" in result.err
    assert [line["id"] for line in lines_of(part.read_text())] == [0, 1, 2]
    assert [line["answer"] for line in lines_of(part.read_text())] == [
        line["answer"] for line in lines_of(whole.read_text())
    ]
    other = mplus(*asked, part, stdin='{"id": 1, "question": "Another?"}\n')
    assert other.code == 2 and "another question under the id 1" in other.error
    part.write_text("a diary\n")
    assert "is not an answer that" in mplus(*asked, part, stdin=questions).error
    assert part.read_text() == "a diary\n"


def test_no_model_is_loaded_where_nothing_is_left_to_ask(
    mplus: Any, book: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = tmp_path / "done.jsonl"
    line = '{"id": 1, "question": "Who?"}\n'
    done.write_text('{"id": 1, "question": "Who?", "memory": "book"}\n')
    monkeypatch.setattr("mplus_cli.runtime.session.open_session", None)
    asked = ("ask", "-m", book, "--questions", "-")
    assert mplus(*asked, "--output", done, stdin=line).code == 0
    assert mplus(*asked, stdin="[]\n").code == ExitCode.FAILED
    assert mplus(*asked, stdin="").code == 0


def test_answers_are_kept_one_by_one() -> None:
    """What was answered before a failure was yielded before it."""

    def answer(question: Question) -> Answer:
        if question.text == "fail":
            raise KeyboardInterrupt
        usage = Usage(1, 1, 1, 1, 1, 0.0, 0.0)
        return Answer(question.text, "so", "m", "model", (), usage, "stop")

    wanted = read_questions([b'{"question": "a"}', b'{"question": "fail"}'], "q", Question(""))
    events = ask_each(wanted, answer, None, "m", Tally())
    assert next(events).to_json()["id"] == 1  # type: ignore[union-attr]
    with pytest.raises(KeyboardInterrupt):
        next(events)


def test_the_memory_of_an_output_stays_the_same(tmp_path: Path) -> None:
    output = Output(tmp_path / "o", {1: ("a", "other")})
    wanted = read_questions([b'{"question": "a"}'], "q", Question(""))
    with pytest.raises(UsageError, match='of the memory "other" under the id 1'):
        list(ask_each(wanted, lambda _: pytest.fail("asked"), output, "m", Tally()))


@pytest.mark.parametrize(
    "line", ["[" * 100_000, '{"question": 3}', '{"question": "a", "document": 1}']
)
def test_hostile_lines_are_damaged_lines(line: str) -> None:
    (found,) = read_questions([line.encode()], "q", Question(""))
    assert isinstance(found, RejectedLine) and not isinstance(found, AnsweredQuestion)


def test_events_as_lines(mplus: Any, book: str) -> None:
    result = mplus("ask", "Who keeps the goat?", "-m", book, "--jsonl", *SHORT)
    events = lines_of(result.out)
    assert [events[0]["event"], events[-1]["event"]] == ["retrieved", "answer"]
    assert {event["event"] for event in events[1:-1]} <= {"text"}
    assert events[0]["sources"]
    assert "".join(event["text"] for event in events[1:-1]) == events[-1]["answer"]
    single = mplus("ask", "Who keeps the goat?", "-m", book, "--json", *SHORT).json
    assert set(events[-1]) == {"event", *single}


def test_reading_as_events(mplus: Any, tiny: Path, story: Path) -> None:
    result = mplus("ingest", story, "-m", "book", "--jsonl")
    events = lines_of(result.out)
    assert result.code == 0 and result.err == ""
    assert len({event["event"] for event in events}) >= 4 and events[-1]["event"] == "report"
    assert events[-1]["documents"][0]["status"] == "read"
    for other in ("--dry-run", "--json"):
        assert mplus("ingest", story, "--jsonl", other).code == 2


def test_a_template(mplus: Any, book: str) -> None:
    asked = ("ask", "Who keeps the goat?", "-m", book, *SHORT, "--template")
    form = "{{ memory }}: {{ sources[0].document }}{{ sources[0].pages[0] }} {{ usage.new_tokens }}"
    assert mplus(*asked, form).out == "book: Story 6\n"
    assert mplus(*asked, "[{{ answer.__class__.__mro__ }}]").out == "[]\n", "nothing of the program"
    many = "{% for source in sources %}[{{ source.chunk }}]{% endfor %}"
    assert re.fullmatch(r"(\[\d+\])+\n", mplus(*asked, many).out)


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("{{ answr }}", "there is no field answr: did you mean answer?"),
        ("{{ answer", "--template: unexpected end of template"),
        ("{{ answer / 2 }}", "--template: unsupported operand"),
        ("{% for n in range(10**9) %}x{% endfor %}", "--template: "),
    ],
)
def test_a_template_that_cannot_be_filled_in(mplus: Any, book: str, form: str, said: str) -> None:
    result = mplus("ask", "Who?", "-m", book, *SHORT, "--template", form)
    assert result.code == 2 and said in result.error, result.err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ask x --json --jsonl", "--json and --jsonl exclude"),
        ("ask x --template y --json", "--json and --template exclude"),
        ("ask --questions q --json", "--json and --questions exclude"),
        ("ask x --questions q", "leave out the one on the command line"),
        ("ask x --output o", "--output is for the answers to --questions"),
        ("ask --questions gone.jsonl -m gone", 'there is no memory "gone"'),
        ("memory list -q -v", "--quiet and --verbose exclude"),
        ("find x --json --jsonl", "--json and --jsonl exclude"),
    ],
)
def test_options_that_exclude_each_other(mplus: Any, line: str, said: str) -> None:
    result = mplus(*line.split())
    assert result.code in (1, 2)
    assert said in result.err


def test_a_missing_file_of_questions(mplus: Any, book: str) -> None:
    result = mplus("ask", "-m", book, "--questions", "gone.jsonl")
    assert (result.code, result.error[:25]) == (2, "gone.jsonl cannot be read")


def test_quiet_and_verbose(mplus: Any, book: str, story: Path) -> None:
    """Every command takes both: results stay, and errors; notes, passages and progress do not."""
    usual = mplus("ask", "Who keeps the goat?", "-m", book, *SHORT)
    quiet = mplus("ask", "Who keeps the goat?", "-m", book, *SHORT, "-q")
    verbose = mplus("-v", "ask", "Who keeps the goat?", "-m", book, *SHORT)
    assert usual.out == quiet.out == verbose.out
    assert "Story" in usual.err and quiet.err == ""
    assert "first token after" in verbose.err and "home " in verbose.err
    assert "first token" not in usual.err
    assert mplus("ingest", story, "-m", book, "--quiet").err == ""
    assert "chunks are kept" in mplus("ingest", story, "-m", "more", "-v").err
    assert mplus("memory", "rename", book, "other", "-q").err == ""
    assert 'no memory "gone"' in mplus("memory", "show", "gone", "-q").error


def test_exit_codes_are_documented_alike_everywhere(mplus: Any) -> None:
    shown = mplus("--help").out
    pages = [ROOT / "README.md", ROOT / "docs" / "scripting.md"]
    for code, meaning in EXIT_CODES.items():
        assert f"  {code:<5}{meaning.replace('`', '')}"[:60] in shown
        assert all(f"| {code:d} | {meaning} |" in page.read_text("utf-8") for page in pages)
    assert set(EXIT_CODES) == set(ExitCode)
