"""A run's curves and settings on disk: what a resume leaves of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.training.curves import append_row, forget_after, read_curves


@pytest.fixture
def curve(tmp_path: Path) -> Path:
    path = tmp_path / "log.csv"
    for step in range(1, 6):
        append_row(path, {"step": step, "answer": 1 / 3})
    return path


def test_rows_come_back_as_columns(curve: Path) -> None:
    assert read_curves(curve) == {"step": [1, 2, 3, 4, 5], "answer": [0.33333] * 5}
    assert read_curves(curve.with_name("none.csv")) == {}


def test_later_rows_are_forgotten(curve: Path) -> None:
    forget_after(curve, 3)
    append_row(curve, {"step": 4, "answer": 2.0})
    assert read_curves(curve) == {"step": [1, 2, 3, 4], "answer": [0.33333] * 3 + [2.0]}
    assert [path.name for path in curve.parent.iterdir()] == ["log.csv"]


def test_nothing_is_written_where_nothing_is_later(curve: Path) -> None:
    before = curve.stat().st_mtime_ns, curve.stat().st_ino
    forget_after(curve, 5)
    assert (curve.stat().st_mtime_ns, curve.stat().st_ino) == before
    forget_after(curve.with_name("none.csv"), 5)


def test_a_row_that_a_crash_cut_off_goes(curve: Path) -> None:
    with curve.open("a") as file:
        file.write("\n6")
    forget_after(curve, 9)
    assert read_curves(curve)["step"] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("row", ["6", "6,x", "6,1,2"])
def test_a_broken_curve_says_where(curve: Path, row: str) -> None:
    with curve.open("a") as file:
        file.write(row + "\n")
    with pytest.raises(ValueError, match=r"log\.csv:7"):
        read_curves(curve)


def test_an_empty_file_has_no_curves(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("")
    forget_after(path, 3)
    assert read_curves(path) == {}
