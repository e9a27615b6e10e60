"""A model's tokenizer and its reading speed, without loading weights or fetching anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mplus_cli.errors import MismatchError, MplusError, UsageError
from mplus_cli.runtime.downloads import model_folder
from mplus_cli.runtime.pace import seconds_per_token
from mplus_cli.runtime.tokens import PlainTokenizer
from mplus_cli.settings import Settings


def measure(
    settings: Settings, note: Callable[[str], None]
) -> tuple[PlainTokenizer, float | None] | None:
    """The tokenizer, and the seconds it takes to read a token (None if unknown).

    None where the model is not on this machine, which `note` is told.

    Raises:
        MplusError: there is no such model, or its tokenizer is damaged.
    """
    try:
        folder = model_folder(settings)
    except UsageError:
        raise
    except MplusError as error:
        note(f"tokens are not counted: {error}")
        return None
    return _load(folder, settings.model), seconds_per_token(folder, settings.device)


def reading_pace(settings: Settings) -> float | None:
    """The seconds that it takes to read a token; None where the model is not on this machine, or unknown."""
    try:
        return seconds_per_token(model_folder(settings), settings.device)
    except MplusError:
        return None


def _load(folder: Path, name: str) -> PlainTokenizer:
    from models.checkpoints import CheckpointError
    from models.checkpoints.base import load_tokenizer

    try:
        return PlainTokenizer(load_tokenizer(folder))
    except (CheckpointError, OSError, ValueError) as error:
        raise MismatchError(f"{name}: the tokenizer cannot be read: {error}") from error
