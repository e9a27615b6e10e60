"""Draws a run's text in separate processes, some steps ahead, so that a GPU does not wait for it.

The draws are those of `Inline`, whatever the number of processes.
"""

from __future__ import annotations

import multiprocessing
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from models.training.data import DataError
from models.training.stream import Draw, Stream

AHEAD = 6
"""Steps that each process draws ahead."""

MakeStreams = Callable[[Sequence[int]], list[Stream]]
"""Stream numbers to streams; must be picklable."""


@dataclass(frozen=True, slots=True)
class _Drawn:
    draws: list[Draw]
    states: list[dict[str, Any]]
    """After this step."""


class Prefetched:
    """The streams' parts of each step, drawn by processes that divide the streams among themselves.

    Args:
        make: makes the streams.
        numbers: the streams' numbers.
        processes: how many processes draw.
    """

    def __init__(self, make: MakeStreams, numbers: Sequence[int], processes: int) -> None:
        self._make, self._numbers = make, list(numbers)
        self._count = min(processes, len(numbers))
        self._workers: list[_Worker] = []
        self._states: list[dict[str, Any]] = []

    def next(self) -> list[Draw]:
        if not self._workers:
            self._start(None)
        drawn = [worker.next() for worker in self._workers]
        self._states = _interleaved([part.states for part in drawn])
        return _interleaved([part.draws for part in drawn])

    def states(self) -> list[dict[str, Any]]:
        return self._states

    def restore(self, states: Sequence[dict[str, Any]]) -> None:
        self.close()
        self._start(states)

    def close(self) -> None:
        """Stop the processes."""
        for worker in self._workers:
            worker.close()
        self._workers = []

    def _start(self, states: Sequence[dict[str, Any]] | None) -> None:
        for at in range(self._count):
            own = None if states is None else list(states[at :: self._count])
            self._workers.append(_Worker(self._make, self._numbers[at :: self._count], own))


class _Worker:
    """A process that draws, and the thread that receives what it drew."""

    def __init__(
        self,
        make: MakeStreams,
        numbers: Sequence[int],
        states: Sequence[dict[str, Any]] | None,
    ) -> None:
        context = multiprocessing.get_context("spawn")
        receiver, sender = context.Pipe(duplex=False)
        self._process = context.Process(
            target=_draw, args=(make, numbers, states, sender), daemon=True
        )
        self._process.start()
        sender.close()  # otherwise its end would go unnoticed
        self._drawn: queue.Queue[_Drawn | ValueError] = queue.Queue(AHEAD)
        self._thread = threading.Thread(target=self._take, args=(receiver,), daemon=True)
        self._thread.start()

    def next(self) -> _Drawn:
        drawn = self._drawn.get()
        if isinstance(drawn, ValueError):
            raise drawn
        return drawn

    def close(self) -> None:
        self._process.terminate()
        self._process.join()
        while self._thread.is_alive():
            try:
                self._drawn.get(timeout=0.01)
            except queue.Empty:
                continue

    def _take(self, receiver: Connection[Any, _Drawn | ValueError]) -> None:
        """Receive draws until there are no more; runs in a thread of its own."""
        while True:
            try:
                self._drawn.put(receiver.recv())
            except (EOFError, OSError):
                self._drawn.put(ValueError("a process that draws training text died"))
                return


def _interleaved(shares: Sequence[Sequence[Any]]) -> list[Any]:
    """The items of shares dealt out in turns, in their original order."""
    count = len(shares)
    return [shares[at % count][at // count] for at in range(sum(map(len, shares)))]


def _draw(
    make: MakeStreams,
    numbers: Sequence[int],
    states: Sequence[dict[str, Any]] | None,
    sender: Connection[_Drawn | ValueError, Any],
) -> None:
    """Draw forever; runs in a process of its own. Data that cannot be read is sent back as a message,
    not raised."""
    try:
        streams = make(numbers)
    except DataError as error:
        sender.send(error)
        return
    for stream, state in zip(streams, states or (), strict=states is not None):
        stream.restore(state)
    while True:
        draws = [stream.draw() for stream in streams]
        sender.send(_Drawn(draws, [stream.state() for stream in streams]))
