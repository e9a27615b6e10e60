"""When small files of long-term memory are merged into a larger one.

Files are of four sizes, each `FAN` times the one before; `FAN` of a size in a row become one of a larger,
and the largest are left alone. So a memory of n tokens has about n / 131,072 files and a few dozen more,
and no token is rewritten more than a handful of times. What merges follows from the sizes alone: an
interrupted and resumed run leaves the same files as an uninterrupted one. Does no I/O.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, takewhile

FAN = 8
SIZES = (0, 2_048, 16_384, 131_072)
"""Memory tokens per layer from which a file is of each size."""


def to_merge(tokens: Sequence[int], new: int) -> int:
    """The number of last files that are merged into the new one.

    Args:
        tokens: memory tokens per layer of each file, oldest first.
        new: of the file that is about to be written.
    """
    newest_first = [new, *reversed(tokens)]
    for low, high in pairwise(SIZES):
        run = list(takewhile(high.__gt__, newest_first))
        # Smaller ones in between are merged too, but do not count.
        places = [place for place, count in enumerate(run) if count >= low]
        if len(places) >= FAN:
            return [*places, len(run)][FAN] - 1
    return 0
