"""The queue: first come first served, bounded, questions between the steps of a reading, and its end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mplus_cli.server.worker import BusyError, StoppedError, Worker


def run(scenario: Callable[[Worker], Any], most: int = 3) -> Any:
    async def main() -> Any:
        worker = Worker(most)
        try:
            return await asyncio.wait_for(scenario(worker), 20)
        finally:
            worker.stop()

    return asyncio.run(main())


def test_questions_wait_in_order_and_only_so_many() -> None:
    go = threading.Event()
    done: list[str] = []

    def held() -> Iterator[str]:
        go.wait()
        yield "first"

    def question(name: str) -> Callable[[], Iterator[str]]:
        def work() -> Iterator[str]:
            done.append(name)
            yield name

        return work

    async def scenario(worker: Worker) -> None:
        first = worker.submit(held)
        while worker.load["running"] == 0:
            await asyncio.sleep(0.01)
        jobs = [worker.submit(question(name)) for name in "abc"]
        with pytest.raises(BusyError, match="3 requests are waiting already") as full:
            worker.submit(question("d"))
        assert full.value.seconds >= 1
        jobs[1].cancel()  # it was never begun
        jobs.append(worker.submit(question("e")))
        go.set()
        assert [event async for event in first.events()] == ["first"]
        for job, name in zip((jobs[0], jobs[2], jobs[3]), "ace", strict=True):
            assert [event async for event in job.events()] == [name]
        assert done == ["a", "c", "e"]

    run(scenario)


def test_a_question_is_answered_between_two_steps_of_a_reading() -> None:
    order: list[str] = []

    async def scenario(worker: Worker) -> None:
        asked = threading.Event()

        def book() -> Iterator[int]:
            for number in range(3):
                order.append(f"chunk {number}")
                yield number
                asked.wait()

        def question() -> Iterator[str]:
            order.append("question")
            yield "answer"

        reading = worker.submit(book, reading=True)
        events = reading.events()
        assert await anext(events) == 0
        job = worker.submit(question)
        asked.set()
        assert [event async for event in job.events()] == ["answer"]
        assert [event async for event in events] == [1, 2]
        # It came while the second step was awaited: behind that step, and before the last.
        assert order.index("question") < order.index("chunk 2")

    run(scenario)


def test_work_that_nobody_wants_is_closed_at_its_next_event() -> None:
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    async def scenario(worker: Worker) -> None:
        events = worker.submit(endless).events()
        assert await anext(events) == 1
        await events.aclose()  # type: ignore[attr-defined]
        assert await asyncio.to_thread(closed.wait, 120)

    run(scenario)


def test_the_end_and_failures_reach_who_waits() -> None:
    go = threading.Event()

    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    def held() -> Iterator[int]:
        yield 1
        go.wait()

    async def scenario(worker: Worker) -> None:
        failed = worker.submit(failing).events()
        assert await anext(failed) == 1
        with pytest.raises(ValueError, match="broken"):
            await anext(failed)
        assert await worker.run(lambda: 5) == 5
        running, waiting = worker.submit(held).events(), worker.submit(held).events()
        assert await anext(running) == 1
        worker.stop(seconds=0)
        for events in (running, waiting):
            with pytest.raises(StoppedError, match="the server is stopping"):
                await anext(events)
        with pytest.raises(StoppedError):
            worker.submit(held)
        go.set()

    run(scenario)
