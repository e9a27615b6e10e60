from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mplus_cli.errors import MplusError
from mplus_cli.evaluation.comparisons import comparisons_of, findings
from mplus_cli.evaluation.figures import (
    Figure,
    at_setting,
    difference,
    figures_of,
    tables_of,
    timings_of,
)
from mplus_cli.evaluation.journal import Journal
from mplus_cli.evaluation.report import read_runs, write_report
from mplus_cli.evaluation.values import (
    ANY,
    UNREAD,
    Cost,
    Loss,
    Probe,
    Question,
    Record,
    Reply,
    score,
)

BASELINES = ("closed-book", "gold", "window", "bm25")


def record(id: str, arm: str, setting: str, answer: str, kind: str = "passages") -> Record:
    question = Question(id, kind, "Who?", ("Ann",))
    said = Reply(answer, (0, 1), frozenset({0}), 9, 0.1, 0.2)
    return score(arm, Probe(question, setting, 1, frozenset({1}), 0, 0), said)


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
    journal.add(Cost("mplus", 1000, 2.0, 3 << 20, 5 << 20))
    journal.add(Cost("mplus", 500, 1.0, 4 << 20, 2 << 20))
    return journal


def judged(folder: Path) -> dict[str, list[str]]:
    (run,) = read_runs(folder)
    return findings(figures_of(run), timings_of(run))


def compared(folder: Path) -> dict[str, str]:
    """What the report shows of M+ beside each rival, where most was read in between."""
    (run,) = read_runs(folder)
    return {one.rival: one.show() for one in comparisons_of(figures_of(run))}


def test_the_report_has_baselines_in_every_table(journal: Journal) -> None:
    write_report(journal.folder)
    text = (journal.folder / "tables.md").read_text()
    tables = text.split("\n### ")[1:]
    assert len(tables) == 4  # at 0 and at 500 tokens, never read, and what it takes
    for table in tables:
        for name in ("mplus", *BASELINES):
            assert f"\n| {name} |" in table, (name, table)
    assert "a cpu, 2 cores, 1 threads" in text
    assert "mplus eval retention --arms mplus,closed-book,gold,window,bm25" in text
    assert "2026-01-01" in text


def test_the_page_is_short_and_says_what_was_lost(journal: Journal) -> None:
    write_report(journal.folder)
    page = (journal.folder / "report.md").read_text()
    assert page.count("\n| ---") == 1, "one table"
    assert "the base with the passage in its prompt | retrieval over text |" in page
    where = "`run`: passages after 500 tokens"
    ours = f"| {where} | exact hit 0.400 [0.168, 0.687] (n 10) |"
    assert f"{ours} `gold` 0.800: **-40** [-70, -10] |" in page
    lost = page.split("## Also lost\n")[1].split("\n## ")[0]
    assert "answers 50 % of the 2 questions instead of refusing" in lost
    assert page.count("![") == 1
    assert len(page.splitlines()) < 40


def test_the_figures(journal: Journal) -> None:
    write_report(journal.folder)
    lines = [
        json.loads(line) for line in (journal.folder / "summary.jsonl").read_text().splitlines()
    ]
    hits = {
        (line["arm"], line["table"]): line["value"]
        for line in lines
        if line["column"] == "exact hit"
    }
    assert hits["mplus", "passages after 0 tokens: 10 questions"] == 0.4
    # An arm that no reading changes stands in every table.
    assert hits["gold", "passages after 500 tokens: 10 questions"] == 0.8
    refused = [line for line in lines if "never read" in line["table"]]
    assert {line["arm"]: line["value"] for line in refused}["mplus"] == 0.5
    text = (journal.folder / "tables.md").read_text()
    assert "| mplus | 500 | 0.10 | 0.20 | 9 | 4 | 5 |" in text


def test_it_says_where_retrieval_over_text_wins(journal: Journal) -> None:
    shown = compared(journal.folder)
    assert shown["the base with the passage in its prompt"] == "`gold` 0.800: **-40** [-70, -10]"
    assert shown["retrieval over text"].startswith("`bm25` 0.600: -20 [")
    (run,) = read_runs(journal.folder)
    ours, bm25, window = (
        at_setting(run.records, name, "500") for name in ("mplus", "bm25", "window")
    )
    figure = difference(ours, bm25, "exact hit")
    assert figure.value == pytest.approx(-0.2)
    assert figure.low < -0.2 < figure.high
    assert difference(ours, window, "exact hit").value == pytest.approx(0.3)


def test_m_plus_is_compared_question_by_question(journal: Journal) -> None:
    for one in answers({"gold-reader": 9, "bm25-1-memory": 2}):
        if one.arm != "bm25-1-memory" or one.id in ("q1", "q2", "q3", "q9"):
            journal.add(one)
    (run,) = read_runs(journal.folder)
    first, table, _ = tables_of(figures_of(run))
    assert first.title == "passages after 0 tokens: 10 questions"
    assert table.title == "passages after 500 tokens: 10 questions"
    found = {one.arm: one for one in table.figures if one.column == "mplus ahead by"}
    # Of the four that both were asked, mplus has q1, q2 and q3 right, the other q1 alone.
    assert found["bm25-1-memory"].value == pytest.approx(0.5)
    assert found["bm25-1-memory"].count == 4
    assert found["gold-reader"].value == pytest.approx(-0.5)
    assert found["gold-reader"].high < 0
    assert found["bm25"].value == pytest.approx(-0.2)
    assert any(row[0] == "bm25" and row[-1].endswith("(n 10)") for row in table.rows())
    shown = compared(journal.folder)
    assert shown["the trained reader with the passage"].startswith("`gold-reader` 0.900: **-50** [")
    found_by_bm25 = shown["the trained reader with what BM25 finds"]
    assert found_by_bm25.startswith("`bm25-1-memory` 0.250: +50 [")
    assert found_by_bm25.endswith(" (n 4)")


