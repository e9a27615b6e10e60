"""Freed memory is kept for reuse where the C library can be told to."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from mplus_cli.runtime import allocator

# Three blocks of 20 MB at a time, of which glibc would give back what is over 40 MB.
FAULTS = """
import resource, sys
from mplus_cli.runtime.allocator import keep_freed_memory
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


# A block that stays between each two: what is freed is not at the end of the heap, which shrinks by itself.
# The pins fit into no hole that was there before.
HOLES = """
from mplus_cli.runtime.allocator import give_back_freed_memory, keep_freed_memory
assert keep_freed_memory()
def held():
    status = open("/proc/self/status").read().split("RssAnon:")[1]
    return int(status.split()[0]) >> 10
blocks, pins = [], []
for _ in range(200):
    blocks.append(bytearray(b"x") * (1 << 20))
    pins.append(bytearray(32 << 10))
del blocks
before = held()
assert give_back_freed_memory()
print(before, held())
"""


def faults(how: str) -> int:
    run = subprocess.run(
        [sys.executable, "-c", FAULTS, how], check=True, capture_output=True, text=True
    )
    return int(run.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_blocks_are_used_again() -> None:
    assert faults("keep") < 50 < faults("leave")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_what_was_kept_can_be_given_back() -> None:
    run = subprocess.run([sys.executable, "-c", HOLES], check=True, capture_output=True, text=True)
    before, after = map(int, run.stdout.split())
    assert before > 150 and after < 50, "MB"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_threads_can_share_what_is_free() -> None:
    program = "from mplus_cli.runtime.allocator import share_arena; assert share_arena()"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_elsewhere_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: None) -> object:
        raise AssertionError("the C library was touched")

    monkeypatch.setattr("ctypes.CDLL", refuse)
    for system in ("darwin", "win32"):
        monkeypatch.setattr(sys, "platform", system)
        assert not allocator.keep_freed_memory()
        assert not allocator.share_arena()
        assert not allocator.give_back_freed_memory()
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("MALLOC_TOP_PAD_", "1000")
    assert not allocator.keep_freed_memory()
    monkeypatch.delenv("MALLOC_TOP_PAD_")
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    assert not allocator.keep_freed_memory()
    assert not allocator.give_back_freed_memory()


@pytest.mark.parametrize("name", ["ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"])
def test_few_kernels_are_kept_unless_the_environment_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv(name, raising=False)
    allocator.keep_few_kernels()
    assert os.environ[name] == allocator.KERNELS
    monkeypatch.setenv(name, "200")
    allocator.keep_few_kernels()
    assert os.environ[name] == "200"


GROWING = """
import ctypes
from mplus_cli.runtime.allocator import keep_few_kernels
import torch

class Counts(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena a b c d e f used free g".split()]

library = ctypes.CDLL(None)
if not hasattr(library, "mallinfo2"):  # glibc before 2.33
    print(0)
    raise SystemExit
library.mallinfo2.restype = Counts
keep_few_kernels()
weight, held = torch.zeros(576, 576, dtype=torch.bfloat16), []
for length in range(200, 400):
    torch.nn.functional.linear(weight.new_zeros(length, 576), weight)
    held.append(library.mallinfo2().used)
print((held[-1] - held[99]) // 1_000_000)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_a_process_does_not_grow_with_the_lengths_it_multiplies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the processor has bfloat16, the kernels of 100 lengths are 60 MB."""
    for name in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
        monkeypatch.delenv(name, raising=False)
    run = subprocess.run(
        [sys.executable, "-c", GROWING], check=True, capture_output=True, text=True
    )
    assert int(run.stdout) < 5, "MB"
