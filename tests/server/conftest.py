"""Live servers on the tiny model: one process for all tests but those of its options and its end."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (
    "Chapter I. The Vault\n\nThe sexton was called Ratsey. He kept a locket with a silver chain.\n\n"
    "Chapter II. The Rocks\n\nIn March the storm took the boat, and a sailor named Pim swam to the rocks.\n\n"
)


@dataclass
class Live:
    """A server that runs."""

    process: subprocess.Popen[str]
    home: Path
    model: Path
    address: str
    said: list[str]

    @property
    def port(self) -> int:
        return int(re.search(r":(\d+)/", self.address)[1])  # type: ignore[index]

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.address + path.lstrip("/"), timeout=120) as response:
            return json.loads(response.read())

    def post(self, path: str, value: Any) -> Any:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        request = urllib.request.Request(
            self.address + path.lstrip("/"), data, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=120) as response:
            return json.loads(response.read())

    def until(self, true: Callable[[], bool]) -> None:
        """Wait until something is so; fails after two minutes."""
        for _ in range(2400):
            if true():
                return
            time.sleep(0.05)
        raise AssertionError(f"it never came: {self.said}")


def environment() -> dict[str, str]:
    """Of a process that imports these sources."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}


def command(home: Path, model: Path, *arguments: str) -> list[str]:
    """A command line of mplus with the tiny model."""
    first = ["--home", str(home), "--model", str(model), "--device", "cpu"]
    return [sys.executable, "-m", "mplus_cli", *first, *arguments]


def start(home: Path, model: Path, *options: str) -> Live:
    """Start a server and wait until it answers."""
    process = subprocess.Popen(
        command(home, model, "serve", *options),
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    said: list[str] = []
    stderr = process.stderr
    assert stderr is not None

    def listen() -> None:
        with stderr:
            said.extend(stderr)

    for line in stderr:
        said.append(line)
        if found := re.search(r"mplus serves at (\S+)", line):
            threading.Thread(target=listen, daemon=True).start()
            return Live(process, home, model, found[1], said)
    raise AssertionError(f"it did not start: {said}")


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint_folder: Path) -> Iterator[Live]:
    """A server on a free port of this machine, with a memory "book" that has read a short text."""
    server = start(tmp_path_factory.mktemp("home"), tiny_checkpoint_folder, "--port", "0")
    try:
        path = "/api/memories/book/documents?filename=moonfleet.txt"
        assert server.post(path, (TEXT * 4).encode())["documents"][0]["status"] == "read"
        yield server
    finally:
        server.process.terminate()
        server.process.wait(120)


@pytest.fixture(scope="session")
def process_of() -> Any:
    """How a process of mplus is started: `command` and `environment`."""
    from types import SimpleNamespace

    return SimpleNamespace(command=command, environment=environment, start=start)
