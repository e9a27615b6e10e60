"""Whether and where a conversation is kept. If it cannot be kept, one warning says so; answers go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mplus_cli.errors import MplusError
from mplus_cli.history.store import History, check_name


@dataclass(slots=True)
class Record:
    """The place of one conversation in the history; `id` None: it has none yet."""

    history: History
    command: str
    wanted: bool
    """Whether turns are kept without being asked to (`history` in the settings)."""
    warn: Callable[[str], None]
    id: int | None = None

    def add(self, details: Mapping[str, Any]) -> None:
        """Keep a turn, where that is wanted."""
        if not self.wanted:
            return
        with self._warned():
            self.id = self.history.keep(self.id, self.command, [details])

    def drop_last(self) -> None:
        """Forget the last turn, which is asked again; where turns are not kept, the last that is kept
        was an earlier one, and stays."""
        if self.wanted and self.id is not None:
            with self._warned():
                self.history.drop_last(self.id)

    def save(self, name: str, turns: Sequence[Mapping[str, Any]]) -> None:
        """Keep the conversation under a name, and the turns that follow.

        Raises:
            UsageError: it cannot be called so.
            MplusError: it cannot be kept.
        """
        check_name(name)
        if self.id is not None:
            self.history.rename(self.id, name)
        elif turns:
            self.id = self.history.keep(None, self.command, turns, name)
        self.wanted = True

    @contextmanager
    def _warned(self) -> Iterator[None]:
        """Keep nothing from now on if the history cannot be written."""
        try:
            yield
        except MplusError as error:
            self.wanted = False
            self.warn(f"questions and answers are not kept: {error}")
