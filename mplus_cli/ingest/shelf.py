"""Reading a shelf of books in parallel: one Ray actor a book, each into a memory of its own.

    from mplus_cli.settings import Flags, resolve
    from mplus_cli.ingest.shelf import read_shelf

    done = read_shelf({"emma": "emma.epub", "persuasion": "persuasion.pdf"}, resolve(Flags()))

The engine is Ray's (`pip install 'mplus[ray]'`): this machine's cores unless the caller has joined a
cluster with `ray.init` before; the library's folder must then be one that all machines share. An
actor reads as `mplus ingest` does: what was interrupted goes on when the shelf is read again, and a
memory holds the same bytes. Knows no screen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mplus_cli.errors import MplusError, UsageError
from mplus_cli.extras import require
from mplus_cli.ingest.job import Report
from mplus_cli.library.names import validate_name
from mplus_cli.settings import Settings

Sources = str | Path | Sequence[str | Path]
"""A file or folder, or several: all that goes into one memory."""


@dataclass(frozen=True, slots=True)
class Shelved:
    """What came of a book."""

    report: Report
    """As `mplus ingest --json` gives it; its `failed` documents could not be read."""
    error: str | None = None
    """Why the memory could not be written, in one line; None: it was."""


def read_shelf(
    books: Mapping[str, Sources], settings: Settings, *, cores: int = 1
) -> dict[str, Shelved]:
    """Read books into memories of the library, as many at a time as there are cores for.

    Args:
        books: the memory's name to what is read into it.
        settings: of model, device and library, as of the commands.
        cores: for each book; the engine sees to it that an actor computes with no more.

    Returns:
        What came of each book, in their order.

    Raises:
        UsageError: a name that no memory can have, no core, or more than there are.
        MplusError: Ray is not installed.
    """
    for name in books:
        validate_name(name)
    if cores < 1:
        raise UsageError(f"cores is {cores}: give 1 or more")
    ray = require("ray", "ray")
    done: dict[str, Shelved] = {}
    with _engine(ray):
        most = int(ray.cluster_resources().get("CPU", 0))
        if cores > most:
            raise UsageError(f"cores is {cores}, but the engine has {most}: give fewer")
        # Threads as many as cores: Ray tells an actor's process by OMP_NUM_THREADS.
        reader = ray.remote(num_cpus=cores)(_Reader)
        actors = {name: reader.remote(name, settings) for name in books}
        names = {actors[name].read.remote(_listed(books[name])): name for name in books}
        while names:
            (future,), _ = ray.wait(list(names), num_returns=1)
            name = names.pop(future)
            try:
                done[name] = ray.get(future)
            except ray.exceptions.RayError as error:
                line = " ".join(str(error).split())
                done[name] = Shelved(Report(name), f"its reader died ({line}): read it again")
            ray.kill(actors.pop(name))  # its cores are the next one's
    return {name: done[name] for name in books}


class _Reader:
    """Reads one book; an actor's process."""

    def __init__(self, name: str, settings: Settings) -> None:
        self._name = name
        self._settings = settings

    def read(self, sources: list[str]) -> Shelved:
        """Read sources into the memory; run again, it goes on where it was."""
        report = Report(self._name)
        try:
            self._read(sources, report)
        except MplusError as error:
            return Shelved(report, str(error))
        return Shelved(report)

    def _read(self, sources: list[str], report: Report) -> None:
        from mplus_cli.ingest.job import ingest, plan
        from mplus_cli.library import Library
        from mplus_cli.runtime.session import open_session

        planned = plan(sources, progress=_silent)
        if planned.is_hopeless:
            for failure in planned.failures:
                report.add(failure)
            return
        library = Library(self._settings.home)
        known = library.open(self._name) if self._name in library.names() else None
        session = open_session(self._settings, note=_silent, progress=_silent, memory=known)
        stored = library.open_or_create(self._name, session.identity)
        for _ in ingest(session, stored, planned.given, report):
            pass


@contextmanager
def _engine(ray: Any) -> Iterator[None]:
    """The engine that is running, or one of this machine's cores for the block."""
    if ray.is_initialized():
        yield
        return
    ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        yield
    finally:
        ray.shutdown()


def _listed(sources: Sources) -> list[str]:
    several = [sources] if isinstance(sources, str | Path) else sources
    # An actor's process may run in another folder.
    return [str(Path(source).expanduser().absolute()) for source in several]


def _silent(*_: object) -> None:
    pass
