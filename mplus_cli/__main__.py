"""The process: runs first, so that Ctrl-C is one quiet line from the start.

Imports nothing heavy before the signal handler is in place. Knows no command.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys

from mplus_cli.errors import ExitCode
from mplus_cli.runtime.interrupts import Interrupts, without_interrupts

TELEMETRY = ("HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK")


def silence_telemetry() -> None:
    """Tell libraries, before they are imported, to send no usage statistics; `shelf` tells Ray."""
    for name in TELEMETRY:
        os.environ.setdefault(name, "1")


class Ending:
    """Ends the process once all that was registered to run at its exit has run.

    Taking apart what torch made takes Python 0.1 s after the answer, and gives nothing back that the system
    does not; threads that still compute would meet a half-dismantled interpreter.
    """

    def __init__(self) -> None:
        self.code: int | None = None
        """What to exit with; None: as Python would."""

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


def main() -> None:
    """Run `mplus` with the arguments of the process, and exit."""
    ending = Ending()
    atexit.register(ending)  # what is registered first runs last
    interrupts = Interrupts()
    # Threads that spin while waiting are harmless alone, but halve the speed beside other programs.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    silence_telemetry()
    try:
        signal.signal(signal.SIGINT, interrupts)
        sys.unraisablehook = without_interrupts(sys.unraisablehook)
        from mplus_cli import app

        if shell := os.environ.get("_MPLUS_COMPLETE"):
            code = app.complete(shell, sys.argv[2:])
        else:
            code = app.run(sys.argv[1:], interrupted=lambda: interrupts.seen)
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if code == ExitCode.INTERRUPTED:
        from mplus_cli.terminal import screen

        screen.interrupted()
        # Not sys.exit: if Ctrl-C interrupted code that an extension was running, Python would now
        # kill itself with the signal instead of giving this code.
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(code)
    ending.code = int(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
