"""The command line itself: help, versions, typing errors, global options, and what stays unloaded."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from models.durable import TEMPORARY
from mplus_cli import __version__, failures
from mplus_cli.command_line import hoist, typed_files
from mplus_cli.errors import MismatchError, UsageError, explained
from mplus_cli.library import Library, ModelIdentity


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("aks x", "did you mean 'ask'"),
        ("memory lis", "did you mean 'list'"),
        ("ask --jsno x", "did you mean --json"),
        ("ask --modle x y", "did you mean --model"),
        ("ask --zzz x", "no such option: --zzz"),
        ("ask", "missing argument"),
        ("ingest", "missing argument"),
        ("ask x --seed y", "'--seed'"),
        (
            "ask x y",
            "(y): put QUESTION in quotation marks and name the memory with -m (see",
        ),
        ("find x y -n 3", "put WORDS in quotation marks"),
        ("memory note x y z", "put TEXT in quotation marks (see"),
        ("memory show x y", "unexpected extra argument(s) (y) (see"),
        ("serve --port 99999", "65535"),
        ("--device gpu memory list", "--device is 'gpu'"),
        ("memory list --dtype int4", "--dtype is 'int4'"),
        ("ask x --home", "--home needs a value"),
        ("memory map --html", "see mplus memory map --help"),
        ("--home memory find --document", "see mplus find --help"),
        ("memory show -m", "-m needs a value (see mplus memory show --help)"),
        ("memory show -m --help", "-m needs a value (see mplus memory show --help)"),
        ("memory show --memory=--help", "--memory needs a value"),
        ("memory show -m-x", "-m needs a value"),
        ("memory map x -m y", "unexpected extra argument"),
        ("memory list -m x", "no such option: -m"),
        ("chat x -m y", "both x and -m y name a memory"),
    ],
)
def test_a_usage_error_is_one_line(mplus: Any, line: str, said: str) -> None:
    result = mplus(*line.split())
    assert result.code == 2
    assert result.out == ""
    assert said.lower() in result.error.lower()
    assert len(result.err.splitlines()) == 1


def test_help(mplus: Any) -> None:
    for line in (["--help"], ["-h"]):
        result = mplus(*line)
        assert result.code == 0
        for command in ("ingest", "ask", "chat", "memory", "model", "doctor", "demo"):
            assert command in result.out
    for line in (["ask", "-h"], ["memory", "load", "--help"], ["model", "-h"]):
        assert mplus(*line).code == 0
    for group in ("memory", "model", "eval"):
        assert mplus(group).out == mplus(group, "--help").out != ""


def test_help_reads_as_plain_text(mplus: Any) -> None:
    """No types of Python, no boxes; it fits 80 columns but for the examples, which are not broken."""
    for line in (
        [],
        ["ingest"],
        ["ask"],
        ["config", "set"],
        ["log"],
        ["memory", "show"],
        ["train"],
    ):
        shown = mplus(*line, "--help").out
        assert "<bool>" not in shown and "[[" not in shown and "(default)" not in shown
        assert shown.isascii()
        assert all(len(row) <= 80 or row.startswith("      mplus ") for row in shown.splitlines())


@pytest.mark.parametrize(
    ("line", "code"),
    [("memory show gone", 1), ("ask x --seed y", 2), ("memory load gone.safetensors", 2)],
)
def test_with_json_a_failure_is_json_too(mplus: Any, line: str, code: int) -> None:
    result = mplus(*line.split(), "--json")
    assert result.code == code
    assert result.json == {"error": result.error, "exit_code": code}


def test_every_command_that_reports_has_json(mplus: Any) -> None:
    for line in ("list", "show", "map", "verify", "rename", "rm", "path", "save", "load"):
        assert "--json" in mplus("memory", line, "--help").out, line
    for line in ("list", "show", "pull", "path"):
        assert "--json" in mplus("model", line, "--help").out, line


def test_version(mplus: Any) -> None:
    assert mplus("--version").out == f"mplus {__version__}\n"


def test_global_options_stand_anywhere() -> None:
    line = ["ask", "why?", "--model", "m", "-m", "b", "--device=cpu", "--offline", "--", "--debug"]
    front = ["--model", "m", "--device=cpu", "--offline"]
    assert hoist(line) == (front, ["ask", "why?", "-m", "b", "--", "--debug"])


def test_global_options_after_the_command(mplus: Any, tmp_path: Path) -> None:
    for line in (("memory", "list", "--home", tmp_path), ("--home", tmp_path, "memory", "list")):
        assert mplus(*line).code == 0
    assert '"dflt"' in mplus("model", "show", "--model", "dflt").error


@pytest.mark.parametrize(
    "line", [["--help"], ["memory", "list"], ["ask", "--zzz"], ["ask", "x"], ["model", "list"]]
)
def test_no_torch_before_it_is_needed(line: list[str]) -> None:
    program = (
        "import sys; from mplus_cli.app import run; run(sys.argv[1:]); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers', 'numpy')) * 9)"
    )
    done = subprocess.run([sys.executable, "-c", program, *line], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_bug_is_one_line_and_debug_shows_it(mplus: Any, monkeypatch: Any) -> None:
    def fail(self: object) -> None:
        raise ValueError("two\nlines \x1b[31m")

    monkeypatch.setattr("mplus_cli.library.Library.summaries", fail)
    result = mplus("memory", "list")
    assert (result.code, len(result.err.splitlines())) == (1, 1)
    assert result.error.startswith("ValueError: two lines ?[31m")
    assert "Traceback" in mplus("memory", "list", "--debug").err


@pytest.mark.parametrize(
    ("error", "said", "code"),
    [
        (MemoryError(), "out of memory", 1),
        (RuntimeError("CUDA out of memory. Tried to allocate\n2 GiB"), "out of memory", 1),
        (OSError(28, "No space left on device"), "the disk is full", 1),
        (PermissionError(13, "Permission denied", "/x"), "/x: Permission denied", 1),
        (MismatchError("no fit"), "no fit", 3),
    ],
)
def test_failures_are_explained(error: BaseException, said: str, code: int) -> None:
    message, found = failures.explain(error)
    assert said in message
    assert found == code
    assert "\n" not in message


def test_a_work_file_is_named_as_what_it_becomes() -> None:
    for number in (errno.EWOULDBLOCK, errno.EACCES):
        error = OSError(number, "no", f"/home/.book{TEMPORARY}")
        told = str(explained(error))
        assert "/home/book" in told and TEMPORARY not in told


def test_a_full_disk_is_seen_behind_another_error() -> None:
    error = ValueError("cannot be loaded")
    error.__cause__ = OSError(28, "No space left on device")
    assert failures.explain(error)[0].startswith("the disk is full")


def test_interrupted_in_process(mplus: Any, monkeypatch: Any) -> None:
    def interrupt(self: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mplus_cli.library.Library.summaries", interrupt)
    assert mplus("memory", "list").code == 130


@pytest.mark.parametrize("debug", [False, True])
def test_warnings_of_libraries_are_for_debug(debug: bool) -> None:
    """In a process of its own: nothing else captures what libraries say."""
    program = (
        "import logging, sys, warnings\n"
        "from mplus_cli import app\n"
        "def command():\n"
        "    warnings.simplefilter('always')\n"
        "    warnings.warn('`past_key_values` is deprecated', FutureWarning)\n"
        "    logging.getLogger('transformers').warning('a warning of a log')\n"
        f"sys.exit(app.guarded(command, debug={debug}))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = "past_key_values" in done.stderr, "of a log" in done.stderr
    assert said == (debug, debug), done.stderr


def test_alone_it_says_what_to_do_next(mplus: Any, own_home: Path) -> None:
    """Within 60 columns, whatever there is; it imports no model."""
    first = mplus()
    assert first.code == 0 and first.err == ""
    assert "mplus ingest book.pdf" in first.out and "mplus demo" in first.out
    assert "downloads the model once: 92.9 MB" in first.out and "mplus --help" in first.out
    library = Library(own_home / "mplus")
    library.create("work", ModelIdentity("m", "f" * 64, {}))
    assert 'mplus ask "..."' in mplus().out  # the only one need not be named
    library.create("x" * 90, ModelIdentity("m", "f" * 64, {}))
    shown = mplus("--offline").out
    assert "work (0 documents)" in shown and 'mplus ask -m work "..."' in shown
    library.create("default", ModelIdentity("m", "f" * 64, {}))
    (library.folder / "work" / "memory.db").write_bytes(b"x")
    shown = mplus().out
    assert "work (damaged)" in shown and 'mplus ask "..."' in shown
    assert all(len(line) <= 60 for line in (first.out + shown).splitlines() if "xxx" not in line)


def test_what_a_command_does_is_told_whole(mplus: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No line of the list of commands is cut short, at 60 columns and at 80."""
    for columns in ("60", "80"):
        monkeypatch.setenv("COLUMNS", columns)
        shown = mplus("--help").out.split("Commands:")[1].split("\n\n")[0]
        assert "..." not in shown, shown


def test_files_as_they_are_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    Path("a book.txt").touch()
    assert typed_files("a book.txt") == ("a book.txt",)
    assert typed_files("'a book.txt' ~/b.txt") == ("a book.txt", str(tmp_path / "b.txt"))
    assert typed_files("") == ()
    for wrong in ("'a book.txt", "a" * 300):
        with pytest.raises(UsageError, match="the file names cannot be read"):
            typed_files(wrong)
