"""The library of memories: folders that survive a crash at any moment, and portable snapshots.

Handles tensors only as files hold them, and prints nothing. Nothing here imports torch before a memory is
loaded or written, so that listing memories is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mplus_cli.library import snapshot
    from mplus_cli.library.library import Library
    from mplus_cli.library.stored import StoredMemory
    from mplus_cli.library.values import (
        ChunkPlace,
        ChunkRow,
        DocumentRow,
        DocumentSpan,
        MemoryMap,
        MemorySummary,
        ModelIdentity,
        NewChunk,
        NewDocument,
        Problem,
        Progress,
        SegmentRow,
    )
    from mplus_cli.library.writer import Writer

__all__ = [
    "ChunkPlace",
    "ChunkRow",
    "DocumentRow",
    "DocumentSpan",
    "Library",
    "MemoryMap",
    "MemorySummary",
    "ModelIdentity",
    "NewChunk",
    "NewDocument",
    "Problem",
    "Progress",
    "SegmentRow",
    "StoredMemory",
    "Writer",
    "snapshot",
]

_ELSEWHERE = {"Library": "library", "StoredMemory": "stored", "Writer": "writer"}
"""The module of a name; of all others it is `values`."""


def __getattr__(name: str) -> Any:
    """A name from its module: asking a server needs the locks of a library, and nothing else of it."""
    if name == "snapshot":
        return import_module("mplus_cli.library.snapshot")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ELSEWHERE.get(name, 'values')}"), name)
