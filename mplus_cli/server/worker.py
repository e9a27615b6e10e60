"""One thread that computes, and the queue before it.

Questions are answered in the order in which they arrive. Documents are read one after the other, and a
question that arrives in the meantime is answered between two chunks. Independent of HTTP and of the
model: work is an iterator of events, which is closed at its next event once its client has gone.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any

from mplus_cli.errors import MplusError

Work = Callable[[], Iterator[Any]]


class BusyError(MplusError):
    """The queue is full.

    Args:
        seconds: after which to try again.
    """

    def __init__(self, waiting: int, seconds: int) -> None:
        super().__init__(f"{waiting} requests are waiting already: try again in {seconds} s")
        self.seconds = seconds


class StoppedError(MplusError):
    """The server is stopping."""

    def __init__(self) -> None:
        super().__init__("the server is stopping: ask again when it runs")


class Job:
    """Submitted work; its events arrive in the event loop that submitted it."""

    def __init__(self, worker: Worker, work: Work) -> None:
        self._worker = worker
        self._work = work
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[tuple[Any, BaseException | None, bool]] = asyncio.Queue()
        self._cancelled = threading.Event()

    @property
    def is_cancelled(self) -> bool:
        """Whether its client has gone."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Its client has gone: it ends at its next event, or never starts."""
        self._cancelled.set()
        self._worker.forget(self)

    async def events(self) -> AsyncIterator[Any]:
        """Its events as they arrive; raises what the work raised. Leaving the iteration cancels the job."""
        try:
            while True:
                event, error, ended = await self._events.get()
                if error is not None:
                    raise error
                if ended:
                    return
                yield event
        finally:
            self.cancel()

    def do(self, between: Callable[[], object] = lambda: None) -> None:
        """Do the work, in the worker's thread, and call `between` after each event."""
        try:
            iterator = self._work()
            try:
                for event in iterator:
                    self._tell(event, None, False)
                    between()
                    if self.is_cancelled:
                        return
            finally:
                close = getattr(iterator, "close", None)
                if close is not None:
                    close()
        except BaseException as error:
            self._tell(None, error, True)
        else:
            self._tell(None, None, True)

    def stop(self) -> None:
        """End it without doing it."""
        self._cancelled.set()
        self._tell(None, StoppedError(), True)

    def _tell(self, event: Any, error: BaseException | None, ended: bool) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is listening
            self._loop.call_soon_threadsafe(self._events.put_nowait, (event, error, ended))


class Worker:
    """The thread and its two queues.

    Args:
        most: requests that may wait, of questions and of readings each.
    """

    def __init__(self, most: int = 16) -> None:
        self._most = most
        self._questions: deque[Job] = deque()
        self._readings: deque[Job] = deque()
        self._running: list[Job] = []
        self._changed = threading.Condition()
        self._stopping = False
        self._seconds = 1.0
        self._thread = threading.Thread(target=self._run, name="mplus-worker", daemon=True)
        self._thread.start()

    def submit(self, work: Work, *, reading: bool = False) -> Job:
        """Submit work; called in a running event loop.

        Raises:
            BusyError: too many wait.
            StoppedError: the server stops.
        """
        queue = self._readings if reading else self._questions
        with self._changed:
            if self._stopping:
                raise StoppedError
            if len(queue) >= self._most:
                raise BusyError(len(queue), max(1, round(len(queue) * self._seconds)))
            job = Job(self, work)
            queue.append(job)
            self._changed.notify()
        return job

    async def run(self, function: Callable[[], Any]) -> Any:
        """Call a function in the worker's thread, in its turn, and return its result."""

        def work() -> Iterator[Any]:
            yield function()

        async for value in self.submit(work).events():
            return value
        raise StoppedError

    def forget(self, job: Job) -> None:
        """Take a job that has not started out of the queue."""
        with self._changed:
            for queue in (self._questions, self._readings):
                with suppress(ValueError):
                    queue.remove(job)

    @property
    def load(self) -> dict[str, int]:
        """How many requests are being worked on, and how many wait."""
        with self._changed:
            waiting = len(self._questions) + len(self._readings)
            return {"running": len(self._running), "waiting": waiting}

    def stop(self, seconds: float = 10.0) -> None:
        """End the running job at its next event and the waiting ones at once; waits for the thread."""
        with self._changed:
            self._stopping = True
            jobs = [*self._running, *self._questions, *self._readings]
            self._questions.clear()
            self._readings.clear()
            self._changed.notify()
        for job in jobs:
            job.stop()
        self._thread.join(seconds)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (self._questions or self._readings or self._stopping):
                    self._changed.wait()
                if self._stopping:
                    return
                is_question = bool(self._questions)
            if is_question:
                self._answer()
            else:
                self._take(self._readings, self._answer)

    def _answer(self) -> None:
        """Answer all waiting questions."""
        while True:
            started = time.monotonic()
            if not self._take(self._questions):
                return
            self._seconds = (self._seconds + time.monotonic() - started) / 2

    def _take(self, queue: deque[Job], between: Callable[[], object] = lambda: None) -> bool:
        """Do the first job of a queue; returns whether there was one."""
        with self._changed:
            if not queue:
                return False
            job = queue.popleft()
            self._running.append(job)
        try:
            if not job.is_cancelled:
                job.do(between)
        finally:
            with self._changed:
                self._running.remove(job)
        return True
