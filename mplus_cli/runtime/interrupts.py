"""Ctrl-C that cannot be lost: whoever swallows the exception, it is seen again at the next check.

Libraries swallow it: while they are imported, in callbacks that must not raise. Imports nothing heavy.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

    Hook = Callable[[UnraisableHookArgs], object]


class Interrupts:
    """A handler of SIGINT that raises, and remembers."""

    def __init__(self) -> None:
        self.seen = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.seen = True
        raise KeyboardInterrupt


def check() -> None:
    """Raise KeyboardInterrupt if Ctrl-C came and nobody heeded it."""
    handler = signal.getsignal(signal.SIGINT)
    if isinstance(handler, Interrupts) and handler.seen:
        raise KeyboardInterrupt


def heeded() -> None:
    """Forget a Ctrl-C whose KeyboardInterrupt was caught and acted upon."""
    handler = signal.getsignal(signal.SIGINT)
    if isinstance(handler, Interrupts):
        handler.seen = False


def without_interrupts(hook: Hook) -> Hook:
    """The hook for exceptions nobody can catch, silent about those of Ctrl-C: `check` has them."""

    def quiet(unraisable: UnraisableHookArgs) -> object:
        if isinstance(unraisable.exc_value, KeyboardInterrupt):
            return None
        return hook(unraisable)

    return quiet
