"""What killed processes left under a home: unfinished memories, and models that were being fetched."""

from __future__ import annotations

from pathlib import Path

from mplus_cli.library import Library
from mplus_cli.library.space import collect as collect_memories
from mplus_cli.runtime import embedded_base


def collect(home: Path) -> list[tuple[Path, int]]:
    """Delete it, except what a running process is writing; returns what was deleted, with its bytes."""
    return [*collect_memories(Library(home)), *embedded_base.collect(home)]
