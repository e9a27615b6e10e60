"""Keeps Python's garbage collector from scanning long-lived objects.

Importing torch and transformers makes millions of objects, and the collector scans them again and again:
a second of a cold start.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def held_back() -> Iterator[None]:
    """Collect nothing during the block, and ignore what exists at its end until the next block begins.

    Then it is collected, so that a model that was replaced is freed.
    """
    was_on = gc.isenabled()
    if gc.get_freeze_count():
        gc.unfreeze()
        gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()
