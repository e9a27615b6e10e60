"""The process: Ctrl-C is one quiet line, and what is registered for the exit runs at every end.

Imports nothing heavy before the signal handler is in place. Independent of the commands.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys

from mplus_cli.errors import ExitCode
from mplus_cli.runtime.interrupts import Interrupts, without_interrupts
from mplus_cli.runtime.postponed import postpone

TELEMETRY = ("HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK")
SPINS = "1000"
"""Turns that a thread of GNU OpenMP waits for the next kernel before it sleeps."""


def silence_telemetry() -> None:
    """Tell libraries, before they are imported, to send no usage statistics; `shelf` tells Ray."""
    for name in TELEMETRY:
        os.environ.setdefault(name, "1")


def settle_threads() -> None:
    """Tell libraries, before they are imported, how their threads wait. What the environment says already
    is left as it is."""
    # Kernels follow each other within 0.01 ms. If threads spin so long before they sleep, an answer takes 0.6
    # of the time on idle cores, and 1.3 times it where another program keeps one of two busy.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    # Of numpy, which multiplies no matrices here: its threads spin while torch is imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


class FastExit:
    """Ends the process without dismantling the interpreter, once every exit handler has run.

    To take apart what torch made takes 0.1 s after the answer, and frees nothing that the system would not;
    threads that still compute would meet a half-dismantled interpreter.
    """

    def __init__(self) -> None:
        self.code: int | None = None
        """What to exit with; None: as Python would."""
        if not atexit._ncallbacks():  # what is registered first runs last, and would not run
            atexit.register(self)

    def __call__(self) -> None:
        if self.code is None:
            return
        try:
            for stream in (sys.stdout, sys.stderr):
                if stream is not None and not stream.closed:
                    stream.flush()
        except (OSError, ValueError):
            return  # Python says what could not be written
        os._exit(self.code)


def run() -> None:
    """Run `mplus` with the arguments of the process, and exit."""
    ending = FastExit()
    interrupts = Interrupts()
    settle_threads()
    silence_telemetry()
    postpone()
    try:
        try:
            signal.signal(signal.SIGINT, interrupts)
            sys.unraisablehook = without_interrupts(sys.unraisablehook)
            from mplus_cli import app

            if shell := os.environ.get("_MPLUS_COMPLETE"):
                code = app.complete(shell, sys.argv[2:])
            else:
                code = app.run(sys.argv[1:], interrupted=lambda: interrupts.seen)
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one came meanwhile
        code = ExitCode.INTERRUPTED
    if code == ExitCode.INTERRUPTED:
        _end_interrupted()
    ending.code = int(code)
    sys.exit(code)


def _end_interrupted() -> None:
    """Say so, run what is registered for the exit, and end.

    Not by `sys.exit`: it waits for threads of libraries, and if Ctrl-C interrupted code that an extension was
    running, Python would now kill itself with the signal instead of giving this code.
    """
    from mplus_cli.terminal import screen

    screen.interrupted()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(ExitCode.INTERRUPTED)
