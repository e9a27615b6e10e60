from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from mplus_cli.evaluation.tables import at_setting, difference, retention_tables

from mplus_cli.errors import MplusError
from mplus_cli.evaluation.journal import Journal
from mplus_cli.evaluation.report import read_runs, write_report
from mplus_cli.evaluation.values import ANY, UNREAD, Cost, Loss, Question, Record, Said, score

BASELINES = ("closed-book", "gold", "window", "bm25")


def record(id: str, arm: str, setting: str, answer: str, kind: str = "passages") -> Record:
    question = Question(id, kind, "Who?", ("Ann",))
    said = Said(answer, (0, 1), frozenset({0}), 9, 0.1, 0.2)
    return score(question, said, arm=arm, setting=setting, gold=frozenset({1}), before=0, after=0)


def answers(right: dict[str, int]) -> list[Record]:
    """Ten questions at two settings; each arm has so many right."""
    found = []
    for arm, count in right.items():
        for number in range(10):
            said = "It was Ann." if number < count else "Bo"
            places = [ANY] if arm in ("closed-book", "gold", "gold-reader") else ["0", "500"]
            found += [record(f"q{number}", arm, place, said) for place in places]
    return found


@pytest.fixture
def journal(new_journal: Callable[..., Journal]) -> Journal:
    journal = new_journal()
    right = {"mplus": 4, "closed-book": 0, "gold": 8, "window": 1, "bm25": 6}
    for one in answers(right):
        journal.add(one)
    refusal = "The text does not say."
    journal.add(replace(record("u1", "mplus", UNREAD, refusal, UNREAD), found=None))
    journal.add(replace(record("u2", "mplus", UNREAD, "Ann", UNREAD), found=None))
    journal.add_cost(Cost("mplus", 1000, 2.0, 3 << 20, 5 << 20))
    journal.add_cost(Cost("mplus", 500, 1.0, 4 << 20, 2 << 20))
    return journal


def test_the_report_has_baselines_in_every_table(journal: Journal) -> None:
    write_report(journal.folder)
    text = (journal.folder / "report.md").read_text()
    tables = text.split("\n### ")[1:]
    assert len(tables) == 8
    short = text[: text.index("## Knowledge retention")]
    assert "| figure | mplus | closed-book | gold | bm25 |" in short
    assert "| passages: exact hit, 500 tokens after (n 10) | 0.400 [" in short
    assert "never read, refused | 0.500 [" in short
    for table in tables:
        ours = () if "less that of the arm" in table else ("mplus",)
        for name in (*ours, *BASELINES):
            assert f"\n| {name} |" in table, (name, table)
    assert "a cpu, 2 cores, 1 threads" in text
    assert "mplus eval retention --arms mplus,closed-book,gold,window,bm25" in text
    assert "2026-01-01" in text


def test_the_figures(journal: Journal) -> None:
    write_report(journal.folder)
    lines = [json.loads(line) for line in (journal.folder / "summary.jsonl").open()]
    hits = {
        (line["arm"], line["column"]): line["value"]
        for line in lines
        if line["table"] == "passages: exact hit"
    }
    assert hits["mplus", "0 tokens after (n 10)"] == 0.4
    # An arm that no reading changes stands in every column.
    assert hits["gold", "500 tokens after (n 10)"] == 0.8
    refused = [line for line in lines if "never read" in line["table"]]
    assert {line["arm"]: line["value"] for line in refused}["mplus"] == 0.5
    text = (journal.folder / "report.md").read_text()
    assert "| mplus | 500 | 0.10 | 0.20 | 9 | 4.0 | 5 |" in text


def test_it_says_where_retrieval_over_text_wins(journal: Journal) -> None:
    (run,) = read_runs(journal.folder)
    gold, first, _, second, kept = run.verdicts()
    assert "the base with the passage in its prompt (`gold`) wins by 40.0 points" in gold
    assert "retrieval over text (`bm25`) wins by 20.0 points" in first
    assert "after 500 tokens" in second
    assert "10 questions do not tell it from chance" in first
    assert kept == (
        "passages, after 500 tokens: `mplus` keeps 1.00 of its figure after 0 tokens (10 questions)."
    )
    figure = difference(run.records, "mplus", "bm25", "500")
    assert figure.value == pytest.approx(-0.2)
    assert figure.low < -0.2 < figure.high
    ahead = difference(run.records, "mplus", "window", "500")
    assert ahead.value == pytest.approx(0.3)


