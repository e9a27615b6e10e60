"""`mplus memory fork`, `du`, `gc` and `export`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def test_fork_then_read_on(mplus: Any, book: str, tmp_path: Path) -> None:
    other = tmp_path / "whale.txt"
    other.write_text("The whale was white. Its name was Moby. " * 3)
    made = mplus("memory", "fork", book, "copy", "--json")
    assert (made.code, made.json["forked_from"]) == (0, "book")
    assert mplus("ingest", other, "-m", "copy", "-q").code == 0
    documents = {
        name: [one["title"] for one in mplus("memory", "show", name, "--json").json["documents"]]
        for name in (book, "copy")
    }
    assert documents == {"book": ["Story"], "copy": ["Story", "Whale"]}
    assert mplus("memory", "verify", "copy").code == mplus("memory", "verify", book).code == 0
    assert "choose another name" in mplus("memory", "fork", book, "copy").error


def test_merge(mplus: Any, book: str, tmp_path: Path) -> None:
    other = tmp_path / "whale.txt"
    other.write_text("The whale was white. Its name was Moby. " * 3)
    assert mplus("ingest", other, "-m", "sea", "-q").code == 0
    merged = mplus("memory", "merge", "all", book, "sea", "--json")
    assert merged.code == 0, merged.err
    assert [one["status"] for one in merged.json["documents"]] == ["already-read", "read"]
    assert f'memory "all" begins as a copy of "{book}"\n' in merged.err
    assert re.search(
        r"reading 1 document again \(\d+ tokens, \d+ chunks, about 1 s\)\n", merged.err
    )
    again = mplus("memory", "merge", "all", "sea", book)
    assert (again.code, again.err.count("already read")) == (0, 2)
    assert "merged into itself" in mplus("memory", "merge", book, book).error
    assert mplus("memory", "verify", "all").code == 0


def test_du(mplus: Any, book: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mplus("memory", "fork", book, "copy")
    told = mplus("memory", "du", "--json").json
    one, _ = told["memories"]
    assert one["total"] == one["long_term"] + one["short_term"] + one["text"] > one["shared"] > 0
    assert one["total"] < told["total"] < 2 * one["total"]
    for columns in ("100", "60"):
        monkeypatch.setenv("COLUMNS", columns)
        shown = mplus("memory", "du")
        assert "book" in shown.out and "shared files counted once" in shown.err


def test_gc(mplus: Any, book: str) -> None:
    home = Path(os.environ["MPLUS_HOME"])
    assert "nothing was left over" in mplus("memory", "gc").err
    (home / "memories" / book / "stm-99.safetensors").write_bytes(bytes(5000))
    assert "mplus memory gc" in mplus("memory", "du").err
    fetched = home / "base" / ".pull-x" / "tmp"
    fetched.mkdir(parents=True)
    (fetched / "half.whl").write_bytes(bytes(1000))
    told = mplus("memory", "gc", "--json").json
    assert (len(told["removed"]), told["bytes"]) == (2, 6000)
    assert mplus("memory", "verify", book).code == 0


def test_export_is_what_was_read(mplus: Any, book: str, story: Path, tmp_path: Path) -> None:
    assert mplus("memory", "export", book).out == story.read_text().strip() + "\n"
    other = tmp_path / "whale.txt"
    other.write_text("The whale was white. \u202eIts name was Moby. " * 3)
    mplus("ingest", other, "-m", book, "-q")
    both = mplus("memory", "export", book).out
    assert both.startswith("# Story\n\n") and "\n\n# Whale\n\nThe whale" in both
    assert "\u202e" not in both
    alone = mplus("memory", "export", book, "--document", "Whale", "--json").json
    assert [one["title"] for one in alone["documents"]] == ["Whale"]
    assert "there is no document" in mplus("memory", "export", book, "--document", "x").error
