"""What these programs share: the tiny model, tokenizer and documents of the library's tests."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

TESTS = Path(__file__).resolve().parents[2] / "tests"


def load_helpers(path: str = "library/tiny.py") -> Any:
    """A module of the tests, by its path there: test folders are not packages."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, TESTS / path)
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def report(figures: Mapping[str, object]) -> None:
    """Print one line of JSON."""
    print(json.dumps(figures))


def part(text: str) -> tuple[int, int]:
    """`K/N`, the K-th of N parts of a sweep, as (K, N); ValueError if it is none."""
    which, _, parts = text.partition("/")
    found = int(which), int(parts)
    if not 1 <= found[0] <= found[1]:
        raise ValueError(text)
    return found