def test_next_token_loss_and_costs_are_judged(new_journal: Callable[..., Journal]) -> None:
    loss = new_journal("loss", "perplexity")
    for arm, nats in (("mplus", 3.0), ("window", 1.5)):
        for chunk in (1, 2):
            loss.add(Loss(arm, "book", chunk, 31, nats + chunk / 10))
    (lost,) = judged(loss.folder)["Lost"]
    assert lost == "`loss`, book: nats a token: 3.150 [3.100, 3.200]; `window` 1.650."
    journal = new_journal("costs")
    for one in answers({"mplus": 1, "bm25-1": 1}):
        journal.add(one)
    journal.add(Cost("mplus", 1000, 2.0, 3 << 20, 5 << 20))
    journal.add(Cost("bm25", 1000, 0.1, 1 << 20, 0))
    said = judged(journal.folder)
    assert (
        "`costs`, tokens read a second: 500; BM25 with the base (`bm25-1`) 10,000." in said["Lost"]
    )
    assert "`costs`, MiB on disk: 3; BM25 with the base (`bm25-1`) 1." in said["Lost"]


def test_a_report_is_written_again_from_its_lines(journal: Journal, tmp_path: Path) -> None:
    files = write_report(journal.folder)
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    for file in files:
        if file.suffix == ".jsonl":
            (fresh / file.name).write_bytes(file.read_bytes())
    assert [file.name for file in write_report(fresh)] == [file.name for file in files]
    for file in files:
        assert (fresh / file.name).read_bytes() == file.read_bytes(), file.name
    (fresh / "summary.jsonl").write_text('{"run": ')
    with pytest.raises(MplusError, match="is damaged"):
        write_report(fresh)


def test_a_figure_that_is_not_known_is_null() -> None:
    line = {"run": "r", "experiment": "qa", "table": "t", "arm": "mplus", "column": "c"}
    figure = Figure.from_json(line | {"value": None, "low": None, "high": None, "count": 0})
    assert figure.show() == "–"
    assert figure.to_json()["value"] is None


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
            loss.add(Loss(arm, "book", chunk, 31, nats + chunk))
    files = write_report(journal.folder.parent)
    text = (journal.folder.parent / "tables.md").read_text()
    assert "## Knowledge retention: run" in text
    assert text.index("## Knowledge retention") < text.index("## Next-token loss: loss")
    assert "| mplus | 3.500 [3.000, 4.000] | 33.12 |" in text
    assert {file.name for file in files if file.suffix == ".png"} == {"retention.png", "loss.png"}


def test_runs_of_one_experiment_are_told_apart(
    journal: Journal, new_journal: Callable[..., Journal]
) -> None:
    folder = journal.folder.parent
    for one in answers({"mplus": 5, "gold": 5}):
        new_journal("another").add(one)
    write_report(folder)
    short = (folder / "report.md").read_text().split("## In short")[1].split("\n## ")[0]
    for name in (journal.folder.name, "another"):
        assert f"| `{name}`: passages after 500 tokens | exact hit " in short


def test_a_setting_of_fewer_questions_compares_the_same_questions(journal: Journal) -> None:
    records = answers({"mplus": 5, "gold": 5})
    few = [r for r in records if r.setting != "500" or r.id in ("q0", "q7")]
    assert {r.id for r in at_setting(few, "gold", "500")} == {"q0", "q7"}
    (run,) = read_runs(journal.folder)
    at_once, later = tables_of(figures_of(replace(run, records=few)))
    assert at_once.title == "passages after 0 tokens: 10 questions"
    assert later.title == "passages after 500 tokens: 2 questions"
    assert later.columns[0] == "exact hit"
    assert later.rows()[1][1].startswith("0.500")


def test_an_arm_asked_less_says_so(new_journal: Callable[..., Journal]) -> None:
    journal = new_journal()
    for one in answers({"mplus": 5, "window": 5}):
        if one.arm == "mplus" or one.id in ("q0", "q7"):
            journal.add(one)
    write_report(journal.folder)
    text = (journal.folder / "tables.md").read_text()
    assert "--arms mplus,window:2 --out" in text
    rows = [line for line in text.splitlines() if line.startswith("| window") and "[" in line]
    assert len(rows) == 2
    assert all(row.count("(n 2)") == row.count("[") for row in rows)


def test_f1_is_compared_where_answers_are_free(new_journal: Callable[..., Journal]) -> None:
    journal = new_journal("qa", "qa")
    for arm, said in (("mplus", "Ann"), ("gold", "Ann Lee"), ("bm25", "Ann")):
        for number in range(4):
            journal.add(record(f"q{number}", arm, "document", said, "stories"))
    shown = compared(journal.folder)
    assert shown == {
        "the base with the passage in its prompt": "`gold` 0.667: **+33** [+33, +33]",
        "retrieval over text": "`bm25` 1.000: +0 [+0, +0]",
    }


def test_no_run_no_report(tmp_path: Path) -> None:
    with pytest.raises(MplusError, match="holds no run"):
        write_report(tmp_path)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from mplus_cli.evaluation.bm25 import Index

    monkeypatch.setitem(sys.modules, "bm25s", None)
    with pytest.raises(MplusError, match=r"bm25s is not installed.*pip install 'mplus\[eval\]'"):
        Index([])
