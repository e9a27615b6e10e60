"""Watches folders for documents that come or change, by looking again and again: that works on every file
system, network folders included. Opens none of the files."""

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from mplus_cli.documents.model import DocumentError, Source
from mplus_cli.documents.sources import find_sources

SECONDS = 2.0
"""Between two looks. What has not changed from one to the next is taken for complete."""

_Stamp = tuple[int, int, int]


class Watch:
    """What comes into folders, or changes there, from now on.

    Args:
        arguments: files and folders, as `find_sources` takes them.
    """

    def __init__(self, arguments: Sequence[str], seconds: float = SECONDS) -> None:
        self._arguments = arguments
        self._seconds = seconds
        self._given = {path: stamp for path, (stamp, _) in self._look().items()}
        self._seen = dict(self._given)

    def wait(self) -> list[Source]:
        """Wait until there is something, and return it, in the order of reading."""
        while True:
            time.sleep(self._seconds)
            found = self._look()
            settled = {
                path: stamp
                for path, (stamp, _) in found.items()
                if stamp == self._seen.get(path) and stamp != self._given.get(path)
            }
            self._seen = {path: stamp for path, (stamp, _) in found.items()}
            if settled:
                self._given |= settled
                return [found[path][1] for path in settled]

    def _look(self) -> dict[Path, tuple[_Stamp, Source]]:
        found: dict[Path, tuple[_Stamp, Source]] = {}
        for argument in self._arguments:
            with suppress(DocumentError):  # nothing is there for now
                for source in find_sources([argument]):
                    with suppress(OSError):
                        assert source.path is not None
                        status = source.path.stat()
                        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
                        found[source.path] = (stamp, source)
        return found
