"""JSON objects from untrusted files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LARGEST = 16 << 20
"""Most bytes of a file: configurations and cards have a few thousand."""


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not a JSON object, too large, or nested too deeply; the message says which.
    """
    with open(path, "rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError(f"has more than {LARGEST} bytes")
    try:
        values = json.loads(data.decode("utf-8"))
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error
    except ValueError as error:
        raise ValueError(f"is not valid JSON ({error})") from error
    if not isinstance(values, dict):
        raise ValueError("is not a JSON object")
    return values
