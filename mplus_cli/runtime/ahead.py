"""Loads the largest library of torch ahead of its import, in a thread, while Python imports other modules.

The system's loader takes 0.15 s to map, relocate and initialise it, needs none of Python's locks meanwhile,
and does so once for a process. Nothing depends on it: where it fails, importing torch does the same again,
and says why.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from importlib import import_module
from importlib.machinery import PathFinder
from pathlib import Path

LIBRARY = "lib/libtorch_cpu.so"
_LIBRARIES = ("ctypes", "hashlib", "mmap", "queue", "secrets", "sqlite3", "unicodedata")
"""Modules, libraries themselves, that answering imports in any case: first, as the loader has a lock."""
_THREAD = "mplus-torch"


def load_torch_ahead() -> None:
    """Begin to load it, for a command that will import torch in any case; where that was done already, or the
    library is not where it is expected, nothing happens."""
    if sys.platform != "linux" or "torch" in sys.modules:
        return
    if any(thread.name == _THREAD for thread in threading.enumerate()):
        return
    spec = PathFinder.find_spec("torch")
    path = Path(spec.origin).parent / LIBRARY if spec and spec.origin else None
    if path is None or not path.exists():
        return
    for name in _LIBRARIES:
        import_module(name)
    # The function `dlopen` itself: `ctypes.CDLL(path)` would hold Python's lock.
    work = (os.fsencode(path), os.RTLD_NOW)
    threading.Thread(target=_dlopen, args=work, name=_THREAD, daemon=True).start()


def _dlopen(path: bytes, mode: int) -> None:
    import ctypes

    with suppress(Exception):  # a thread would print it, and importing torch says the same
        ctypes.CDLL(None).dlopen(path, mode)
