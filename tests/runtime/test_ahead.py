"""The library of torch is loaded ahead of torch, once, and torch is imported over it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mplus_cli.runtime import ahead

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys, threading
from mplus_cli.runtime.ahead import LIBRARY, load_torch_ahead

def is_loaded():
    return LIBRARY in open("/proc/self/maps").read()

assert not is_loaded()
load_torch_ahead()
load_torch_ahead()
(thread,) = [one for one in threading.enumerate() if one.name == "mplus-torch"]
thread.join()
assert is_loaded() and "torch" not in sys.modules

import torch
assert torch.ones(2).sum() == 2
load_torch_ahead()
assert threading.active_count() == 1
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it is not loaded ahead elsewhere")
def test_the_library_is_loaded_ahead_once() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr


def test_a_failure_of_the_thread_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing depends on it, and importing torch says what is wrong."""
    import ctypes

    tried = []

    def fail(_: object) -> None:
        tried.append(1)
        raise OSError("no such symbol")

    monkeypatch.setattr(ctypes, "CDLL", fail)
    ahead._dlopen(b"/nowhere/lib.so", os.RTLD_NOW)
    assert tried
