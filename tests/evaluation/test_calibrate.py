"""The fit of `asking.json`, on fixed answers."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import calibrate
from benchmarks.calibrate import Best, figures, fit, threshold
from benchmarks.novels.run import _words
from mplus_cli.asking.confidence import FEATURES, Calibration

NOVELS = Path(calibrate.__file__).parent / "novels"
NEAR = FEATURES.index("near")


def row(*near: float, right: int | None) -> dict[str, Any]:
    """A question whose candidates differ in one feature."""
    zeros = [0.0] * len(FEATURES)
    candidates = [
        {
            "text": f"answer {number}" if number else "first",
            "nats": -1.0,
            "features": [*zeros[:NEAR], value, *zeros[NEAR + 1 :]],
            "right": number == right,
            "alike": number == right,
        }
        for number, value in enumerate(near)
    ]
    return {
        "question": "?",
        "answers": None if right is None else ["gold"],
        "candidates": candidates,
    }


def drawn(count: int, seed: int) -> list[dict[str, Any]]:
    """Questions whose right answer comes from the model that is fitted: odds of e^(4 near - 2)."""
    numbers, rows = random.Random(seed), []
    for _ in range(count):
        near = [numbers.random() for _ in range(4)]
        odds = [2.718281828 ** (4 * value - 2) for value in near]
        right = numbers.choices([0, 1, 2, 3, None], [*odds, 1.0])[0]
        rows.append(row(*near, right=right))
    return rows


def test_the_fit_finds_what_the_answers_were_drawn_from() -> None:
    weights, bias = fit(drawn(2000, seed=1))
    assert weights[NEAR] == pytest.approx(4.0, abs=0.5)
    assert bias == pytest.approx(-2.0, abs=0.5)
    rest = [weight for number, weight in enumerate(weights) if number != NEAR]
    assert rest == pytest.approx([0.0] * len(rest), abs=1e-6)


def test_questions_without_candidates_do_not_count() -> None:
    rows = drawn(50, seed=2)
    assert fit([*rows, row(right=None)]) == fit(rows)


def test_the_threshold_is_the_lowest_that_keeps_the_rule() -> None:
    told = [Best(0.9, True, True), Best(0.4, True, True), Best(0.22, False, True)]
    missing = [Best(0.1, False, False), Best(0.12, False, False), Best(0.8, False, False)]
    assert (
        threshold([told, missing]) == 0.25
    )  # two of four are right from 0.15 on, two of three from 0.25
    assert threshold([[*told, told[0]], missing]) == 0.15  # 0.6 of five right, 0.67 declined
    assert threshold([told, missing, [Best(0.33, False, False)]]) == 0.35  # in each file
    assert threshold([told, [Best(0.8, False, False)]]) is None


def test_figures_of_answers() -> None:
    best = [Best(1.0, True, True), Best(0.3, False, True), Best(0.3, False, False)]
    found = figures(best)
    assert (found["told"], found["untold"], found["error"]) == (2, 1, 0.2)
    assert found["log_loss"] == pytest.approx(0.238, abs=1e-3)
    at = {entry["from"]: entry for entry in found["table"]}
    assert at[0.3]["given"] == 3 and at[0.35]["given"] == 1
    assert at[0.35]["untold_refused"] == 1 and at[0.35]["told_refused"] == 1


@pytest.mark.parametrize("count", [1, 2])
def test_a_file_comes_out_that_loads(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    count: int,
) -> None:
    paths = [tmp_path / f"{number}.jsonl" for number in range(count)]
    for seed, path in enumerate(paths):
        path.write_text("".join(json.dumps(one) + "\n" for one in drawn(60, seed)))
    monkeypatch.setattr(
        sys, "argv", ["calibrate", "fit", *map(str, paths), "--held-out", str(paths[0])]
    )
    calibrate.main()
    written, said = capsys.readouterr()
    found = Calibration.from_dict(json.loads(written))
    assert found.compete and 0 < found.refuse <= found.doubt == 0.5
    assert [line.partition(":")[0] for line in said.splitlines()][-3:] == [
        "left out",
        "fitted on",
        "0",
    ]


@pytest.mark.parametrize("path", sorted(NOVELS.glob("*.json")), ids=lambda path: path.stem)
def test_questions_of_a_novel_can_be_asked(path: Path) -> None:
    lines = calibrate._lines(path)
    near_misses = sum(line["answers"] is None for line in lines)
    assert len(lines) >= 50 and near_misses >= 10
    for line in lines:
        held = _words(line.get("evidence", ""))
        assert line["answers"] is None or any(_words(one) in held for one in line["answers"])
