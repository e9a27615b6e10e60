"""The user's editor, on a file or on a text."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from mplus_cli.errors import MplusError


def edit_file(path: Path) -> None:
    """Let the user edit a file in VISUAL, EDITOR or vi; MplusError if that fails."""
    usual = "notepad" if sys.platform == "win32" else "vi"
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or usual
    try:
        done = subprocess.run([*shlex.split(command), str(path)], check=False)
    except (OSError, ValueError) as error:
        raise MplusError(
            f"the editor {command} cannot be started: set EDITOR to one that is here"
        ) from error
    if done.returncode:
        raise MplusError(f"the editor {command} failed with exit code {done.returncode}")


def edit_text(text: str) -> str:
    """A text as the user leaves it, in a file that no one else can read; MplusError as `edit_file`."""
    with tempfile.TemporaryDirectory(prefix="mplus-") as folder:
        path = Path(folder) / "text.md"
        path.write_text(text, encoding="utf-8")
        edit_file(path)
        return path.read_text(encoding="utf-8", errors="replace").strip()
