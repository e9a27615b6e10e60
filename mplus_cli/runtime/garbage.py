"""Python's garbage collector, kept from looking through what stays.

Importing torch and transformers makes millions of objects, and the collector goes through all there
are again and again: a second of a cold start.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def held_back() -> Iterator[None]:
    """Collect nothing for the block, and leave what there is at its end alone until the next block.

    Then what has become of it is collected, so that a model that was dropped for another goes.
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
