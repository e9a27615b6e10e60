"""Reading several books at once: one process a book, each into a memory of its own.

    from mplus_cli.ingest.shelf import BookFinished, LocalProcesses, read_shelf
    from mplus_cli.settings import Flags, resolve

    books = {"emma": "emma.epub", "persuasion": "persuasion.pdf"}
    for event in read_shelf(books, resolve(Flags()), LocalProcesses(2)):
        if isinstance(event, BookFinished):
            print(event.name, event.report.tokens, event.error)

Each book is read as `mplus ingest -m NAME` reads it: an interrupted book is resumed when the shelf is
read again, and the memory holds the same bytes. A book that fails does not stop the others. Knows no
screen.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import unicodedata
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mplus_cli import failures
from mplus_cli.errors import ExitCode, UsageError
from mplus_cli.extras import require
from mplus_cli.ingest.job import Report, find_each, plan, run
from mplus_cli.library import Library, StoredMemory
from mplus_cli.library.names import MAX_LENGTH, validate_name
from mplus_cli.runtime.session import Session, open_session
from mplus_cli.settings import Settings

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

Sources = str | Path | Sequence[str | Path]
"""A file or folder, or several: all that goes into one memory."""
Books = Mapping[str, Sequence[str]]
"""The memory's name to the absolute paths that are read into it."""


@dataclass(frozen=True, slots=True)
class BookProgress:
    """How far a book is. `chunks_total` counts the document that is being read; None: not known yet."""

    name: str
    chunks_done: int = 0
    chunks_total: int | None = None


@dataclass(frozen=True, slots=True)
class BookFinished:
    """What came of a book."""

    name: str
    report: Report
    """As `mplus ingest --json` gives it; its `failed` documents could not be read."""
    error: str | None = None
    """Why the memory could not be written, in one line; None: it was."""
    warnings: tuple[str, ...] = ()
    """What is odd about the documents, a line each."""


BookEvent = BookProgress | BookFinished


@dataclass(slots=True)
class ShelfReport:
    """What came of a shelf: the object of `mplus ingest --workers N --json`."""

    memories: list[BookFinished] = field(default_factory=list)

    def add(self, event: BookEvent) -> None:
        """Enter a book that is finished."""
        if isinstance(event, BookFinished):
            self.memories.append(event)

    def to_json(self) -> dict[str, Any]:
        """The report of each memory, in the order of their names."""
        ordered = sorted(self.memories, key=lambda book: book.name)
        return {"memories": [{**book.report.to_json(), "error": book.error} for book in ordered]}

    @property
    def exit_code(self) -> ExitCode:
        """Whether every document of every book is in memory, some are, or none is."""
        sound = [book.error is None and not book.report.failed for book in self.memories]
        if all(sound):
            return ExitCode.DONE
        partly = [book.error is None and not book.report.is_hopeless for book in self.memories]
        return ExitCode.PARTIAL if any(partly) else ExitCode.FAILED


class Engine(Protocol):
    """Where books are read."""

    def run(self, books: Books, settings: Settings) -> Iterator[BookEvent]:
        """Read books, several at a time: their events as they come, `BookFinished` last of each."""
        ...


def read_shelf(
    books: Mapping[str, Sources], settings: Settings, engine: Engine
) -> Iterator[BookEvent]:
    """Read books into memories of the library.

    Args:
        books: the memory's name to what is read into it.
        settings: of model, device and library, as for the commands.

    Raises:
        UsageError: a name that no memory can have, or more cores than the engine has.
        MplusError: Ray is wanted and not installed.
    """
    for name in books:
        validate_name(name)
    yield from engine.run({name: _absolute(sources) for name, sources in books.items()}, settings)


def name_memories(arguments: Sequence[str], note: Callable[[str], None]) -> dict[str, str]:
    """A memory's name for each file of the arguments, made of the file's own name, to its path.

    Raises:
        UsageError: standard input is among them, or two files would share a name.
    """
    named: dict[str, str] = {}
    for source, _ in find_each(arguments, note):
        if source.path is None:
            raise UsageError("standard input has no name to call a memory by: use -m NAME")
        name = _slug(source.path.stem)
        if name in named:
            raise UsageError(
                f'{named[name]} and {source.path} would both become the memory "{name}": '
                "read one of them on its own with -m NAME"
            )
        named[name] = str(source.path)
    return named


