"""The process: runs first, so that Ctrl-C is one quiet line from the start.

Imports nothing heavy before the signal handler is in place. Knows no command.
"""

from __future__ import annotations

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


def main() -> None:
    """Run `mplus` with the arguments of the process, and exit."""
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
    sys.exit(code)


if __name__ == "__main__":
    main()
