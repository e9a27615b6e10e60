"""Engines that read several books at once: processes on this machine, or workers of a Ray cluster.

Both are an `Engine` of `mplus_cli.ingest.shelf`. Prints nothing.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

from mplus_cli.errors import UsageError
from mplus_cli.extras import require
from mplus_cli.ingest.job import Report
from mplus_cli.ingest.shelf import BookEvent, BookFinished, Books, read_book
from mplus_cli.settings import Settings

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess


class LocalProcesses:
    """Processes of this machine, which share its cores.

    Args:
        workers: how many books are read at a time.
    """

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise UsageError(f"--workers is {workers}: give 1 or more")
        self._workers = workers

    def run(self, books: Books, settings: Settings, ocr: bool) -> Iterator[BookEvent]:
        """Read books; when the caller stops, books under way end at their last commit."""
        from mplus_cli.runtime.session import thread_count

        threads = max(1, thread_count() // min(self._workers, max(1, len(books))))
        waiting = deque(books.items())
        running: dict[Connection, tuple[str, SpawnProcess]] = {}
        try:
            while waiting or running:
                while waiting and len(running) < self._workers:
                    name, sources = waiting.popleft()
                    connection, process = _start(name, sources, settings, ocr, threads)
                    running[connection] = (name, process)
                for ready in wait(list(running)):
                    assert isinstance(ready, Connection)
                    event = _receive(ready, *running[ready])
                    if isinstance(event, BookFinished):
                        running.pop(ready)[1].join()
                        ready.close()
                    yield event
        finally:
            for _, process in running.values():
                process.terminate()
            for _, process in running.values():
                process.join()


class RayCluster:
    """Workers of a Ray cluster (`pip install 'mplus[ray]'`).

    Args:
        address: of a cluster, as `ray.init` takes it; "local" starts one on this machine. A cluster
            that the caller has joined already is used as it is. Several machines must share the library's
            folder.
        cores: for each book; Ray limits a worker to that many.
    """

    def __init__(self, address: str = "local", cores: int = 1) -> None:
        if cores < 1:
            raise UsageError(f"cores is {cores}: give 1 or more")
        self._address = address
        self._cores = cores

    def run(self, books: Books, settings: Settings, ocr: bool) -> Iterator[BookEvent]:
        """Read books; the cluster is left when the caller stops, unless the caller had joined it."""
        ray = require("ray", "ray")
        joined = bool(ray.is_initialized())
        if not joined:
            self._join(ray)
        try:
            yield from self._run(ray, books, settings, ocr)
        finally:
            if not joined:
                ray.shutdown()

    def _join(self, ray: Any) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no telemetry, not even Ray's
        local = {"include_dashboard": False} if self._address == "local" else {}
        try:
            ray.init(self._address, log_to_driver=False, logging_level="ERROR", **local)
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise UsageError(f"no Ray cluster at {self._address}: {reason}") from error

    def _run(self, ray: Any, books: Books, settings: Settings, ocr: bool) -> Iterator[BookEvent]:
        most = int(ray.cluster_resources().get("CPU", 0))
        if self._cores > most:
            raise UsageError(f"cores is {self._cores}, but the cluster has {most}: give fewer")
        # Ray sets OMP_NUM_THREADS of a worker to its number of cores.
        task = ray.remote(num_cpus=self._cores, max_retries=0, num_returns="streaming")(read_book)
        running = {
            task.remote(name, sources, settings, ocr): name for name, sources in books.items()
        }
        while running:
            (ready,), _ = ray.wait(list(running), num_returns=1)
            try:
                event: BookEvent = ray.get(next(ready))
            except ray.exceptions.RayError as error:
                event = _died(running[ready], " ".join(str(error).split()))
            if isinstance(event, BookFinished):
                del running[ready]
            yield event


def _start(
    name: str, sources: Sequence[str], settings: Settings, ocr: bool, threads: int
) -> tuple[Connection, SpawnProcess]:
    context = multiprocessing.get_context("spawn")
    connection, far = context.Pipe(duplex=False)
    process = context.Process(
        target=_send_events,
        args=(far, name, list(sources), settings, ocr, threads),
        name=f"mplus {name}",
    )
    process.start()
    far.close()
    return connection, process


def _send_events(
    connection: Connection,
    name: str,
    sources: list[str],
    settings: Settings,
    ocr: bool,
    threads: int,
) -> None:
    """The main function of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process decides
    os.environ["OMP_NUM_THREADS"] = str(threads)
    with suppress(BrokenPipeError):  # the parent has stopped listening
        for event in read_book(name, sources, settings, ocr):
            connection.send(event)


def _receive(connection: Connection, name: str, process: SpawnProcess) -> BookEvent:
    try:
        event: BookEvent = connection.recv()
    except (EOFError, OSError):
        process.join()
        return _died(name, f"exit code {process.exitcode}")
    return event


def _died(name: str, why: str) -> BookFinished:
    error = f"the process that read it died ({why}): run the same command to go on"
    return BookFinished(name, Report(name), error)
