"""Finds the base of a checkpoint: next to it, in the Hub's cache, or on the Hub."""

from __future__ import annotations

import json
from pathlib import Path

from mplus_cli.errors import UsageError
from mplus_cli.runtime.catalog import CARD, ModelChoice


def find_base(choice: ModelChoice) -> Path:
    """The base of a model; UsageError if its checkpoint does not say where it is."""
    from models.checkpoints import CheckpointError
    from models.checkpoints.base import fetch_from_hub

    if choice.base is not None:
        return choice.base
    path = Path(choice.reference)
    try:
        if not path.exists():
            path = fetch_from_hub(str(choice.reference))
        if (path / CARD).is_file():
            reference = str(json.loads((path / CARD).read_text(encoding="utf-8"))["base"])
            near = (path / reference).resolve()
            return near if near.exists() else fetch_from_hub(reference)
        config = {} if path.is_file() else json.loads((path / "config.json").read_text())
        if "num_blocks" not in config:
            return path
    except (OSError, ValueError, KeyError, CheckpointError):
        pass
    raise UsageError(
        f"the base of {choice.name} cannot be found: give --base FOLDER, or arms that need none"
    )
