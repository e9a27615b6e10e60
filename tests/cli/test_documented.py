"""Every `mplus` command line of the README and the documentation runs, with a tiny model."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mplus_cli.history.store import History

ROOT = Path(__file__).parents[2]
NOT_HERE = ("cli.md", "tables.md")
"""Pages that are made from what others say."""
PAGES = [
    "README.md",
    *sorted(
        str(page.relative_to(ROOT))
        for page in (ROOT / "docs").rglob("*.md")
        if page.name not in NOT_HERE
    ),
]
ELSEWHERE = {"demo", "eval", "train", "serve", "mcp", "pull", "--watch"}
"""Commands that tests of their own run, since they take long or do not end."""
STDIN = {"--questions -": '{"question": "Who?"}\n', "chat": "who?\n"}


PLACEHOLDER = re.compile(r"[A-Z|-]{4,}")
MISTYPED = ('-m page "', "stroy.epub", "--sorces")
"""Parts of command lines that show what is said to a mistake."""
MAY_FAIL = ("doctor", "find")
"""Whose exit code 1 says something of the test's folder: no base model, nothing near."""


def documented() -> Iterator[tuple[str, str]]:
    """Lines of code blocks and code in text that begin with `mplus` and a command, each once."""
    seen = set[str]()
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        lines = re.findall(r"^(?:    |> )?(?:\.venv/bin/)?(mplus [a-z].*)$", text, re.MULTILINE)
        lines += re.findall(r"`(mplus [a-z][^`|]*)`", text)
        yield from ((page, line) for line in dict.fromkeys(lines) if line not in seen)
        seen.update(lines)


def test_every_documented_command_runs(
    mplus: Any,
    tiny: Path,
    make_pdf: Any,
    story: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDITOR", "true")
    monkeypatch.setenv("SHELL", "/bin/bash")
    pdf = make_pdf("book.pdf", "The captain of the ship was called Ahab. He had one leg.")
    (tmp_path / "book.epub").write_bytes(pdf.read_bytes())
    shutil.copy(ROOT / "examples" / "story" / "story.pdf", tmp_path)
    short = ROOT / "tests" / "fixtures" / "documents" / "order.epub"
    shutil.copy(short, tmp_path / "story.epub")  # the whole story takes the tiny model long
    (tmp_path / "questions.jsonl").write_text('{"question": "Who?"}\n')
    assert mplus("ingest", story, "-m", "default", "-q").code == 0
    for memory in ("NAME", "work", "emma"):
        assert mplus("memory", "fork", "default", memory, "-q").code == 0
    history = History(Path(os.environ["MPLUS_HOME"]))
    for _ in range(12):
        told = {"question": "brass key?", "answer": "yes", "sources": []}
        history.keep(None, "chat", [{**told, "memory": "default", "model": "tiny"}])
    texts = {page: (ROOT / page).read_text("utf-8") for page in PAGES}
    ran = 0
    for page, line in documented():
        line = line.partition("  #")[0].rstrip("\\ ")
        words = shlex.split(line)[1:]
        if ELSEWHERE.intersection(words) or any(word.endswith("...") for word in words):
            continue
        typed = next((text for part, text in STDIN.items() if part in line), "")
        is_asked = words[:2] == ["memory", "rm"] or "--delete" in words  # on a terminal
        result = mplus(*words, *(["--yes"] if is_asked else []), stdin=typed)
        if any(part in line for part in MISTYPED):
            assert result.code and "did you mean" in result.err, (page, line, result)
            continue
        is_well = result.code == 0 or (result.code == 1 and words[0] in MAY_FAIL)
        if any(PLACEHOLDER.fullmatch(word) for word in words) or f"`{line}`" in texts[page]:
            # A form to fill in, or a command that is only named: there is such a command at least.
            is_well = is_well or not re.search("no such (option|command)", result.err)
        assert is_well, (page, line, result)
        ran += result.code == 0
    assert ran > 50


def test_every_documented_program_is_there() -> None:
    """Modules that pages run with `python -m`, and the options that they give them: some run for hours."""
    pages = [*PAGES, "CONTRIBUTING.md", "models/weights/smollm2-135m/README.md"]
    lines = [
        line
        for page in pages
        for line in re.findall(
            r"python -m ((?:benchmarks|models|mplus_cli)[^`\n]*)", (ROOT / page).read_text("utf-8")
        )
    ]
    for line in lines:
        module = line.split()[0]
        found = ROOT / module.replace(".", "/")
        code = found / "__main__.py" if found.is_dir() else found.with_suffix(".py")
        text = code.read_text("utf-8") + (ROOT / "benchmarks" / "common.py").read_text("utf-8")
        for option in re.findall(r"--([a-z-]+)", line.partition("#")[0]):
            assert f"--{option}" in text or re.search(rf"\b{option.replace('-', '_')}:", text), line
    assert len(lines) > 25
