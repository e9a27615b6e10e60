"""Optional libraries, imported when they are used: `mplus[eval]` and `mplus[ray]`."""

from __future__ import annotations

import importlib
from typing import Any

from mplus_cli.errors import MplusError


def require(module: str, extra: str = "eval") -> Any:
    """A module of an extra; MplusError that says what to install if it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        raise MplusError(
            f"{name} is not installed: install it with: pip install 'mplus[{extra}]'"
        ) from error
