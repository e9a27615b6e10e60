"""The libraries that only experiments need, imported when they are used (`mplus[eval]`)."""

from __future__ import annotations

import importlib
from typing import Any

from mplus_cli.errors import MplusError


def require(module: str) -> Any:
    """An optional module; MplusError that says what to install if it is not there."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        raise MplusError(
            f"{name} is not installed: install it with: pip install 'mplus[eval]'"
        ) from error
