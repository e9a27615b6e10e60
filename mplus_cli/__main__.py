"""The process: the first thing that runs, so that Ctrl-C is one quiet line from then on.

Imports nothing heavy before the signal handler is in place. Knows no command.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

INTERRUPTED = 130


class _Interrupts:
    """Whether Ctrl-C came: an import that it breaks may report something else instead."""

    def __init__(self) -> None:
        self.seen = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.seen = True
        raise KeyboardInterrupt


def main() -> None:
    """Run `mplus` with the arguments of the process, and exit."""
    interrupts = _Interrupts()
    # Threads that spin while they wait cost nothing alone, and half the speed beside other programs.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        signal.signal(signal.SIGINT, interrupts)
        from mplus_cli.app import run

        code = run(sys.argv[1:], interrupted=lambda: interrupts.seen)
    except KeyboardInterrupt:
        code = INTERRUPTED
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if code == INTERRUPTED:
        from mplus_cli import screen

        screen.interrupted()
    sys.exit(code)


if __name__ == "__main__":
    main()
