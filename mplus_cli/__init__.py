"""The `mplus` command-line tool: documents, libraries of memories, sessions and the screen.

`Mplus` is the tool in Python; `docs/python.md` has it with what it takes and gives.
"""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` takes a while to import, and the command's process begins here
if TYPE_CHECKING:
    from typing import Any

    from mplus_cli.api import LoadedMemory, MemoryHandle, Mplus
    from mplus_cli.asking.events import Answer, Retrieved, Source, TextDelta
    from mplus_cli.asking.question import Question
    from mplus_cli.errors import MplusError

__version__ = "0.1.0"
__all__ = [
    "Answer",
    "LoadedMemory",
    "MemoryHandle",
    "Mplus",
    "MplusError",
    "Question",
    "Retrieved",
    "Source",
    "TextDelta",
]

_WHERE = {
    **dict.fromkeys(("LoadedMemory", "MemoryHandle", "Mplus"), "mplus_cli.api"),
    **dict.fromkeys(("Answer", "Retrieved", "Source", "TextDelta"), "mplus_cli.asking.events"),
    "Question": "mplus_cli.asking.question",
    "MplusError": "mplus_cli.errors",
}
"""Imported when they are asked for, so that `mplus --help` stays quick."""


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_WHERE[name]), name)