def read_book(name: str, sources: Sequence[str], settings: Settings) -> Iterator[BookEvent]:
    """Read one book in this process; every failure ends in a `BookFinished` with its line."""
    from mplus_cli.ingest.pipeline import ChunkRead, DocumentStarted

    report, warnings = Report(name), list[str]()
    yield BookProgress(name)
    try:
        planned = plan(sources, progress=_silent)
        for event in run(Library(settings.home), partial(_open, settings), planned, report):
            if isinstance(event, ChunkRead):
                yield BookProgress(name, event.chunks_done, event.chunks_total)
            elif isinstance(event, DocumentStarted):
                warnings += event.warnings
    except Exception as error:
        yield BookFinished(name, report, failures.explain(error)[0], tuple(warnings))
    else:
        yield BookFinished(name, report, None, tuple(warnings))


class LocalProcesses:
    """Processes of this machine, which share its cores.

    Args:
        workers: how many books are read at a time.
    """

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise UsageError(f"--workers is {workers}: give 1 or more")
        self._workers = workers

    def run(self, books: Books, settings: Settings) -> Iterator[BookEvent]:
        """Read books; those that are under way when the caller stops are ended at their last commit."""
        from mplus_cli.runtime.session import thread_count

        threads = max(1, thread_count() // min(self._workers, max(1, len(books))))
        waiting = deque(books.items())
        running: dict[Connection, tuple[str, SpawnProcess]] = {}
        try:
            while waiting or running:
                while waiting and len(running) < self._workers:
                    name, sources = waiting.popleft()
                    connection, process = _start(name, sources, settings, threads)
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
            that the caller has joined already is used as it is. On several machines the library's
            folder must be one that all share.
        cores: for each book; Ray sees to it that a worker computes with no more.
    """

    def __init__(self, address: str = "local", cores: int = 1) -> None:
        if cores < 1:
            raise UsageError(f"cores is {cores}: give 1 or more")
        self._address = address
        self._cores = cores

    def run(self, books: Books, settings: Settings) -> Iterator[BookEvent]:
        """Read books; the cluster is left when the caller stops, unless the caller had joined it."""
        ray = require("ray", "ray")
        joined = bool(ray.is_initialized())
        if not joined:
            self._join(ray)
        try:
            yield from self._run(ray, books, settings)
        finally:
            if not joined:
                ray.shutdown()

    def _join(self, ray: Any) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no telemetry, Ray's neither
        local = {"include_dashboard": False} if self._address == "local" else {}
        try:
            ray.init(self._address, log_to_driver=False, logging_level="ERROR", **local)
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise UsageError(f"no Ray cluster at {self._address}: {reason}") from error

    def _run(self, ray: Any, books: Books, settings: Settings) -> Iterator[BookEvent]:
        most = int(ray.cluster_resources().get("CPU", 0))
        if self._cores > most:
            raise UsageError(f"cores is {self._cores}, but the cluster has {most}: give fewer")
        # Ray sets OMP_NUM_THREADS of a worker to its number of cores.
        task = ray.remote(num_cpus=self._cores, max_retries=0, num_returns="streaming")(read_book)
        running = {task.remote(name, sources, settings): name for name, sources in books.items()}
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
    name: str, sources: Sequence[str], settings: Settings, threads: int
) -> tuple[Connection, SpawnProcess]:
    context = multiprocessing.get_context("spawn")
    connection, far = context.Pipe(duplex=False)
    process = context.Process(
        target=_send_events,
        args=(far, name, list(sources), settings, threads),
        name=f"mplus {name}",
    )
    process.start()
    far.close()
    return connection, process


def _send_events(
    connection: Connection, name: str, sources: list[str], settings: Settings, threads: int
) -> None:
    """What a worker process does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started it decides
    os.environ["OMP_NUM_THREADS"] = str(threads)
    with suppress(BrokenPipeError):  # nobody listens any more
        for event in read_book(name, sources, settings):
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


def _absolute(sources: Sources) -> list[str]:
    several = [sources] if isinstance(sources, str | Path) else sources
    # A worker may run in another folder.
    return [str(Path(source).expanduser().absolute()) for source in several]


def _slug(stem: str) -> str:
    """A file's name as that of a memory: "Émile & I" becomes "Emile-I"."""
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9._]+", "-", plain).strip("-.")[:MAX_LENGTH]
    if not name:
        raise UsageError(f'"{stem}" gives no name for a memory: read it on its own with -m NAME')
    return name


def _open(settings: Settings, memory: StoredMemory | None) -> Session:
    return open_session(settings, note=_silent, progress=_silent, memory=memory)


def _silent(*_: object) -> None:
    pass
