"""Ctrl-C that a library swallows is not lost."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

import pytest

from mplus_cli.runtime.interrupts import Interrupts, check


@pytest.fixture(autouse=True)
def own_handler() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, Interrupts())
    yield
    signal.signal(signal.SIGINT, before)


def test_a_swallowed_interrupt_is_raised_again() -> None:
    check()
    with contextlib.suppress(BaseException):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):  # the handler runs between bytecodes
            pass
    with pytest.raises(KeyboardInterrupt):
        check()
