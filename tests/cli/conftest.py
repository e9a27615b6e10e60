"""Running `mplus` in tests: in this process where that will do, in one of its own where not."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mplus_cli import app

ROOT = Path(__file__).resolve().parents[2]
STORY = (
    "The keeper of the lighthouse was called Orla Finch. She kept a goat named Admiral.\n\n"
    "Every night she wrote the weather in a green book and lit the lamp with a brass key.\n\n"
    "In March the storm took the boat, and a sailor named Pim swam to the rocks.\n\n"
)


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The one line that a failure is; anything else fails the test."""
        lines = self.err.splitlines()
        assert lines, "no message"
        assert lines[-1].startswith("mplus: error: "), self.err
        assert sum(line.startswith("mplus: error: ") for line in lines) == 1, self.err
        assert "Traceback" not in self.err
        return lines[-1].removeprefix("mplus: error: ")


Run = Callable[..., Result]


@pytest.fixture(scope="session")
def result() -> type[Result]:
    """What a command left behind, for tests that run it by other means."""
    return Result


@pytest.fixture(autouse=True)
def user_folders(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No config file but the test's own; the folder that config files are looked for in."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(own_home / "config"))
    monkeypatch.setenv("HOME", str(own_home))
    for name in ("MPLUS_CONFIG", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    return own_home


@pytest.fixture
def tiny(tiny_checkpoint_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny checkpoint as the model in use."""
    monkeypatch.setenv("MPLUS_MODEL", str(tiny_checkpoint_folder))
    return tiny_checkpoint_folder


@pytest.fixture
def tiny_but(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Makes the tiny checkpoint with some settings changed the model in use."""

    def change(*, prompt: Mapping[str, Any] | None = None, **settings: Any) -> Path:
        folder = tmp_path / "changed"
        shutil.copytree(tiny, folder)
        card = json.loads((folder / "mplus.json").read_text())
        card["config"] |= settings
        card["prompt"] |= prompt or {}
        card["base"] = str(tiny.parent / "tiny-base")
        (folder / "mplus.json").write_text(json.dumps(card))
        monkeypatch.setenv("MPLUS_MODEL", str(folder))
        return folder

    return change


@pytest.fixture
def mplus(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line in this process."""

    def run(*arguments: str | Path, stdin: str | bytes = b"") -> Result:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
        capsys.readouterr()
        code = app.run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run


def command(*arguments: str | Path) -> list[str]:
    """The command line of a process of its own."""
    return [sys.executable, "-m", "mplus_cli", *map(str, arguments)]


def environment(**changes: str) -> dict[str, str]:
    """The environment of such a process, with `mplus` importable from anywhere."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", **changes}


@pytest.fixture
def process() -> Run:
    """Run a command line in a process of its own."""

    def run(*arguments: str | Path, stdin: str = "", **changes: str) -> Result:
        done = subprocess.run(
            command(*arguments),
            input=stdin,
            env=environment(**changes),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a command line in a process of its own, its streams piped; they are closed at the end."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str | Path, **changes: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command(*arguments),
            env=environment(**changes),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        with process:
            process.kill()


HELD = """
import importlib, os, sys, time
where, calls, told = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
del sys.argv[1:4]
module, _, name = where.partition(":")
left = [calls]
def hold():
    left[0] -= 1
    if left[0] == 0:
        os.write(told, b"x")
        time.sleep(3600)
class Importing:
    def find_spec(self, wanted, path=None, target=None):
        if wanted == module:
            hold()
def held(*arguments, **named):
    hold()
    return real(*arguments, **named)
if name:
    real = getattr(importlib.import_module(module), name)
    setattr(sys.modules[module], name, held)
else:
    sys.meta_path.insert(0, Importing())
from mplus_cli.__main__ import main
sys.exit(main())
"""


@pytest.fixture
def hold() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a command line that stands still before the n-th call of a function (`module:name`), or when
    a module is imported, and wait until it does: a signal comes at that moment on a busy machine too."""
    started: list[subprocess.Popen[str]] = []

    def run(where: str, call: int, *arguments: str | Path) -> subprocess.Popen[str]:
        ready, told = os.pipe()
        _, *rest = command(*arguments)
        process = subprocess.Popen(
            [sys.executable, "-c", HELD, where, str(call), str(told), *rest[2:]],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=[told],
        )
        started.append(process)
        os.close(told)
        held = os.read(ready, 1)
        os.close(ready)
        assert held, process.communicate()
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def spawn() -> Iterator[Callable[..., Any]]:
    """Start a command line on a terminal of 100 columns and 30 lines, which is closed at the end."""
    import pexpect

    started: list[Any] = []

    def run(*arguments: str | Path, **changes: str) -> Any:
        program, *rest = command(*arguments)
        child = pexpect.spawn(
            program,
            rest,
            env=environment(**{"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", **changes}),
            encoding="utf-8",
            codec_errors="replace",
            timeout=120,
            dimensions=(30, 100),
        )
        started.append(child)
        return child

    yield run
    for child in started:
        child.close(force=True)


@pytest.fixture
def story(tmp_path: Path) -> Path:
    """A short text."""
    path = tmp_path / "story.txt"
    path.write_text(STORY, encoding="utf-8")
    return path


@pytest.fixture
def long_story(tmp_path: Path) -> Path:
    """A text that takes the tiny model a while: thousands of chunks."""
    path = tmp_path / "long.txt"
    path.write_text("".join(f"Day {day}. {STORY}" for day in range(120)), encoding="utf-8")
    return path


@pytest.fixture
def book(mplus: Run, tiny: Path, story: Path) -> str:
    """The name of a memory that has read the short text."""
    assert mplus("ingest", story, "-m", "book", "-q").code == 0
    return "book"


@pytest.fixture
def make_pdf(tmp_path: Path) -> Callable[..., Path]:
    """Write a PDF with these pages of text; an empty text is a page with a picture only."""

    def make(name: str, *pages: str, password: str | None = None) -> Path:
        from reportlab.pdfgen.canvas import Canvas

        path = tmp_path / name
        canvas = Canvas(str(path), encrypt=password, invariant=True)
        for text in pages:
            canvas.rect(50, 50, 60, 60, fill=1)
            for line, words in enumerate(text.split(". ")):
                canvas.drawString(72, 720 - 16 * line, words)
            canvas.showPage()
        canvas.save()
        return path

    return make
