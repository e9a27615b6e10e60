"""Watches folders for documents that come or change, by looking again and again: that works on every file
system, network folders included. Opens none of the files."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from mplus_cli.documents.model import DocumentError, Source
from mplus_cli.documents.sources import find_sources

SECONDS = 2.0
"""Between two looks. What has not changed from one to the next is taken for complete."""

_Stamp = tuple[int, int, int]


def _ignore(_: str) -> None:
    pass


class Watch:
    """What is in folders, and what comes into them or changes there later.

    Args:
        arguments: files and folders, as `find_sources` takes them.
        note: receives lines about what else is there in the beginning.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        seconds: float = SECONDS,
        *,
        note: Callable[[str], None] = _ignore,
    ) -> None:
        self._arguments = arguments
        self._seconds = seconds
        self._given: dict[Path, _Stamp] = {}
        self._seen = {path: stamp for path, (stamp, _) in self._look(note).items()}

    @property
    def is_empty(self) -> bool:
        """Whether no document was there at the last look."""
        return not self._seen

    def wait(self, ready: Callable[[], bool] = lambda: True) -> list[Source]:
        """Wait until there is something new that is complete, and `ready`; returns it, in the order of
        reading."""
        while True:
            time.sleep(self._seconds)
            found = self._look()
            settled = {
                path: stamp
                for path, (stamp, _) in found.items()
                if stamp == self._seen.get(path) and stamp != self._given.get(path)
            }
            self._seen = {path: stamp for path, (stamp, _) in found.items()}
            if settled and ready():
                self._given |= settled
                return [found[path][1] for path in settled]

    def give_again(self, sources: Iterable[Source]) -> None:
        """Let the next `wait` return these too, which could not be read now."""
        for source in sources:
            if source.path is not None:
                self._given.pop(source.path, None)

    def _look(self, note: Callable[[str], None] = _ignore) -> dict[Path, tuple[_Stamp, Source]]:
        found: dict[Path, tuple[_Stamp, Source]] = {}
        for argument in self._arguments:
            try:
                sources = find_sources([argument], note)
            except DocumentError as error:  # nothing is there for now
                note(str(error))
                continue
            for source in sources:
                with suppress(OSError):
                    assert source.path is not None
                    status = source.path.stat()
                    stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
                    found[source.path] = (stamp, source)
        return found
