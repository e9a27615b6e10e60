"""What is drawn of a set, where the windows of long articles lie, and what bad input gets."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from mplus_cli.datasets.__main__ import main
from mplus_cli.datasets.choosing import draw_books, draw_questions, question_count
from mplus_cli.datasets.files import write_lines
from mplus_cli.datasets.values import Book, LabelledQuestion, passages_of
from mplus_cli.datasets.windows import Span, windows

PASSAGES = passages_of(
    "made",
    [
        LabelledQuestion(f"g{n % 3}", f"Text {n // 2}", f"Question {n}?", (str(n),))
        for n in range(60)
    ],
)


def test_a_limit_counts_questions_and_keeps_the_order() -> None:
    some = draw_questions(PASSAGES, 20, seed=1)
    assert question_count(some) == 20
    assert some == draw_questions(PASSAGES, 20, seed=1)
    assert some != draw_questions(PASSAGES, 20, seed=2)
    ids = [passage.id for passage in PASSAGES]
    assert [ids.index(passage.id) for passage in some] == sorted(
        ids.index(passage.id) for passage in some
    )
    assert draw_questions(PASSAGES, None, seed=1) == PASSAGES
    assert draw_questions(PASSAGES, 1000, seed=1) == PASSAGES


def test_ids_are_unique() -> None:
    assert len({passage.id for passage in PASSAGES}) == len(PASSAGES)


def test_books_are_drawn_too() -> None:
    books = [Book(str(number), "", "x") for number in range(9)]
    some = draw_books(books, 4, seed=3)
    assert len(some) == 4 and [int(book.title) for book in some] == sorted(
        int(book.title) for book in some
    )
    assert draw_books(books, None, seed=3) == books


def test_windows_hold_their_answers_anywhere_in_them() -> None:
    draw = random.Random(0)
    places = []
    for number in range(200):
        text = " ".join(f"Word {draw.randint(0, 99)} it is." for _ in range(draw.randint(1, 400)))
        start = draw.randrange(max(len(text) - 20, 1))
        span = Span(start, min(start + draw.randint(1, 90), len(text)), "?", "!")
        ((window, inside),) = windows(text, [span], 500, str(number))
        assert inside == (span,)
        assert text[span.start : span.stop].strip() in window
        assert len(window) <= 600
        if len(text) > 5000 and 1000 < start < len(text) - 1000:
            places.append((start - text.find(window)) / len(window))
    assert min(places) < 0.2 and max(places) > 0.8


def test_an_answer_longer_than_a_window_has_one_of_its_own() -> None:
    text = "A. " * 50 + "b" * 900 + ". C. " * 50
    long = Span(150, 1050, "?", "b" * 900)
    (first, _), *_ = windows(text, [long], 400, "0")
    assert "b" * 900 in first


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        write_lines(tmp_path / name, (passage.record() for passage in PASSAGES))
    first, second = (path.read_bytes() for path in sorted(tmp_path.iterdir()))
    assert first == second


BAD = {
    "nothing.json": ("squad", 1, "check the path"),
    "no.json": ("squad", 1, "not JSON"),
    "deep.json": ("squad", 1, "not JSON"),
    "latin.json": ("squad", 1, "not UTF-8"),
    "cut.json.gz": ("squad", 1, "damaged"),
    "plain.json.gz": ("squad", 1, "Not a gzipped"),
    "list.json": ("squad", 1, "layout of SQuAD"),
    "other.json": ("squad", 1, "no 'paragraphs'"),
    "empty.json": ("squad", 1, "no question"),
    "dict.json": ("nq", 1, "layout of DPR"),
    "numbers.json": ("nq", 1, "layout of DPR"),
    "columns.csv": ("fairytaleqa", 1, "no column story_section"),
    "quotes.csv": ("fairytaleqa", 1, "not a CSV"),
    "values.json": ("fairytaleqa", 1, "not a list of objects"),
    "start.json": ("covidqa", 1, "layout of COVID-QA"),
    "empty.txt": ("books", 1, "no text"),
    "binary.txt": ("books", 1, "not text"),
}
CONTENT = {
    "no.json": b"{",
    "deep.json": b"[" * 200_000,
    "latin.json": b'{"a": "\xe9"}',
    "cut.json.gz": b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
    "plain.json.gz": b"{}",
    "list.json": b"[]",
    "other.json": b'{"data": [{"title": "A"}]}',
    "empty.json": b'{"data": []}',
    "dict.json": b'{"a": 1}',
    "numbers.json": b"[1]",
    "columns.csv": b"story_name,question\na,b\n",
    "quotes.csv": b'story_name,question\n"a"b,"c\n',
    "values.json": b"[1, 2]",
    "start.json": b'{"data": [{"paragraphs": [{"context": "x", "qas": [{"question": "q", "answers": '
    b'[{"text": "x", "answer_start": "y"}]}]}]}]}',
    "empty.txt": b"\n\n",
    "binary.txt": b"PK\x03\x04\0\0\0",
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command, code, says = BAD[name]
    if name in CONTENT:
        (tmp_path / name).write_bytes(CONTENT[name])
    out = tmp_path / "out.jsonl"
    assert main([command, str(tmp_path / name), "--out", str(out)]) == code
    said = capsys.readouterr().err
    assert says in said
    assert name in said or name == "empty.json"
    assert said.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["squad"], 2),
        (["squid", "x"], 2),
        (["squad", "x", "--out", "y", "--limit", "0"], 2),
        (["narrativeqa", "x", "--split", "dev", "--out", "y"], 2),
        (["narrativeqa", "x", "--split", "test", "--out", "y"], 1),
    ],
)
def test_usage(arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == code
    assert capsys.readouterr().err.count("\n") == 1


def test_a_folder_that_is_not_there_to_write_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_text("Text.")
    out = tmp_path / "none" / "out.jsonl"
    assert main(["books", str(tmp_path), "--out", str(out)]) == 1
    assert "cannot write" in capsys.readouterr().err


def test_it_is_a_program(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Text.")
    command = [sys.executable, "-m", "mplus_cli.datasets", "books", str(tmp_path)]
    command += ["--out", str(tmp_path / "out.jsonl")]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert (tmp_path / "out.jsonl").read_text() == '{"title": "a", "author": "", "text": "Text."}\n'
