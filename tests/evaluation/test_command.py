"""`mplus eval` as a command: what it prints, keeps and refuses."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mplus_cli.commands.eval import app, retention
from mplus_cli.errors import UsageError
from mplus_cli.evaluation.arms import ARMS
from mplus_cli.evaluation.bench import Bench
from mplus_cli.settings import Flags

Run = Callable[..., Any]


@pytest.fixture
def run(tiny_checkpoint_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `mplus eval`; gives what came on stdout."""

    def command(*arguments: object, model: Path = tiny_checkpoint_folder) -> str:
        flags = Flags(str(model), "cpu", "float32", tmp_path / "home", True)
        app([str(one) for one in arguments], obj=flags, standalone_mode=False)
        return capsys.readouterr().out

    return command


def test_retention_and_its_report(run: Run, data_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ["--data", data_file, "--questions", 2, "--unread", 1, "--tokens", "0,40,200:1"]
    options += ["--arms", "mplus,gold,bm25-1", "--out", out]
    shown = json.loads(run("retention", *options, "--json"))
    hits = [row for row in shown if row["column"] == "exact hit"]
    assert [(row["table"], row["arm"], row["count"]) for row in hits] == [
        (f"passages after {tokens} tokens: {count} questions", arm, count)
        for tokens, count in ((0, 2), (40, 2), (200, 1))
        for arm in ("mplus", "gold", "bm25-1")
    ]
    assert not (out / "work").exists()
    again = run("retention", *options)
    assert "passages after 0 tokens: 2 questions" in again
    assert "exact hit" in again
    files = run("report", out).split()
    assert [Path(file).name for file in files] == [
        *("report.md", "tables.md", "summary.jsonl", "timings.jsonl", "runs.jsonl", "retention.png")
    ]
    text = (out / "tables.md").read_text()
    assert "--data passages.jsonl" in text
    assert str(tmp_path) not in text
    with pytest.raises(UsageError, match="seed 0, not 1"):
        run("retention", *options, "--seed", 1)


def test_quick_without_data_asks_made_up_facts(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mplus_cli.evaluation import retention as retentions

    asked: dict[str, Any] = {}

    def no_run(bench: Any, plan: Any, arms: Any, journal: Any) -> Any:
        asked.update(plan=plan, arms=arms)
        return iter(())

    monkeypatch.setattr(retentions, "run", no_run)
    run("retention", "--quick", "--out", tmp_path / "out")
    plan = asked["plan"]
    read = [probe for probe in plan.stream.probes if probe.setting not in ("unread", "any")]
    assert len(read) == 2 * 24
    assert {probe.question.kind for probe in read} == {"facts"}
    assert {probe.setting for probe in plan.stream.probes} == {"0", "20000", "unread", "any"}
    assert [f"{arm.name}:{arm.limit}" if arm.limit else arm.name for arm in asked["arms"]] == [
        "mplus",
        "quoted",
        "closed-book",
        "gold",
        "window:6",
        "bm25-1",
        "gold-reader",
        "bm25-1-reader",
        "bm25-1-memory:12",
        "stm-only:12",
    ]


def test_what_an_interruption_leaves_is_reported(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mplus_cli.evaluation import retention as retentions

    def interrupted(bench: Any, plan: Any, arms: Any, journal: Any) -> Any:
        journal.work.mkdir()
        (journal.work / "ltm").write_bytes(bytes(2500))
        yield from ()
        raise KeyboardInterrupt

    monkeypatch.setattr(retentions, "run", interrupted)
    notes: list[str] = []
    monkeypatch.setattr("mplus_cli.terminal.screen.note", notes.append)
    # No tables: the interruption is not swallowed.
    assert run("retention", "--quick", "--out", tmp_path / "out") == ""
    assert notes[-1].startswith(f"2.5 KB of memory are kept in {tmp_path / 'out' / 'work'} to")


def test_qa_of_the_example_story(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "qa"
    run("qa", "--questions", 2, "--arms", "gold", "--out", out)
    lines = [json.loads(line) for line in (out / "answers.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == ["story/1", "story/2"]
    assert all(line["prompt_tokens"] > 100 for line in lines)


def test_perplexity(run: Run, tmp_path: Path) -> None:
    book = tmp_path / "book.txt"
    book.write_text("The storm had taken the boat, the keeper wrote in the logbook. " * 20)
    shown = run("perplexity", "--data", book, "--tokens", 100, "--out", tmp_path / "p")
    for arm in ("mplus", "closed-book", "window", "stm-only", "identity"):
        assert f"\n  {arm} " in shown
    with pytest.raises(UsageError, match="no arm gold"):
        run("perplexity", "--data", book, "--arms", "gold", "--out", tmp_path / "q")


def test_a_plain_base_needs_no_base(run: Run, tiny_base_folder: Path, tmp_path: Path) -> None:
    book = tmp_path / "book.txt"
    book.write_text("The storm had taken the boat, the keeper wrote in the logbook. " * 60)
    out = tmp_path / "p"
    run(
        "perplexity",
        "--data",
        book,
        "--arms",
        "window,identity",
        "--out",
        out,
        model=tiny_base_folder,
    )
    assert len((out / "losses.jsonl").read_text().splitlines()) >= 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "none.jsonl"], "none.jsonl"),
        (["--arms", "bm52"], "did you mean bm25"),
        (["--tokens", "many"], "--tokens: many"),
        (["--fact-tokens", "many"], "--fact-tokens: many"),
        (["--arms", "mplus:x"], "mplus:x is not understood"),
    ],
)
def test_mistakes_are_one_line(
    run: Run, tmp_path: Path, arguments: list[str], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        run("retention", "--quick", "--out", tmp_path / "out", *arguments)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_help_needs_no_torch() -> None:
    program = (
        "import sys; from mplus_cli.commands.eval import app\n"
        "try: app(['retention', '--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('torch', 'numpy', 'matplotlib', 'bm25s') if m in sys.modules])"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    assert "--tokens" in done.stdout
    assert done.stdout.strip().endswith("[]")


@pytest.mark.parametrize("name", list(ARMS))
def test_every_arm_is_explained(name: str) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "evaluation" / "README.md").read_text()
    assert f"`{name}`" in page
    said = re.split(r"[\s,():.]+", str(retention.__doc__))
    assert name in said


def test_the_base_is_found_by_the_checkpoints_card(
    run: Run, tiny_checkpoint_folder: Path, tmp_path: Path
) -> None:
    import shutil

    lone = tmp_path / "far" / "away"
    shutil.copytree(tiny_checkpoint_folder, lone)
    base = tiny_checkpoint_folder.parent / "tiny-base"
    shutil.copytree(base, tmp_path / "tiny-base")
    card = json.loads((lone / "mplus.json").read_text())
    (lone / "mplus.json").write_text(json.dumps(card | {"base": "../../tiny-base"}))
    run("retention", "--tokens", "0", "--facts", 1, "--questions", 0, "--unread", 0,
        "--arms", "closed-book", "--out", tmp_path / "out", model=lone)  # fmt: skip
    assert (tmp_path / "out" / "answers.jsonl").exists()


def test_what_needs_a_base_says_so(bench: Bench) -> None:
    from dataclasses import replace

    from mplus_cli.evaluation.arms import parse_arms

    choice = replace(bench.session.choice, reference="/no/such/folder", base=None)
    lone = Bench(replace(bench.session, choice=choice))
    lone.check(parse_arms("mplus,stm-only"))
    with pytest.raises(UsageError, match="--base FOLDER"):
        lone.check(parse_arms("mplus,gold"))
