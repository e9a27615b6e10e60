"""Draws a run's text in processes of its own, some steps ahead, so that a GPU need not wait for it.

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
"""Steps drawn before they are asked for, by each process."""

MakeStreams = Callable[[Sequence[int]], list[Stream]]
"""Stream numbers to the streams; has to survive being sent to another process."""


@dataclass(frozen=True, slots=True)
class _Drawn:
    draws: list[Draw]
    states: list[dict[str, Any]]
    """After this step."""


class Prefetched:
    """The streams' parts of each step, from processes that share the streams.

    Args:
        make: what makes the streams.
        numbers: the streams' numbers.
        processes: how many processes draw.
    """

    def __init__(self, make: MakeStreams, numbers: Sequence[int], processes: int) -> None:
        self._make, self._numbers = make, list(numbers)
        self._count = min(processes, len(numbers))
        self._artists: list[_Artist] = []
        self._states: list[dict[str, Any]] = []

    def next(self) -> list[Draw]:
        if not self._artists:
            self._start(None)
        drawn = [artist.next() for artist in self._artists]
        self._states = _dealt([part.states for part in drawn])
        return _dealt([part.draws for part in drawn])

    def states(self) -> list[dict[str, Any]]:
        return self._states

    def restore(self, states: Sequence[dict[str, Any]]) -> None:
        self.close()
        self._start(states)

    def close(self) -> None:
        """Stop the processes."""
        for artist in self._artists:
            artist.close()
        self._artists = []

    def _start(self, states: Sequence[dict[str, Any]] | None) -> None:
        for at in range(self._count):
            own = None if states is None else list(states[at :: self._count])
            self._artists.append(_Artist(self._make, self._numbers[at :: self._count], own))


class _Artist:
    """A process that draws, and the thread that takes what it drew."""

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
        sender.close()  # or its end would not be noticed
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
        """Take what is drawn until there is no more; what a thread of its own does."""
        while True:
            try:
                self._drawn.put(receiver.recv())
            except (EOFError, OSError):
                self._drawn.put(ValueError("a process that draws training text has died"))
                return


def _dealt(hands: Sequence[Sequence[Any]]) -> list[Any]:
    """What was dealt out in turns, in its first order."""
    count = len(hands)
    return [hands[at % count][at // count] for at in range(sum(map(len, hands)))]


def _draw(
    make: MakeStreams,
    numbers: Sequence[int],
    states: Sequence[dict[str, Any]] | None,
    sender: Connection[_Drawn | ValueError, Any],
) -> None:
    """Draw for ever; what a process of its own does. Data that cannot be read is said, not raised."""
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
