"""Tells the C library's allocator to keep what one pass frees for the next, and torch to keep few kernels.

glibc returns large blocks to the system as soon as they are free, and the next pass pays for each of
their pages again. Blocks that are kept fragment over hours, and the process grows; so now and then all of
them are returned. Nothing changes with another system or C library, nor where the environment already
tunes the allocator.
"""

from __future__ import annotations

import ctypes
import os
import sys

_TUNED = ("GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_")
_SETTINGS = {
    -3: 32 << 20,  # M_MMAP_THRESHOLD, at the maximum of every glibc: smaller blocks are kept
    -1: 256 << 20,  # M_TRIM_THRESHOLD: free bytes kept at the end of the heap
    -2: 64 << 20,  # M_TOP_PAD: bytes requested at a time
}

KERNELS = "64"
"""More than a pass needs: reading is as fast with 16."""
_KERNEL_CACHES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
"""oneDNN's own, and that of what torch calls it through (ideep), which holds on to what the first let go."""


def keep_freed_memory() -> bool:
    """Keep freed blocks for reuse from now on; returns whether that was possible."""
    library = _glibc()
    return library is not None and all(
        library.mallopt(what, size) == 1 for what, size in _SETTINGS.items()
    )


def share_arena() -> bool:
    """Let threads allocate from the same blocks from now on; returns whether that was possible.

    What one of them frees another can use then, which takes 6 MB less at the peak of a single question.
    """
    library = _glibc()
    return library is not None and library.mallopt(-8, 1) == 1  # M_ARENA_MAX


def keep_few_kernels() -> None:
    """Let torch keep the kernels of so many shapes, where the environment does not say how many.

    oneDNN compiles matrix products for each number of rows, and 1,024 kernels are kept, twice: megabytes
    for each length that the last chunk of a document has, so that a process that reads many documents
    grows all along. To be called before the first matrix product.
    """
    for name in _KERNEL_CACHES:
        os.environ.setdefault(name, KERNELS)


def give_back_freed_memory() -> bool:
    """Return the pages of all freed blocks to the system once; returns whether there were any."""
    library = _glibc()
    return library is not None and library.malloc_trim(0) == 1


def _glibc() -> ctypes.CDLL | None:
    """The C library, if it is glibc and not tuned already."""
    if sys.platform != "linux" or any(name in os.environ for name in _TUNED):
        return None
    try:
        library = ctypes.CDLL(None)
        _ = library.gnu_get_libc_version, library.malloc_trim  # only glibc has it
    except (OSError, AttributeError):
        return None
    return library
