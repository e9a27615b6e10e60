"""The large files of a Hub repository, fetched into the Hub client's cache so that a kill loses nothing.

The client begins a file anew after each interruption; what is fetched here it finds in its cache.
"""

from __future__ import annotations

import errno
import http.client
import os
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from models.durable import make_folder
from models.hub import is_fetched, sha256
from mplus_cli.errors import MplusError, disk_errors
from mplus_cli.library.lock import Locked, Locks
from mplus_cli.runtime import catalog
from mplus_cli.runtime.embedded_base import Progress

PART = ".mplus"
"""Ending of a file that is not whole yet; in front of it is the checksum of the whole one."""
_BLOCK = 1 << 20
_TIMEOUT = 60.0
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES)
_POLL_SECONDS = 0.25
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class LargeFile:
    """A large file of a repository."""

    name: str
    url: str
    sha256: str
    bytes: int


def fetch_large(repository: str, progress: Progress) -> list[str]:
    """Fetch the large files of a repository that are not in the cache, from where an earlier fetch ended.

    What the Hub says no to is left to the client, which says why.

    Returns:
        The SHA-256 of each file that was fetched, and compared, now.

    Raises:
        MplusError: a file did not come whole, and what came is kept; or it came damaged, and is deleted.
    """
    what = f"fetching {repository}"
    wanted, headers = _listed(repository)
    blobs = catalog.hub_cache() / f"models--{repository.replace('/', '--')}" / "blobs"
    missing = [file for file in wanted if not (blobs / file.sha256).exists()]
    fetched = list[str]()
    if not missing:
        return fetched
    total, before = sum(file.bytes for file in wanted), 0
    with disk_errors():
        make_folder(blobs)
        with suppress(_LeaveToClient), _alone(blobs.parent, repository, progress):
            for file in wanted:
                if not (blobs / file.sha256).exists():
                    for have in _fetch(file, blobs, headers):
                        progress(what, before + have, total)
                    fetched.append(file.sha256)
                before += file.bytes
    return fetched


def _listed(repository: str) -> tuple[list[LargeFile], dict[str, str]]:
    """The large files, and what to send with a request; none where the Hub does not say."""
    try:
        from huggingface_hub import HfApi, get_token, hf_hub_url

        api = HfApi()
        commit = api.model_info(repository).sha
        found = []
        for file in api.list_repo_tree(repository, revision=commit, recursive=True):
            large: Any = getattr(file, "lfs", None)
            if large is None or not _SHA256.fullmatch(large.sha256):
                continue
            if is_fetched(file.path):
                url = hf_hub_url(repository, file.path, revision=commit)
                found.append(LargeFile(file.path, url, large.sha256, large.size))
        token = get_token()
        return found, {"Authorization": f"Bearer {token}"} if token else {}
    except Exception:  # whatever the client raises: it is asked again, and then says it in one line
        return [], {}


def _fetch(file: LargeFile, blobs: Path, headers: dict[str, str]) -> Iterator[int]:
    """Fetch what is missing of a file, as the bytes that are here, and name it by its checksum once that was
    compared: other programs that use the cache trust the name."""
    part = blobs / (file.sha256 + PART)
    try:
        with part.open("ab") as out:
            if out.tell() > file.bytes:
                out.truncate(0)
            while (before := out.tell()) < file.bytes:
                try:
                    yield from _append(file, out, headers)
                except (OSError, http.client.HTTPException):
                    if out.tell() <= before:  # else a connection broke that had brought something
                        raise
            out.flush()
            os.fsync(out.fileno())
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
            raise
        if _is_no(error):
            if not part.stat().st_size:
                part.unlink()
            raise _LeaveToClient from error
        raise MplusError(
            f"{file.url} did not come whole: {error}: run the command again, it goes on from there"
        ) from error
    if sha256(part) != file.sha256:
        part.unlink()
        raise MplusError(
            f"{file.name} is not what the Hub has, and was deleted: run the command again to fetch it"
        )
    part.replace(blobs / file.sha256)


class _LeaveToClient(Exception):
    """The client is to ask for the file, and to say why it does not come."""


def _is_no(error: Exception) -> bool:
    """Whether trying again would not help: the Hub says no, or shows a certificate that only the client may
    know."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code < http.HTTPStatus.INTERNAL_SERVER_ERROR
    return isinstance(getattr(error, "reason", None), ssl.SSLCertVerificationError)


def _append(file: LargeFile, out: IO[bytes], headers: dict[str, str]) -> Iterator[int]:
    have = out.seek(0, os.SEEK_END)
    asked = urllib.request.Request(file.url, headers=headers)
    if have:
        asked.add_header("Range", f"bytes={have}-")
    with urllib.request.build_opener(_Redirects).open(asked, timeout=_TIMEOUT) as reply:
        if have and reply.status != http.HTTPStatus.PARTIAL_CONTENT:
            have = 0
            out.truncate(0)
        while block := reply.read(_BLOCK):
            out.write(block)
            have += len(block)
            yield min(have, file.bytes)
    if have != file.bytes:
        raise http.client.HTTPException(f"{have} of {file.bytes} bytes came")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to another host, or without encryption, without the user's token."""

    def redirect_request(self, req: urllib.request.Request, *given: Any) -> Any:
        following = super().redirect_request(req, *given)
        if following is not None and (
            following.host != req.host or following.type not in (req.type, "https")
        ):
            following.remove_header("Authorization")
        return following


@contextmanager
def _alone(folder: Path, repository: str, progress: Progress) -> Iterator[None]:
    """Be the only process that fetches a repository's large files; wait for another that does."""
    locks = Locks(folder / ".locks")
    while True:
        with locks.names():
            try:
                lock = locks.take("large-files")
                break
            except Locked:
                progress(f"waiting for another mplus to fetch {repository}", 0, None)
        time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        lock.release()
