"""Completion: what may stand under the cursor, and that bash, zsh and fish show it and evaluate nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pexpect
import pytest
import typer

from mplus_cli.app import program
from mplus_cli.completion.shells import SHELLS, replies, script, split
from mplus_cli.completion.words import Completions, Word, complete
from mplus_cli.library import Library, ModelIdentity, NewDocument, database
from mplus_cli.library.seal import put_seals

ROOT = Path(__file__).parents[2]
HOSTILE = 'The "Keeper" $(touch pwned) `touch pwned` & more'


@pytest.fixture
def library(own_home: Path) -> Path:
    """Two memories, "book" and "books"; the first has a document with a hostile title."""
    home = own_home / "mplus"
    for name in ("book", "books"):
        folder = Library(home).create(name, ModelIdentity("m", "f" * 64, {})).folder
        document = NewDocument("/k.txt", HOSTILE, "0" * 64, "text", None, 1, 1, "0" * 64)
        with database.connect(folder, name) as connection, database.transaction(connection):
            database.put_documents(connection, {1: document}, database.now())
            put_seals(connection)
    return home


def completed(line: str, *rest: str) -> list[str]:
    root = typer.main.get_command(program())
    found = complete(root, [*line.split(), *rest], ("--offline", "--device"))
    return ["<files>"] if found.files else [word.text for word in found.words]


@pytest.mark.parametrize(
    ("line", "typed", "expected"),
    [
        ("", "me", ["memory"]),
        ("memory", "sh", ["show"]),
        ("ask -m", "bo", ["book", "books"]),
        ("--offline ask --memory", "", ["book", "books"]),
        ("ask", "--memory=boo", ["--memory=book", "--memory=books"]),
        ("memory show", "books", ["books"]),
        ("memory rename", "book", ["book", "books"]),
        ("memory rename book", "x", []),
        ("ask -m book --document", "The", [HOSTILE]),
        ("ask -m book --document", "", [HOSTILE]),
        ("ask -m book --document", "1", ["1"]),
        ("memory rm-document book", "1", ["1"]),
        ("ask -m book", "--document=1", ["--document=1"]),
        ("ask -m gone --document", "", []),
        ("memory export books --document", "The", [HOSTILE]),
        ("memory fork bo", "", []),
        ("memory merge book", "bo", ["book", "books"]),
        ("ask", "--no-st", ["--no-stream", "--no-strict"]),
        ("ask", "--off", ["--offline"]),
        ("ask --device", "c", ["cpu", "cuda"]),
        ("config get", "me", ["memory"]),
        ("config set memory", "", []),
        ("model show", "smollm2-135m-", ["smollm2-135m-identity"]),
        ("completion", "", ["bash", "zsh", "fish"]),
        ("ingest", "b", ["<files>"]),
        ("ingest a.txt", "b", ["<files>"]),
        ("memory load", "", ["<files>"]),
        ("ask", "", []),
        ("ask -- ", "", []),
        ("nothing of this", "x", []),
    ],
)
def test_what_may_stand_there(library: Path, line: str, typed: str, expected: list[str]) -> None:
    assert completed(line, typed) == expected


def test_documents_of_the_only_memory(library: Path) -> None:
    """Where none is named, those of the memory that would be asked."""
    assert completed("ask --document", "The") == []
    Library(library).remove("books")
    assert completed("ask --document", "The") == [HOSTILE]


def test_a_damaged_library_completes_nothing(library: Path, capsys: Any) -> None:
    from mplus_cli import app as program

    (library / "memories" / "book" / "memory.db").write_bytes(b"x")
    assert program.complete("zsh", ["ask", "-m", "book", "--document", ""]) == 0
    assert capsys.readouterr() == ("words\n", "")


@pytest.mark.parametrize(
    ("line", "words", "quote"),
    [
        ("mplus ask -m bo", ["mplus", "ask", "-m", "bo"], ""),
        ("mplus ask ", ["mplus", "ask", ""], ""),
        ('a "b c', ["a", "b c"], '"'),
        (r"a b\ c 'd\ ", ["a", "b c", "d\\ "], "'"),
        ('a "" b', ["a", "", "b"], ""),
    ],
)
def test_lines_of_bash(line: str, words: list[str], quote: str) -> None:
    assert split(line) == (words, quote)


def test_each_shell_gets_words_in_its_way() -> None:
    def fixed(words: Any) -> Completions:
        return Completions((Word("--title=a b$", "what"),))

    assert list(replies("bash", ["mplus x --title=a"], fixed)) == ["words", r"a\ b\$"]
    assert list(replies("bash", ['mplus x "--title=a'], fixed)) == ["words", r"--title=a b\$"]
    assert list(replies("zsh", ["x", "--title=a"], fixed)) == ["words", "--title=a b$\twhat"]
    assert list(replies("fish", ["x"], lambda words: Completions(files=True))) == ["files"]


def test_quick_without_torch(library: Path) -> None:
    program = (
        "import sys; sys.argv = ['mplus', '--', 'ask', '-m', 'book', '--document', '']\n"
        "from mplus_cli.app import complete; complete('zsh', sys.argv[2:])\n"
        "sys.exit(any(m in sys.modules for m in ('torch', 'transformers', 'numpy', 'rich')) * 9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "words"), done.stderr
    assert HOSTILE in done.stdout


def test_install_writes_once_and_keeps_what_is_there(
    mplus: Any, user_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(user_folders / "data"))
    monkeypatch.delenv("ZDOTDIR", raising=False)
    (user_folders / ".bashrc").write_text("alias x=y")
    for shell in SHELLS:
        monkeypatch.setenv("SHELL", f"/usr/bin/{shell}")
        for _ in range(2):
            assert mplus("completion", "--install").code == 0
        assert mplus("completion").out == mplus("completion", shell).out == script(shell)
    lines = (user_folders / ".bashrc").read_text().splitlines()
    assert lines[0] == "alias x=y" and len(lines) == 2 and lines[1].startswith("source '")
    assert len((user_folders / ".zshrc").read_text().splitlines()) == 1
    assert (user_folders / "config" / "fish" / "completions" / "mplus.fish").is_file()
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    assert "which shell?" in mplus("completion").error
    assert "no completion for tcsh" in mplus("completion", "tcsh").error


@pytest.mark.parametrize("shell", SHELLS)
def test_in_the_shell(shell: str, library: Path, user_folders: Path, tmp_path: Path) -> None:
    """Installed by one command; a hostile title is written, quoted, and not run."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not here")
    program = tmp_path / "bin" / "mplus"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m mplus_cli "$@"\n')
    program.chmod(0o755)
    path = f"{program.parent}:{os.environ['PATH']}"
    environment = {
        **os.environ,
        "PATH": path,
        "PYTHONPATH": str(ROOT),
        "SHELL": f"/bin/{shell}",
        "PS1": "$ ",
        "TERM": "xterm" if shell == "fish" else "dumb",
        "HOME": str(user_folders),
    }
    subprocess.run(["mplus", "completion", "--install"], env=environment, check=True)
    work = tmp_path / "work"
    work.mkdir()
    (work / "letter one.txt").write_text("x")
    child = pexpect.spawn(
        shell, ["-i"], env=environment, cwd=str(work), encoding="utf-8", timeout=120
    )
    child.setwinsize(30, 200)
    child.sendline("echo re''ady")
    child.expect("ready")
    for typed, written in (
        ("mplus memory sho\t", "show "),
        ("mplus ask -m books --document The\t", r'\\"Keeper\\"\\ \\\$\\\(touch\\ pwned\\\)'),
        ("mplus ingest le\t", r"letter\\ one.txt"),
    ):
        child.send(typed)
        child.expect(written)
        child.send("\x15")
    child.sendline("exit")
    child.expect(pexpect.EOF)
    assert not (work / "pwned").exists()
