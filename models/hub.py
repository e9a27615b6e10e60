"""Models from the Hugging Face Hub, fetched into the Hub client's cache and checked file by file.

Only weights in safetensors, and text, are fetched: no pickles, no code. Deals with files, not with
tensors.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

FILES = ("*.json", "*.safetensors", "*.jinja", "*.model", "merges.txt")
"""The files of a repository that are fetched, ..."""
LEFT_OUT = ("consolidated*.safetensors",)
"""... but for these: Mistral's weights a second time, under other names."""


class HubError(ValueError):
    """The Hub does not give a model; one line: why, and what to do."""


def fetch(repository: str) -> Path:
    """The local snapshot of a repository; what is missing is downloaded where the network is on.

    `HF_ENDPOINT`, `HF_TOKEN`, `HF_HOME` and `HF_HUB_OFFLINE` are the Hub client's own.

    Raises:
        HubError: not cached and offline, no such repository, or one whose licence was not accepted.
    """
    from huggingface_hub import errors, snapshot_download

    offline = is_offline()
    try:
        with _quiet():
            folder = snapshot_download(
                repository,
                allow_patterns=list(FILES),
                ignore_patterns=list(LEFT_OUT),
                local_files_only=offline,
            )
    except errors.GatedRepoError as error:
        raise HubError(
            f"{repository} is given to those who accept its licence: do so at "
            f"{_page(repository)}, then log in with `hf auth login`, or set HF_TOKEN"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise HubError(
            f"{repository} is not on the Hub, or is private: check the name, or set HF_TOKEN"
        ) from error
    except errors.LocalEntryNotFoundError as error:
        why = "the network is off" if offline else "the Hub cannot be reached"
        raise HubError(
            f"{repository} is not in the local cache and {why}: give a folder, or fetch it online"
        ) from error
    except errors.HFValidationError as error:
        raise HubError(f"{repository} is neither a local folder nor a Hub id") from error
    except Exception as error:  # the client's HTTP library raises its own kinds
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise HubError(f"{repository}: the Hub does not provide it: {lines[0]}") from error
    return Path(folder)


def is_fetched(file: str) -> bool:
    """Whether a file of a repository, by its path there, is one of those that are fetched."""
    return _matches(file, FILES) and not _matches(file, LEFT_OUT)


def _matches(file: str, patterns: Collection[str]) -> bool:
    return any(fnmatch(file, pattern) for pattern in patterns)


def damaged(folder: Path, known: Collection[str] = ()) -> list[Path]:
    """The files of a snapshot whose bytes are not those that the Hub has; they are deleted, so that the
    next `fetch` brings them again.

    The Hub client names a file in its cache after the Hub's checksum: the SHA-256 of a large file, of
    others Git's SHA-1. Where it makes no links, nothing can be compared.

    Args:
        known: checksums of files that were compared a moment ago.
    """
    found = []
    for path in sorted(folder.rglob("*")):
        blob = path.resolve()
        if blob.name in known:
            continue
        if path.is_symlink() and blob.is_file() and _checksum(blob) not in (blob.name, None):
            blob.unlink()
            path.unlink()
            found.append(path)
    return found


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_offline() -> bool:
    """Whether the environment says that the network is not to be used."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def _checksum(blob: Path) -> str | None:
    """The checksum of a file, of the kind that it is named after; None if that is not one."""
    if set(blob.name) - set("0123456789abcdef"):
        return None
    if len(blob.name) == 64:
        return sha256(blob)
    if len(blob.name) == 40:  # a small file: it is no large one to the Hub
        held = blob.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(held) + held, usedforsecurity=False).hexdigest()
    return None


def _page(repository: str) -> str:
    return f"{os.environ.get('HF_ENDPOINT', 'https://huggingface.co').rstrip('/')}/{repository}"


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars of the Hub client inside."""
    from huggingface_hub import utils as hub

    hide = not hub.are_progress_bars_disabled()  # type: ignore[attr-defined]
    if hide:
        hub.disable_progress_bars()  # type: ignore[attr-defined]
    try:
        yield
    finally:
        if hide:
            hub.enable_progress_bars()  # type: ignore[attr-defined]
