"""How threads that compute together wait for each other: what OpenMP is told before torch loads it.

An answer on a CPU is some thousands of short kernels, and every one of them ends with its threads waiting. A
thread that sleeps meanwhile takes longer to wake than many kernels take; one that spins wastes the core that
another program is waiting for. Imports nothing: it is called before anything else is.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping

SPINS = 10_000
"""Turns of a waiting thread before it sleeps: a tenth of a millisecond, longer than most kernels."""
_STATE = "/proc/loadavg"


def choose_waiting(environment: MutableMapping[str, str], state: str = _STATE) -> None:
    """Let threads spin for a moment where each has a core to itself, and sleep at once elsewhere.

    What the environment says already is left as it is.

    Args:
        state: a file in the format of /proc/loadavg.
    """
    # Of numpy, which multiplies no matrices here: its threads spin while torch is imported.
    environment.setdefault("OPENBLAS_NUM_THREADS", "1")
    if "OMP_WAIT_POLICY" in environment or "GOMP_SPINCOUNT" in environment:
        return
    environment["OMP_WAIT_POLICY"] = "PASSIVE"
    if _are_cores_free(state):
        environment["GOMP_SPINCOUNT"] = str(SPINS)


def _are_cores_free(state: str) -> bool:
    """Whether no program is running that would have to share a core; False if that is not known."""
    try:
        with open(state, encoding="ascii") as file:
            running = int(file.read().split()[3].partition("/")[0])  # this program included
        usable = len(os.sched_getaffinity(0))
    except (OSError, ValueError, IndexError, AttributeError):
        return False
    return running - 1 + usable <= (os.cpu_count() or usable)
