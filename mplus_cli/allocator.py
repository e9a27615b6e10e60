"""The C library's allocator, told to keep what one pass frees for the next.

glibc gives large blocks back to the system as soon as they are free, and the next pass pays for each
of their pages again. Elsewhere (another system or C library) nothing is changed, nor where the
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
    if sys.platform != "linux" or any(name in os.environ for name in _TUNED):
        return False
    try:
        library = ctypes.CDLL(None)
        _ = library.gnu_get_libc_version  # which other C libraries do not have
        return all(library.mallopt(what, size) == 1 for what, size in _SETTINGS.items())
    except (OSError, AttributeError):
        return False
