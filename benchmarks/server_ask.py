"""`mplus ask --server auto` beside a server that runs, against a bare Python and against no server.

Wall and CPU seconds of the client, in turns; what the server takes for an answer is in the answer itself.
Reads the example story into a library of its own, unless `--home` names one that has it as `story`.
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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.common import TEXT, Figure, report, settings
from mplus_cli.server.address import find_address

QUESTIONS = (
    "Who is the sexton?",
    "Who keeps the lighthouse?",
    "What did the diver find in the cabin?",
)
_MPLUS = [sys.executable, "-m", "mplus_cli", "--offline", "--home"]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--home", type=Path, help="a library that has the story as `story`")
    options.add_argument("--rounds", type=int, default=5, help="of each question")
    given = options.parse_args()
    with _library(given.home) as home, _server(home):
        line = [*_MPLUS, str(home), "ask", "-m", "story", "--json", "-q", "--server"]
        runs: dict[str, list[tuple[float, float, float]]] = {"bare": [], "auto": [], "off": []}
        for number in range(given.rounds + 1):
            for question in QUESTIONS:
                for name in runs:
                    if name == "off" and number > 1:
                        continue  # loads the model each time
                    bare = [sys.executable, "-c", "pass"]
                    measured = _run(bare if name == "bare" else [*line, name, question])
                    if number:  # the first round warms up
                        runs[name].append(measured)
    middle = {
        name: [statistics.median(part) for part in zip(*of, strict=True)]
        for name, of in runs.items()
    }
    auto, off = middle["auto"], middle["off"]
    ratio = statistics.median(
        one[0] / other[0] for one, other in zip(runs["auto"], runs["off"], strict=False)
    )
    figure = Figure(
        "ask --server auto", auto[0], "s", "ask --server off", off[0], ratio, "0.5 s or less"
    )
    report(
        figure,
        cpu_seconds=round(auto[1], 3),
        bare_python_cpu_seconds=round(middle["bare"][1], 3),
        seconds_in_server=auto[2],
        seconds_beside_server=round(statistics.median(a - s for a, _, s in runs["auto"]), 3),
        load=os.getloadavg()[0],
    )


def _run(command: list[str]) -> tuple[float, float, float]:
    """Wall and CPU seconds of a process, and those of the answer that it prints (else 0)."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, json.loads(done.stdout)["usage"]["seconds"] if done.stdout else 0.0


@contextmanager
def _library(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory() as folder:
        home, own = Path(folder), settings(argparse.Namespace(model=None, device=None, dtype=None))
        if (own.home / "base").exists():  # the base model of the user's own home
            (home / "base").symlink_to(own.home / "base")
        _run([*_MPLUS, folder, "ingest", str(TEXT), "-m", "story", "-q"])
        yield home


@contextmanager
def _server(home: Path) -> Iterator[None]:
    server = subprocess.Popen(
        [*_MPLUS, str(home), "serve", "--port", "0"],
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
