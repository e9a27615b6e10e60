"""Cold starts against a process that imports torch and reads the weights: `ask` to its first token, `chat` to
its prompt, `ingest` to its first chunk. By the clock, and in CPU time, which other programs disturb less.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import pty
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.asking import QUESTION
from benchmarks.common import Figure, environment, parser, report, session, settings, story_ids
from benchmarks.synthetic import stored

_BASE = """
import sys, torch
from pathlib import Path
for path in Path(sys.argv[1]).glob("*.safetensors"):
    path.read_bytes()
"""
_AT_PROMPT = b"\x1b[?2004h"
"""What a terminal is told when a line may be typed: that pasted text be marked."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process took."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--tokens", type=int, default=1_000_000, help="of text in memory")
    options.add_argument("--only", help="ask, chat or ingest alone")
    given = options.parse_args()
    own = settings(given)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for name in ("base", "models"):  # the models of the user's own home
            if (own.home / name).exists():
                (home / name).symlink_to(own.home / name)
        # In a process of its own: a process begins with the peak of the one that starts it.
        preparing = multiprocessing.get_context("spawn").Process(
            target=_prepare, args=(given, home)
        )
        preparing.start()
        preparing.join()
        base, page = (home / "base-path").read_text(), home / "page.txt"
        command = [sys.executable, "-m", "mplus_cli", "--home", folder, "--offline"]
        command += ["--model", own.model, "--device", own.device]
        asked = [*command, "ask", QUESTION, "-m", "big", "--max-new-tokens", "1", "--no-sources"]
        theirs = _run([sys.executable, "-c", _BASE, base], home)
        kinds: dict[str, tuple[str, Callable[[], Cost]]] = {
            "ask": ("cold ask to first token", _run(asked, home)),
            "chat": (
                "cold chat to its prompt",
                _until_prompt([*command, "chat", "-m", "big"], home),
            ),
            "ingest": (
                "cold ingest of one chunk",
                _ingested([*command, "ingest", str(page)], home),
            ),
        }
        for name, (what, mine) in kinds.items():
            if given.only in (None, name):
                _report(what, mine, theirs, given.rounds, given.tokens)


def _prepare(given: argparse.Namespace, home: Path) -> None:
    """The memory, the text of half a chunk, and where the base is."""
    opened = session(given)
    config = opened.model.config
    ids = story_ids(opened, config.stm_tokens * config.ratio)
    stored(opened, home, given.tokens, ids)
    (home / "page.txt").write_text(opened.tokenizer.decode(ids[: config.chunk_tokens // 2]))
    (home / "base-path").write_text(str(opened.choice.base or opened.choice.reference))


def _report(
    what: str, mine: Callable[[], Cost], theirs: Callable[[], Cost], rounds: int, tokens: int
) -> None:
    mine(), theirs()
    pairs = [(mine(), theirs()) for _ in range(rounds)]

    def median(take: Callable[[Cost, Cost], float]) -> float:
        return round(statistics.median(take(*pair) for pair in pairs), 3)

    figure = Figure(
        what,
        median(lambda one, _: one.seconds),
        "s",
        "importing torch and reading the weights",
        median(lambda _, other: other.seconds),
        median(lambda one, other: one.seconds / other.seconds),
        "1.3 times it or less",
    )
    report(
        figure,
        tokens=tokens,
        cpu_seconds=median(lambda one, _: one.cpu_seconds),
        baseline_cpu_seconds=median(lambda _, other: other.cpu_seconds),
        cpu_ratio=median(lambda one, other: one.cpu_seconds / other.cpu_seconds),
        peak_mb=median(lambda one, _: one.peak_mb),
    )


def _run(command: Sequence[str], home: Path) -> Callable[[], Cost]:
    def run() -> Cost:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment(home))
        return _waited(process, started)

    return run


def _ingested(command: Sequence[str], home: Path) -> Callable[[], Cost]:
    """Each time into a memory of its own."""
    numbers = iter(range(1_000_000))
    return lambda: _run([*command, "-q", "-m", f"new-{next(numbers)}"], home)()


def _until_prompt(command: Sequence[str], home: Path) -> Callable[[], Cost]:
    """Until a line may be typed, on a terminal of its own; then it is killed."""

    def run() -> Cost:
        started = time.perf_counter()
        ours, its = pty.openpty()
        given = environment(home) | {"TERM": "xterm-256color"}
        process = subprocess.Popen(
            command, stdin=its, stdout=its, stderr=its, env=given, start_new_session=True
        )
        os.close(its)
        shown = b""
        while _AT_PROMPT not in shown:
            shown += os.read(ours, 4096)
        process.kill()
        cost = _waited(process, started, killed=True)
        os.close(ours)
        return cost

    return run


def _waited(process: subprocess.Popen[bytes], started: float, *, killed: bool = False) -> Cost:
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode and not killed:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return Cost(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


if __name__ == "__main__":
    main()
