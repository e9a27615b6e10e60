"""`mplus train --curves`: a picture of what a run logged."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from models.training.curves import append_row
from mplus_cli.app import run
from mplus_cli.training.curves import running_means


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for step in range(1, 301):
        falling = math.exp(-step / 100)
        append_row(
            tmp_path / "log.csv",
            {
                "step": step,
                "answer": 1 + 2 * falling + 0.3 * math.sin(step),
                "continuation": 0.2 + 3 * falling,
                "retriever": 0.0,
                "recall_at_1": 1 - falling,
                "gradient": 1.0,
                "seconds": 2.0,
            },
        )
        if step % 50 == 0:
            row = {"step": step, "alone": 0.5 - falling / 2, "among": 0.4 - falling / 3}
            append_row(tmp_path / "validation.csv", row)
    return tmp_path


@pytest.mark.parametrize("validated", [True, False])
def test_the_same_run_gives_the_same_picture(
    folder: Path, validated: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    if not validated:
        (folder / "validation.csv").unlink()
    pictures = []
    for _ in range(2):
        assert run(["train", "--curves", str(folder)]) == 0
        assert capsys.readouterr().out.split() == [str(folder / "curves.png")]
        pictures.append((folder / "curves.png").read_bytes())
    assert pictures[0].startswith(b"\x89PNG")
    assert pictures[0] == pictures[1]


def test_no_run_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "--curves", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "no run" in said and said.count("\n") == 1


def test_a_damaged_curve_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (folder / "log.csv").open("a") as file:
        file.write("301,x\n")
    assert run(["train", "--curves", str(folder)]) == 2
    assert "log.csv:302" in capsys.readouterr().err


def test_without_matplotlib_it_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    assert run(["train", "--curves", str(folder)]) == 1
    assert "mplus[eval]" in capsys.readouterr().err


def test_running_means() -> None:
    assert running_means([1, 3, 5, 7], 2) == [1, 2, 4, 6]
    assert running_means([], 2) == []
