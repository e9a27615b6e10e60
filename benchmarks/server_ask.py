"""`mplus ask --server auto` beside a server that runs, a line for each of three questions.

Against the cold ask of the same question, in turns, and a bare Python. What the server takes for an answer is
in the answer itself; the first question of all waits until the server has loaded its model. Reads the example
story into a library of its own, unless `--home` names one that has it as `story`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.common import TEXT, Figure, environment, report, settings
from mplus_cli.server.address import find_address

QUESTIONS = (
    "Who is the sexton?",
    "Who keeps the lighthouse?",
    "What did the diver find in the cabin?",
)
_MPLUS = [sys.executable, "-m", "mplus_cli", "--offline", "--home"]


class Run(NamedTuple):
    """What a process took."""

    seconds: float
    cpu_seconds: float
    in_answer: float
    """Seconds of the answer that it printed; 0: it printed none."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--home", type=Path, help="a library that has the story as `story`")
    options.add_argument("--rounds", type=int, default=5, help="of each question")
    given = options.parse_args()
    with _library(given.home) as home, _server(home):
        line = [*_MPLUS, str(home), "ask", "-m", "story", "--json", "-q", "--server"]
        bare = [sys.executable, "-c", "pass"]
        loading = _run([*line, "auto", QUESTIONS[0]], home)  # the server loads its model for it
        for number, question in enumerate(QUESTIONS):
            first = loading if not number else _run([*line, "auto", question], home)
            served, cold = ([*line, which, question] for which in ("auto", "off"))
            rounds = [
                (_run(served, home), _run(bare, home), _run(cold, home))
                for _ in range(given.rounds)
            ]
            _report(question, first, rounds)


def _report(question: str, first: Run, rounds: Sequence[tuple[Run, Run, Run]]) -> None:
    auto, bare, off = (
        Run(*(statistics.median(part) for part in zip(*runs, strict=True)))
        for runs in zip(*rounds, strict=True)
    )
    figure = Figure(
        f"ask --server auto: {question}",
        auto.seconds,
        "s",
        "ask --server off",
        off.seconds,
        statistics.median(mine.seconds / cold.seconds for mine, _, cold in rounds),
        "0.5 s or less",
    )
    report(
        figure,
        first_seconds=round(first.seconds, 3),
        worst_seconds=round(max(mine.seconds for mine, _, _ in rounds), 3),
        client_cpu_seconds=round(auto.cpu_seconds, 3),
        bare_python_cpu_seconds=round(bare.cpu_seconds, 3),
        seconds_in_server=auto.in_answer,
        load=os.getloadavg()[0],
    )


def _run(command: list[str], home: Path) -> Run:
    """Run a process to its end."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, env=environment(home))
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(wall, cpu, json.loads(done.stdout)["usage"]["seconds"] if done.stdout else 0.0)


@contextmanager
def _library(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory() as folder:
        home, own = Path(folder), settings(argparse.Namespace(model=None, device=None, dtype=None))
        if (own.home / "base").exists():  # the base model of the user's own home
            (home / "base").symlink_to(own.home / "base")
        _run([*_MPLUS, folder, "ingest", str(TEXT), "-m", "story", "-q"], home)
        yield home


@contextmanager
def _server(home: Path) -> Iterator[None]:
    server = subprocess.Popen(
        [*_MPLUS, str(home), "serve", "--port", "0"],
        env=environment(home),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while find_address(home) is None:
            if server.poll() is not None:
                raise SystemExit("the server did not start")
            time.sleep(0.1)
        yield
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
