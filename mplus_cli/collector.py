"""Python's garbage collector, held back where only lasting objects are made.

Importing torch and transformers makes millions of them, and the collector looks through all there are
again and again: a second of a cold start.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def held_back() -> Iterator[None]:
    """Collect nothing for the block."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
