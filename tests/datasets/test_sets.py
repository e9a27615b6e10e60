"""Every public set in its published layout, as small files, to the lines that training reads."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from models.training.data import read_books, read_passages
from mplus_cli.datasets.__main__ import main

FIELD = "The field at Marl was bought by Ada Crane in 1911. She paid for it with a gold watch."


def write_json(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def write_csv(path: Path, header: str, *rows: tuple[str, ...]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header.split(","), *rows])
    return path


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def squad(tmp_path: Path) -> Path:
    def qa(name: str, question: str, *answers: str) -> dict[str, Any]:
        found = [{"text": answer, "answer_start": FIELD.find(answer)} for answer in answers]
        return {"id": name, "question": question, "answers": found}

    paragraphs = [
        {
            "context": FIELD,
            "qas": [
                qa("1", "Who bought  the field?\n", "Ada Crane", "Ada Crane", "Crane"),
                qa("2", "What was never said?"),
                qa("3", "What did she pay with?", "a gold watch"),
            ],
        },
        {"context": "Marl is a village.", "qas": []},
    ]
    article = {"title": "Marl", "paragraphs": paragraphs}
    return write_json(tmp_path / "train-v1.1.json", {"version": "1.1", "data": [article]})


def test_squad(squad: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.jsonl"
    assert main(["squad", str(squad), "--out", str(out)]) == 0
    assert lines(out) == [
        {
            "source": "squad",
            "id": "Marl/1",
            "context": FIELD,
            "qas": [
                {"question": "Who bought the field?", "answers": ["Ada Crane", "Crane"]},
                {"question": "What did she pay with?", "answers": ["a gold watch"]},
            ],
        }
    ]
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.endswith("1 passages, 2 questions\n")
    (passage,) = read_passages([out])
    assert passage.questions[0].answers == ("Ada Crane", "Crane")


def test_natural_questions(tmp_path: Path) -> None:
    def positive(title: str, text: str) -> dict[str, Any]:
        return {"title": title, "text": text, "score": 1000, "title_score": 1, "passage_id": "7"}

    entries = [
        {
            "dataset": "nq_dev_psgs_w100",
            "question": "who bought the field at marl",
            "answers": ["ada crane", "Nobody"],
            "positive_ctxs": [positive("Watches", "No answer."), positive("Marl", FIELD)],
            "negative_ctxs": [positive("Other", "Ada Crane")],
            "hard_negative_ctxs": [],
        },
        {"question": "what is lost", "answers": ["x"], "positive_ctxs": [positive("A", "B")]},
    ]
    packed = tmp_path / "biencoder-nq-dev.json.gz"
    packed.write_bytes(gzip.compress(json.dumps(entries).encode()))
    out = tmp_path / "out.jsonl"
    assert main(["nq", str(packed), "--out", str(out)]) == 0
    (record,) = lines(out)
    assert (record["source"], record["id"]) == ("nq", "Marl/1")
    assert record["context"] == f"Marl\n{FIELD}"
    assert record["qas"] == [{"question": "who bought the field at marl", "answers": ["ada crane"]}]


STORY = ("the-crane", "Once, a crane\nlost its way.")
TABLE = (
    "story_name,story_section,question,answer1,answer2,local-or-sum,attribute,ex-or-im,ex-or-im2"
)
REST = ("local", "action", "explicit", "")


def test_fairytale_qa_as_csv(tmp_path: Path) -> None:
    table = write_csv(
        tmp_path / "train.csv",
        TABLE,
        (*STORY, "Who lost its way?", "a crane", "the crane", *REST),
        ("the-crane", "It asked an owl.", "Whom did it ask?", "an owl", "", *REST),
        (*STORY, "What did the crane lose?", "its way", "its way", *REST),
    )
    out = tmp_path / "out.jsonl"
    assert main(["fairytaleqa", str(table), "--out", str(out)]) == 0
    first, second = lines(out)
    assert (first["source"], first["id"], second["id"]) == (
        "fairytaleqa",
        "the-crane/1",
        "the-crane/2",
    )
    assert first["context"] == STORY[1]
    assert [qa["answers"] for qa in first["qas"]] == [["a crane", "the crane"], ["its way"]]
    assert second["qas"] == [{"question": "Whom did it ask?", "answers": ["an owl"]}]


@pytest.mark.parametrize("form", ["list", "lines"])
def test_fairytale_qa_as_json(form: str, tmp_path: Path) -> None:
    row = dict(zip(TABLE.split(",")[:4], (*STORY, "Who lost its way?", "a crane"), strict=True))
    rows = [{**row, "answer2": None}, {**row, "question": "What?", "answer2": "a bird"}]
    text = json.dumps(rows) if form == "list" else "\n".join(map(json.dumps, rows))
    table, out = tmp_path / "train.json", tmp_path / "out.jsonl"
    table.write_text(text)
    assert main(["fairytaleqa", str(table), "--out", str(out)]) == 0
    assert [qa["answers"] for qa in lines(out)[0]["qas"]] == [["a crane"], ["a crane", "a bird"]]


@pytest.fixture
def narrative(tmp_path: Path) -> Path:
    clone = tmp_path / "narrativeqa"
    write_csv(
        clone / "qaps.csv",
        "document_id,set,question,answer1,answer2,question_tokenized,answer1_tokenized,answer2_tokenized",
        ("ab12", "train", "Who is Tom?", "A sailor, from Hull.", "a sailor", "", "", ""),
        ("cd34", "test", "Who is Eve?", "a judge", "a judge", "", "", ""),
        ("ef56", "test", "Of no summary?", "yes", "yes", "", "", ""),
    )
    write_csv(
        clone / "third_party" / "wikipedia" / "summaries.csv",
        "document_id,set,summary,summary_tokenized",
        ("ab12", "train", ' "Tom"\nis a sailor, from Hull.', "x"),
        ("cd34", "test", "Eve is a judge.", "x"),
    )
    return clone


@pytest.mark.parametrize(
    ("split", "context", "answers"),
    [
        ("train", '"Tom"\nis a sailor, from Hull.', ["A sailor, from Hull.", "a sailor"]),
        ("test", "Eve is a judge.", ["a judge"]),
    ],
)
def test_narrative_qa(
    narrative: Path, split: str, context: str, answers: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    assert main(["narrativeqa", str(narrative), "--split", split, "--out", str(out)]) == 0
    (record,) = lines(out)
    assert (record["source"], record["context"]) == ("narrativeqa", context)
    assert record["qas"][0]["answers"] == answers


def test_covid_qa(tmp_path: Path) -> None:
    body = "".join(f"Sentence {n} reports the value {n * 37} of trial {n}.\n" for n in range(400))
    asked = [
        {
            "question": f"Which value has trial {n}?",
            "id": n,
            "answers": [{"text": str(n * 37), "answer_start": body.find(f" {n * 37} of") + 1}],
            "is_impossible": False,
        }
        for n in (300, 7, 8)
    ]
    asked.append({"question": "Lost?", "id": 9, "answers": [{"text": "zzz", "answer_start": 3}]})
    paragraph = {"qas": asked, "context": body, "document_id": 630}
    articles = write_json(tmp_path / "COVID-QA.json", {"data": [{"paragraphs": [paragraph]}]})
    out = tmp_path / "out.jsonl"
    assert main(["covidqa", str(articles), "--window", "600", "--out", str(out)]) == 0
    records = lines(out)
    assert [record["id"] for record in records] == ["630/1", "630/2"]
    assert [[qa["answers"] for qa in record["qas"]] for record in records] == [
        [["259"], ["296"]],
        [["11100"]],
    ]
    for record in records:
        assert 300 < len(record["context"]) <= 700
        assert record["context"].startswith("Sentence") and record["context"].endswith(".")
        assert all(qa["answers"][0] in record["context"] for qa in record["qas"])


BOOK = """\ufeffThe Project Gutenberg eBook of The Pier

