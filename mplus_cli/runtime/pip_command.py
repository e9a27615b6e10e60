"""Finds a way to call pip, even in an environment without it (such as those of `uv tool install`)."""

from __future__ import annotations

import importlib.util
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from mplus_cli.errors import MplusError


def pip_command() -> list[str]:
    """The command line that pip's arguments follow: its module, or the wheel that comes with Python.

    Raises:
        MplusError: there is neither.
    """
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    for folder in _wheel_folders():
        for wheel in sorted(folder.glob("pip-*.whl")):
            return [sys.executable, str(wheel / "pip")]
    raise MplusError(
        "the base model cannot be fetched: this Python has no pip: install it beside mplus "
        "(uv tool install --with pip mplus), then run the same command again"
    )


def _wheel_folders() -> Iterator[Path]:
    """Where `ensurepip` looks for the wheel of pip: some Linux distributions keep it outside of Python."""
    found = importlib.util.find_spec("ensurepip")
    if found is not None and found.origin is not None:
        yield Path(found.origin).parent / "_bundled"
    if folder := sysconfig.get_config_var("WHEEL_PKG_DIR"):
        yield Path(folder)
