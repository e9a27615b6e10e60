"""The C library's allocator, told to keep what one pass frees for the next.

glibc gives large blocks back to the system as soon as they are free, and the next pass pays for each
of their pages again. Kept, they fall into pieces over hours, and the process grows; so now and then
all of them are given back. Elsewhere (another system or C library) nothing is changed, nor where the
environment already tunes the allocator.
"""

from __future__ import annotations

import ctypes
import os
import sys

_TUNED = ("GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_")
_SETTINGS = {
    -3: 32 << 20,  # M_MMAP_THRESHOLD, the most that every glibc takes: smaller blocks are kept
    -1: 256 << 20,  # M_TRIM_THRESHOLD: so many free bytes at the end stay
    -2: 64 << 20,  # M_TOP_PAD: asked for at a time
}


def keep_freed_memory() -> bool:
    """Keep freed blocks for reuse, from now on; whether that could be arranged."""
    library = _glibc()
    return library is not None and all(
        library.mallopt(what, size) == 1 for what, size in _SETTINGS.items()
    )


def give_back_freed_memory() -> bool:
    """Give the pages of all freed blocks back to the system, this once; whether there were any."""
    library = _glibc()
    return library is not None and library.malloc_trim(0) == 1


def _glibc() -> ctypes.CDLL | None:
    """The C library, where it is one that may be told something."""
    if sys.platform != "linux" or any(name in os.environ for name in _TUNED):
        return None
    try:
        library = ctypes.CDLL(None)
        _ = library.gnu_get_libc_version, library.malloc_trim  # which others do not have
    except (OSError, AttributeError):
        return None
    return library
