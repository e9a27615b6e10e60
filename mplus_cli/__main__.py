"""Where the process begins: from here on Ctrl-C ends it quietly.

Imports nothing that Python has not loaded already, so that the handler is there before anything takes time.
"""

import os
from _signal import SIGINT, signal  # type: ignore[import-not-found]  # without the names of `signal`

INTERRUPTED = 130


def main() -> None:
    """Run `mplus` with the arguments of the process, and exit."""
    signal(SIGINT, lambda *_: os._exit(INTERRUPTED))  # nothing was begun yet
    from mplus_cli import process

    process.run()


if __name__ == "__main__":
    main()