Title: The Pier

Author: Ann Other

*** START OF THE PROJECT GUTENBERG EBOOK THE PIER ***

Produced by Somebody and
the Distributed Proofreaders

CHAPTER I

The pier was long, and the sea
was cold.

It rained.

End of the Project Gutenberg EBook of The Pier, by Ann Other

*** END OF THE PROJECT GUTENBERG EBOOK THE PIER ***

Much small print.
"""


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    folder = tmp_path / "shelf"
    (folder / "deep").mkdir(parents=True)
    (folder / "pier.txt").write_text(BOOK, encoding="utf-8")
    (folder / "deep" / "hill.txt").write_text("On the hill\nstood a house.\n")
    (folder / "cover.jpg").write_bytes(b"\xff\xd8\xff")
    return folder


def test_books(shelf: Path, tmp_path: Path) -> None:
    out = tmp_path / "books.jsonl.gz"
    assert main(["books", str(shelf), "--out", str(out)]) == 0
    hill, pier = (json.loads(line) for line in gzip.decompress(out.read_bytes()).splitlines())
    assert (hill["title"], hill["author"]) == ("hill", "")
    assert hill["text"] == "On the hill stood a house."
    assert (pier["title"], pier["author"]) == ("The Pier", "Ann Other")
    assert pier["text"].split("\n\n") == [
        "CHAPTER I",
        "The pier was long, and the sea was cold.",
        "It rained.",
    ]
    assert read_books([out]) == [hill["text"], pier["text"]]


def test_one_bad_book_of_two_is_left_out(
    shelf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (shelf / "pier.txt").write_bytes(b"\x7fELF\0\0\0\1")
    out = tmp_path / "books.jsonl"
    assert main(["books", str(shelf), "--out", str(out)]) == 4
    assert "pier.txt is not text" in capsys.readouterr().err
    assert [record["title"] for record in lines(out)] == ["hill"]
