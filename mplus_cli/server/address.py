"""Where a running server of a library is found: a private file in its home, which a lock says is true.

A file that a killed server left behind is not trusted, because its lock is gone. Independent of HTTP.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from models.durable import new_file
from mplus_cli.errors import disk_errors
from mplus_cli.library.lock import Locked, Locks
from mplus_cli.library.privacy import FILE
from mplus_cli.settings import Settings

_FOLDER = ".server"
_LOCK = "running"
_FILE = "address.json"


@dataclass(frozen=True, slots=True)
class Address:
    """A server, and the settings that its answers follow."""

    host: str
    port: int
    socket: str | None
    """The path of a Unix socket; None: host and port count."""
    token: str | None
    model: str
    device: str
    dtype: str

    def serves(self, settings: Settings) -> bool:
        """Whether it answers as a command with these settings would."""
        asked = (settings.model, settings.device, settings.dtype)
        return asked == (self.model, self.device, self.dtype)


@contextmanager
def published(home: Path, address: Address) -> Iterator[bool]:
    """Publish an address for the block; yields whether it was published: only one server of a home is."""
    locks = Locks(home / _FOLDER)
    with disk_errors(), locks.names():
        try:
            lock = locks.take(_LOCK)
        except Locked:
            lock = None
    if lock is None:
        yield False
        return
    path = home / _FOLDER / _FILE
    try:
        with disk_errors(), new_file(path, mode=FILE, replace=True) as file:
            file.write(json.dumps(asdict(address)).encode())
        yield True
    finally:
        path.unlink(missing_ok=True)
        lock.release()


def find_address(home: Path) -> Address | None:
    """The address of the server that runs for a home; None where there is none."""
    folder = home / _FOLDER
    try:
        if not (folder / _FILE).is_file() or not Locks(folder).is_held(_LOCK):
            return None
        return Address(**json.loads((folder / _FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, AttributeError):
        return None
