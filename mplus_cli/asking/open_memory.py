"""A memory that is open for questions: loaded for a model, with the store that its texts come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mplus_cli.asking.confidence import Calibration, read_calibration
from mplus_cli.asking.words import word_weights
from mplus_cli.library import StoredMemory
from mplus_cli.library.values import View
from mplus_cli.runtime import interrupts
from mplus_cli.runtime.session import Session

if TYPE_CHECKING:
    from models.memory import Memory


@dataclass(frozen=True, slots=True)
class OpenMemory:
    """A memory that is loaded, and the store its texts come from."""

    stored: StoredMemory
    memory: Memory
    view: View
    """What the store said of it when it was loaded."""
    calibration: Calibration | None = None
    """How much the checkpoint weighs words in finding, and its confidence; None if it has neither."""
    texts: tuple[str, ...] = ()
    """The texts of all chunks, to match words in; empty where words count for nothing."""

    def all_texts(self) -> Sequence[str]:
        """The texts of all chunks, whether words count or not."""
        return self.texts or self.stored.texts(self.memory.chunks)


def load_memory(session: Session, stored: StoredMemory) -> OpenMemory:
    """Load a memory for the session's model.

    Raises:
        MismatchError: another model wrote it, or it is damaged.
    """
    stored.check(session.identity)
    session.check_dtype(stored)
    view, memory = stored.load_view(session.model.device)
    stored.check_loaded(view, memory, like=session.model.empty_memory())
    calibration = read_calibration(Path(session.choice.reference))
    by_words = word_weights(session, calibration) is not None
    texts = stored.texts(memory.chunks) if by_words else []
    interrupts.check()
    return OpenMemory(stored, memory, view, calibration, tuple(texts))


def check_readers(session: Session, opened: OpenMemory) -> None:
    """Check that all readers of an answer are there: what needs none, as `find`, works without them.

    Raises:
        MismatchError: the reader of text is missing or damaged.
    """
    if opened.calibration and opened.calibration.has_second:
        session.text_reader()


def refreshed(session: Session, opened: OpenMemory) -> OpenMemory:
    """The memory, loaded again if a document was removed from it since: its chunks are renumbered then.

    Raises:
        MplusError: it is empty now, or gone.
    """
    is_same = opened.stored.view().rebuilt == opened.view.rebuilt
    return opened if is_same else load_memory(session, opened.stored)