def test_m_plus_is_compared_question_by_question(journal: Journal) -> None:
    for one in answers({"gold-reader": 9, "bm25-1-memory": 2}):
        if one.arm != "bm25-1-memory" or one.id in ("q1", "q2", "q3", "q9"):
            journal.add(one)
    (run,) = read_runs(journal.folder)
    table = next(one for one in run.tables() if "less that of the arm" in one.title)
    assert table.columns == ["0 tokens after", "500 tokens after"]
    found = {cell.row: cell.figure for cell in table.cells if cell.column == "500 tokens after"}
    # Of the four that both were asked, mplus has q1, q2 and q3 right, the other q1 alone.
    assert found["bm25-1-memory"].value == pytest.approx(0.5)
    assert found["bm25-1-memory"].count == 4
    assert found["gold-reader"].value == pytest.approx(-0.5)
    assert found["gold-reader"].high < 0
    assert found["bm25"] == difference(run.records, "mplus", "bm25", "500")
    assert any(row[0] == "bm25" and row[1].endswith("(n 10)") for row in table.rows())
    said = [one for one in run.verdicts() if one.startswith("passages, after 500 tokens")]
    assert any(
        "the trained reader with the passage (`gold-reader`) wins by 50.0" in s for s in said
    )
    assert any("what BM25 finds (`bm25-1-memory`) by 50.0 points" in one for one in said)


def test_plots_are_drawn_and_the_same_every_time(journal: Journal) -> None:
    files = write_report(journal.folder)
    (image,) = [file for file in files if file.suffix == ".png"]
    drawn = image.read_bytes()
    assert drawn.startswith(b"\x89PNG")
    assert f"]({image.name})" in (journal.folder / "report.md").read_text()
    write_report(journal.folder)
    assert image.read_bytes() == drawn


def test_a_folder_of_runs_is_one_report(
    journal: Journal, new_journal: Callable[..., Journal]
) -> None:
    loss = new_journal("loss", "perplexity")
    for arm, nats in (("mplus", 2.0), ("window", 1.5)):
        for chunk in (1, 2):
            loss.add_loss(Loss(arm, "book", chunk, 31, nats + chunk))
    files = write_report(journal.folder.parent)
    text = (journal.folder.parent / "report.md").read_text()
    assert "## Knowledge retention: run" in text
    assert text.index("## Knowledge retention") < text.index("## Next-token loss: loss")
    assert "| mplus | 3.5000 [3.0000, 4.0000] | 33.12 |" in text
    assert {file.name for file in files if file.suffix == ".png"} == {"run-1.png", "loss-1.png"}


def test_runs_of_one_experiment_are_told_apart(
    journal: Journal, new_journal: Callable[..., Journal]
) -> None:
    folder = journal.folder.parent
    write_report(journal.folder)
    alone = (journal.folder / "report.md").read_text().split("## In short")[1]
    assert "| passages: exact hit, " in alone
    for one in answers({"mplus": 5, "gold": 5}):
        new_journal("another").add(one)
    write_report(folder)
    short = (folder / "report.md").read_text().split("## In short")[1].split("\n## ")[0]
    for name in (journal.folder.name, "another"):
        assert f"| {name}: passages: exact hit, " in short


def test_a_setting_of_fewer_questions_compares_the_same_questions() -> None:
    records = answers({"mplus": 5, "gold": 5})
    few = [r for r in records if r.setting != "500" or r.id in ("q0", "q7")]
    assert {r.id for r in at_setting(few, "gold", "500")} == {"q0", "q7"}
    table = next(t for t in retention_tables(few) if t.title.endswith("exact hit"))
    assert table.columns == ["0 tokens after (n 10)", "500 tokens after (n 2)"]
    assert table.rows()[1][2].startswith("0.500")


def test_an_arm_asked_less_says_so(new_journal: Callable[..., Journal]) -> None:
    journal = new_journal()
    for one in answers({"mplus": 5, "window": 5}):
        if one.arm == "mplus" or one.id in ("q0", "q7"):
            journal.add(one)
    write_report(journal.folder)
    text = (journal.folder / "report.md").read_text()
    assert "--arms mplus,window:2 --out" in text
    row = next(line for line in text.splitlines() if line.startswith("| window"))
    assert row.count("(n 2)") == 2


def test_f1_is_compared_where_answers_are_free(new_journal: Callable[..., Journal]) -> None:
    journal = new_journal("qa", "qa")
    for arm, said in (("mplus", "Ann"), ("gold", "Ann Lee"), ("bm25", "Ann")):
        for number in range(4):
            journal.add(record(f"q{number}", arm, "document", said, "stories"))
    (run,) = read_runs(journal.folder)
    gold, searched = run.verdicts()
    assert gold.startswith("stories: `mplus` is ahead of the base with the passage in its prompt")
    assert "33.3 points of token F1, 1.50 times its figure" in gold
    assert "do equally well" in searched


def test_no_run_no_report(tmp_path: Path) -> None:
    with pytest.raises(MplusError, match="holds no run"):
        write_report(tmp_path)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from mplus_cli.evaluation.bm25 import Index

    monkeypatch.setitem(sys.modules, "bm25s", None)
    with pytest.raises(MplusError, match=r"bm25s is not installed.*pip install 'mplus\[eval\]'"):
        Index()
