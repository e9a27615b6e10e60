"""Runs a module of this package as a process of its own that reads a file and sends messages.

What parses other people's files can crash, loop or take all memory, and a process boundary contains that.
Defines the form of messages (a JSON object a line), not what is in them.
"""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

Message = dict[str, Any]


class WorkerStopped(Exception):
    """It crashed, hit a limit or stopped responding. `signal` is the signal that ended it, 0 if none did."""

    def __init__(self, ended_by: int = 0) -> None:
        super().__init__(ended_by)
        self.signal = ended_by


def command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module; -P keeps the current folder out of its imports."""
    return [sys.executable, "-P", "-m", f"mplus_cli.documents.{module}", *arguments]


def messages(
    data: IO[bytes], command: Sequence[str], first_seconds: float, seconds: float
) -> Iterator[Message]:
    """What the process sends, given `data` as its stdin.

    Raises:
        WorkerStopped: it crashed, or was silent for `first_seconds` at first or `seconds` later.
    """
    data.seek(0)
    package_root = str(Path(__file__).parents[2])
    paths = [package_root, *filter(None, [os.environ.get("PYTHONPATH")])]
    process = subprocess.Popen(
        command,
        stdin=data,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    received: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    reader = threading.Thread(target=_receive, args=(process.stdout, received), daemon=True)
    reader.start()
    limit = first_seconds
    try:
        while (line := received.get(timeout=limit)) is not None:
            yield json.loads(line)
            limit = seconds
        if process.wait(timeout=limit):
            raise WorkerStopped(max(0, -process.returncode))
    except (queue.Empty, subprocess.TimeoutExpired, ValueError) as error:
        raise WorkerStopped from error
    finally:
        process.kill()
        process.wait()
        reader.join()
        if process.stdout:
            process.stdout.close()


def _receive(stream: IO[bytes] | None, received: "queue.SimpleQueue[bytes | None]") -> None:
    for line in stream or ():
        received.put(line)
    received.put(None)


def limit_resources(*, memory: int, cpu_seconds: int) -> None:
    """Bound this process: a system that cannot do so is left with the time its parent gives it."""
    # Ctrl-C reaches all processes of a terminal: the parent ends this one, and says why.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        for kind, value in ((resource.RLIMIT_CPU, cpu_seconds), (resource.RLIMIT_AS, memory)):
            hard = resource.getrlimit(kind)[1]
            soft = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(kind, (soft, hard))
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


@contextlib.contextmanager
def private_stdout() -> Iterator[IO[bytes]]:
    """The real stdout, while anything that libraries print is discarded."""
    with os.fdopen(os.dup(1), "wb") as out:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)
        yield out


def send(out: IO[bytes], message: Message) -> None:
    """Write a message."""
    text = json.dumps(message, ensure_ascii=False) + "\n"
    out.write(text.encode("utf-8", "surrogatepass"))
    out.flush()
