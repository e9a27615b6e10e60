"""`mplus ingest --dry-run` and `--text`: what would be read is shown, and nothing is read or written."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mplus_cli.wording import duration

FIELDS = {
    *("path", "title", "author", "date", "format", "pages", "chapters", "characters", "tokens"),
    *("seconds", "status", "error", "warnings"),
}


def nothing_written() -> bool:
    return not Path(os.environ["MPLUS_HOME"]).exists()


@pytest.fixture
def no_weights(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny checkpoint and its base, without their weights."""
    for folder in (tiny, tiny.parent / "tiny-base"):
        shutil.copytree(folder, tmp_path / "bare" / folder.name)
    for file in (tmp_path / "bare").rglob("*.safetensors"):
        file.unlink()
    folder = tmp_path / "bare" / tiny.name
    monkeypatch.setenv("MPLUS_MODEL", str(folder))
    return folder


def test_dry_run(
    mplus: Any, no_weights: Path, tiny: Path, story: Path, tmp_path: Path, make_pdf: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Tokens are those that ingesting counts; no weights are needed, and nothing is written."""
    (tmp_path / "docs").mkdir()
    chapters = tmp_path / "docs" / "two.md"
    chapters.write_text("---\ntitle: Two\nauthor: Ada Quill\n---\n\n# One\n\nA.\n\n# Two\n\nB.\n")
    pdf = make_pdf("docs/three.pdf", "First page of it", "Second page", "Third page")
    result = mplus("ingest", "--dry-run", story, tmp_path / "docs", "--json")
    assert (result.code, result.err) == (0, "")
    assert set(result.json) == {"documents", "tokens", "seconds"}
    one, three, two = result.json["documents"]
    assert set(one) == FIELDS
    assert (one["path"], one["title"], one["format"]) == (str(story), "Story", "text")
    assert (three["path"], three["format"], three["pages"]) == (str(pdf), "pdf", 3)
    assert (two["title"], two["author"], two["chapters"]) == ("Two", "Ada Quill", 2)
    assert result.json["tokens"] == sum(each["tokens"] for each in (one, two, three))
    assert one["seconds"] >= 0 and one["status"] == "would-read" and one["error"] is None
    table = mplus("ingest", "--dry-run", story, tmp_path / "docs")
    assert [line.split()[0] for line in table.out.splitlines()] == [
        *("title", "Story", "Three", "Two", "3"),
    ]
    assert table.out.splitlines()[-1].split()[:2] == ["3", "documents"]
    assert nothing_written()
    monkeypatch.setenv("MPLUS_MODEL", str(tiny))
    assert mplus("ingest", story, "--json").json["tokens"] == one["tokens"]


def test_without_the_model_tokens_are_not_counted(mplus: Any, story: Path) -> None:
    result = mplus("ingest", "--dry-run", story, "--json")
    assert (result.code, result.json["tokens"], result.json["seconds"]) == (0, None, None)
    assert "tokens are not counted: the base model" in result.err
    assert nothing_written()


@pytest.mark.parametrize("flag", ["--dry-run", "--text"])
def test_documents_that_cannot_be_read(
    flag: str, mplus: Any, no_weights: Path, story: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.4 nothing\0")
    result = mplus("ingest", flag, story, broken)
    assert result.code == 4
    assert "warning: not read: " in result.err and "broken.pdf" in result.err
    assert "Story" in result.out or "Orla" in result.out
    alone = mplus("ingest", flag, broken)
    assert alone.code == 1 and "broken.pdf is not a readable PDF" in alone.error
    assert alone.out == ""
    none = mplus("ingest", flag, broken, tmp_path / "missing.txt")
    assert none.code == 1 and none.error == "none of the 2 documents could be read"
    assert nothing_written()
    if flag == "--dry-run":
        entries = mplus("ingest", flag, story, broken, "--json").json["documents"]
        assert [entry["status"] for entry in entries] == ["would-read", "failed"]
        assert "not a readable PDF" in entries[1]["error"]


def test_text(mplus: Any, story: Path, tmp_path: Path) -> None:
    """One document is its text and nothing else; several have their names between them."""
    page = tmp_path / "page.html"
    page.write_text("<title>Quay</title><body><h1>The quay</h1><p>Rain \u2013 and wind.</body>")
    text = story.read_text().strip()
    result = mplus("ingest", "--text", story)
    assert (result.code, result.out, result.err) == (0, f"{text}\n", "")
    result = mplus("ingest", "--text", story, page)
    quay = "The quay\n\nRain \u2013 and wind."
    assert result.out == f"==> {story} <==\n{text}\n\n==> {page} <==\n{quay}\n"
    assert mplus("ingest", "--text", "-", stdin="A goat.").out == "A goat.\n"
    assert nothing_written()


def test_text_into_a_pipe(process: Any, start: Callable[..., Any], tmp_path: Path) -> None:
    """A reader that leaves is not a failure, and all of a long text arrives."""
    long = tmp_path / "long.txt"
    lines = [f"Line {number} of a long text." for number in range(20_000)]
    long.write_text("\n\n".join(lines))
    assert process("ingest", "--text", long).out.count("Line ") == 20_000
    running: subprocess.Popen[str] = start("ingest", "--text", long)
    assert running.stdout is not None and running.stderr is not None
    assert running.stdout.readline() == "Line 0 of a long text.\n"
    running.stdout.close()
    assert (running.wait(timeout=60), running.stderr.read()) == (0, "")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--dry-run", "--text"], "give one of them"),
        (["--text", "--json"], "give one of them"),
        (["--text", "--workers", "2"], "leave out --workers"),
        (["--dry-run", "--pages", "x"], "page range"),
    ],
)
def test_usage(flags: list[str], said: str, mplus: Any, story: Path) -> None:
    result = mplus("ingest", story, *flags)
    assert result.code == 2 and said in result.error


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, ""),
        (0.2, "1 s"),
        (59, "59 s"),
        (61, "1 min"),
        (3599, "1 h 0 min"),
        (7900, "2 h 12 min"),
    ],
)
def test_durations(seconds: float | None, expected: str) -> None:
    assert duration(seconds) == expected
