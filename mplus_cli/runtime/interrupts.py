"""Makes sure that Ctrl-C is not lost: if a library swallows the exception, the next check raises it again.

Libraries do so while they are imported, and in callbacks that must not raise. Imports nothing heavy.
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
    """A handler of SIGINT that raises KeyboardInterrupt, and remembers it."""

    def __init__(self) -> None:
        self.seen = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.seen = True
        raise KeyboardInterrupt


def check() -> None:
    """Raise KeyboardInterrupt if Ctrl-C came and was swallowed."""
    handler = signal.getsignal(signal.SIGINT)
    if isinstance(handler, Interrupts) and handler.seen:
        raise KeyboardInterrupt


def acknowledge() -> None:
    """Forget a Ctrl-C whose KeyboardInterrupt was handled."""
    handler = signal.getsignal(signal.SIGINT)
    if isinstance(handler, Interrupts):
        handler.seen = False


def without_interrupts(hook: Hook) -> Hook:
    """The hook for unraisable exceptions, silent about KeyboardInterrupt, which `check` raises."""

    def quiet(unraisable: UnraisableHookArgs) -> object:
        if isinstance(unraisable.exc_value, KeyboardInterrupt):
            return None
        return hook(unraisable)

    return quiet
