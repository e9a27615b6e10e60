"""The work of `mplus ingest --watch`: reads what is in folders, and then what comes into them. Yields typed
events and prints nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mplus_cli.documents import DocumentError, Source, find_sources
from mplus_cli.documents.watching import Watch
from mplus_cli.errors import MplusError, UsageError
from mplus_cli.library.lock import Locked
from mplus_cli.runtime import interrupts


@dataclass(frozen=True, slots=True)
class Waiting:
    """All that came has been read, or told: what comes next is waited for."""


@dataclass(frozen=True, slots=True)
class NotRead:
    """What came could not be read into the memory; `error` is one line. The watch goes on."""

    error: str


def check_folders(arguments: Sequence[str]) -> None:
    """Check that arguments are folders that are there; UsageError, naming the first that is not."""
    for argument in arguments:
        if os.path.isdir(argument):
            continue
        try:
            find_sources([argument])
        except DocumentError as error:
            raise UsageError(str(error)) from error
        raise UsageError(f"{argument} is not a folder: --watch is for folders")


def watch(
    watched: Watch,
    read: Callable[[Sequence[Source]], str | None],
    is_free: Callable[[], bool],
) -> Iterator[Waiting | NotRead]:
    """Read what is there and what comes, until Ctrl-C while nothing is read.

    Args:
        read: reads documents into the memory; returns what failed, in one line, where it did not say it.
        is_free: whether no other process writes the memory: what came meanwhile is read then.

    Raises:
        MplusError: what was there in the beginning cannot be read into the memory.
    """
    is_first = not watched.is_empty
    if not is_first:
        yield Waiting()
    busy = False
    while True:
        try:
            found = watched.wait(is_free) if busy else watched.wait()
        except KeyboardInterrupt:
            interrupts.acknowledge()
            return
        busy = False
        try:
            error = read(found)
        except MplusError as failure:
            if is_first:
                raise
            error = str(failure)
            busy = isinstance(failure.__cause__, Locked)
            if busy:
                watched.give_again(found)
        is_first = False
        if error:
            yield NotRead(error)
        yield Waiting()
