"""Does the next piece of work in another thread while the current result is used.

Independent of documents. Such work should wait outside Python (for a process, a file) or run in code that
releases the interpreter, and should show nothing: the screen belongs to the consumer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")
Outcome = Callable[[], T]
"""Returns what a piece of work returned, or raises what it raised; called once."""

_NAME = "mplus-ahead"


def one_ahead(works: Sequence[Callable[[], T]]) -> Iterator[Outcome[T]]:
    """The outcomes of works, in order: the next is under way while one is being used.

    The first is done in the consumer's thread. An abandoned thread does not keep the process from ending.
    """
    present: Outcome[T] | None = None
    for index, work in enumerate(works):
        value = _settle(present or work)
        present = _start(works[index + 1]) if index + 1 < len(works) else None
        yield value


def is_ahead() -> bool:
    """Whether this code runs ahead, in a thread of `one_ahead`."""
    return threading.current_thread().name == _NAME


def _start(work: Callable[[], T]) -> Outcome[T]:
    done: SimpleQueue[Outcome[T]] = SimpleQueue()
    threading.Thread(target=lambda: done.put(_settle(work)), name=_NAME, daemon=True).start()
    return lambda: done.get()()


def _settle(work: Callable[[], T]) -> Outcome[T]:
    """Do it now, and keep the outcome for later."""
    try:
        value = work()
    except BaseException as error:  # a thread that died of it would be waited for
        return _raising(error)
    return lambda: value


def _raising(error: BaseException) -> Outcome[T]:
    def fail() -> T:
        raise error

    return fail
