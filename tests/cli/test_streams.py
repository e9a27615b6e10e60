"""Standard streams that are closed, full or left by their reader: real shells, real processes."""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mplus_cli.terminal.streams import OutputLost, ReaderLeft, standard_streams

ROOT = Path(__file__).resolve().parents[2]
Shell = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def shell() -> Shell:
    """Run a line of bash in which $M is mplus; the exit code is that of the line's first command."""

    def run(line: str, **changes: str) -> subprocess.CompletedProcess[str]:
        program = f"{shlex.quote(sys.executable)} -m mplus_cli"
        return subprocess.run(
            ["bash", "-c", f"{line}; exit ${{PIPESTATUS[0]}}".replace("$M", program)],
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", **changes},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


@pytest.mark.parametrize("line", ["--help", "memory list --json"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_leaves_is_no_failure(shell: Shell, line: str, unbuffered: str) -> None:
    done = shell(f"($M {line}; echo $? >&2) | true", PYTHONUNBUFFERED=unbuffered)
    assert done.stderr.splitlines()[-1] == "0"


def test_output_that_cannot_be_written_is_reported(shell: Shell) -> None:
    for line in ("--version", "--help", "memory list --json"):
        done = shell(f"$M {line} > /dev/full", PYTHONUNBUFFERED="")
        assert done.returncode == 1
        assert (
            done.stderr
            == "mplus: error: the output could not be written: No space left on device\n"
        )
    for line in ("--help", "memory list --json"):
        done = shell(f"$M {line} >&-")
        assert done.returncode == 1
        assert done.stderr == "mplus: error: the output could not be written: stdout is closed\n"


def test_asking_with_closed_streams(shell: Shell, book: str) -> None:
    ask = f"$M ask who -m {book} --max-new-tokens 4"
    done = shell(f"{ask} >&-")
    assert done.returncode == 1
    assert "the output could not be written: stdout is closed" in done.stderr
    done = shell(f"{ask} 2>&-")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()
    done = shell("$M ask - <&-")
    assert done.returncode == 2
    assert "the question is empty" in done.stderr
    done = shell(f"$M chat -m {book} <&-")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_all_ways_of_writing_are_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    class Left(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

        def writelines(self, lines: object) -> None:
            raise BrokenPipeError

    for name, error in (("stdout", OutputLost), ("stderr", ReaderLeft)):
        monkeypatch.setattr(sys, name, Left())
        for method, given in (("write", "a"), ("writelines", ["a"])):
            with standard_streams(), pytest.raises(error):
                getattr(getattr(sys, name), method)(given)


def test_nobody_reads_the_messages(book: str, tmp_path: Path) -> None:
    """A command whose stderr is a pipe that its reader left ends as after Ctrl-C; a failure is still one."""
    (tmp_path / "a.txt").write_text("The goat ate the rope.")
    read, write = os.pipe()
    os.close(read)
    for line, code in (
        (["ingest", tmp_path / "a.txt", "-m", book], 130),
        (["memory", "show", "nobody", "--json"], 1),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "mplus_cli", *line],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=write,
            text=True,
            check=False,
        )
        assert done.returncode == code
        assert '"exit_code": 1' in done.stdout if code == 1 else not done.stdout
    os.close(write)
