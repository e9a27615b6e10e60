"""Freed memory is kept for reuse where the C library can be told to."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from mplus_cli import allocator

# Three blocks of 20 MB at a time, of which glibc would give back what is over 40 MB.
FAULTS = """
import resource, sys
from mplus_cli.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [bytearray(20 << 20) for _ in range(3)]
    del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults(), faults()
print(min(faults() for _ in range(3)))
"""


def faults(how: str) -> int:
    run = subprocess.run(
        [sys.executable, "-c", FAULTS, how], check=True, capture_output=True, text=True
    )
    return int(run.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_blocks_are_used_again() -> None:
    assert faults("keep") < 50 < faults("leave")


def test_elsewhere_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: None) -> object:
        raise AssertionError("the C library was touched")

    monkeypatch.setattr("ctypes.CDLL", refuse)
    for system in ("darwin", "win32"):
        monkeypatch.setattr(sys, "platform", system)
        assert not allocator.keep_freed_memory()
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("MALLOC_TOP_PAD_", "1000")
    assert not allocator.keep_freed_memory()
    monkeypatch.delenv("MALLOC_TOP_PAD_")
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    assert not allocator.keep_freed_memory()
