"""Threads spin for a moment where each has a core to itself, and sleep at once beside other programs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mplus_cli.runtime import waiting

_PROCESS = """
import atexit, os, sys
sys.argv = ["mplus", "--version"]
atexit.register(lambda: print(os.environ.get("OMP_WAIT_POLICY"), "torch" in sys.modules))
from mplus_cli import process
process.run()
"""


def _chosen(state: Path, environment: dict[str, str] | None = None) -> dict[str, str]:
    environment = {} if environment is None else environment
    waiting.choose_waiting(environment, str(state))
    assert environment.pop("OPENBLAS_NUM_THREADS") == "1"
    return environment


@pytest.fixture
def cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of eight cores, of which four are ours."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)


@pytest.mark.usefixtures("cores")
@pytest.mark.parametrize(("running", "spins"), [(1, True), (5, True), (6, False), (40, False)])
def test_threads_spin_where_each_has_a_core(tmp_path: Path, running: int, spins: bool) -> None:
    state = tmp_path / "loadavg"
    state.write_text(f"0.52 0.58 0.59 {running}/713 12345\n")

    expected = {"OMP_WAIT_POLICY": "PASSIVE"}
    if spins:
        expected["GOMP_SPINCOUNT"] = str(waiting.SPINS)
    assert _chosen(state) == expected


@pytest.mark.usefixtures("cores")
@pytest.mark.parametrize("text", [None, "", "0.5 0.5\n", "a b c d e\n"])
def test_where_the_load_is_not_known_they_sleep(tmp_path: Path, text: str | None) -> None:
    state = tmp_path / "loadavg"
    if text is not None:
        state.write_text(text)

    assert _chosen(state) == {"OMP_WAIT_POLICY": "PASSIVE"}


@pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"])
def test_what_the_environment_says_counts(tmp_path: Path, name: str) -> None:
    assert _chosen(tmp_path / "none", {name: "7"}) == {name: "7"}


def test_it_is_chosen_before_torch_is_loaded() -> None:
    environment = {name: os.environ[name] for name in os.environ if "OMP_" not in name}
    said = subprocess.run(
        [sys.executable, "-c", _PROCESS],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.splitlines()[-1] == "PASSIVE False"
