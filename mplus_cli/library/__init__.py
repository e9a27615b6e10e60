"""The library of memories: folders that survive a crash at any moment, and portable snapshots.

Knows tensors only as files hold them, and no terminal. Nothing here imports torch before a memory
is loaded or written, so that listing memories is quick.
"""

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
