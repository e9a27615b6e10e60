"""The names of the memories that exist. Imports little: a question to a running server needs no more."""

from __future__ import annotations

from pathlib import Path

from mplus_cli.errors import MplusError
from mplus_cli.library.names import may_exist


def folder_of_memories(home: Path) -> Path:
    """Where the memories of a home are."""
    return home / "memories"


def names_in(folder: Path) -> list[str]:
    """The names of the memories in their folder, sorted; MplusError if it cannot be read."""
    try:
        entries = [entry for entry in folder.iterdir() if may_exist(entry.name)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise MplusError(f"cannot read {folder}: {error.strerror}: check the folder") from error
    return sorted(entry.name for entry in entries if entry.is_dir())
