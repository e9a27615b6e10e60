"""A library of memories, and what can be done with one of them. Prints nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from mplus_cli.api.loading import LoadedMemory, Loader, silent
from mplus_cli.asking.events import Answer, Event, Source
from mplus_cli.asking.excerpts import Excerpt, read_chapter, read_excerpt
from mplus_cli.asking.question import Question, check
from mplus_cli.asking.scope import chunks_outside
from mplus_cli.documents import DocumentError
from mplus_cli.documents import Source as DocumentSource
from mplus_cli.ingest import events, job
from mplus_cli.ingest.changed import Replacement
from mplus_cli.library import (
    DocumentRow,
    Library,
    MemoryMap,
    MemorySummary,
    StoredMemory,
    snapshot,
)
from mplus_cli.library.mapping import draw_map
from mplus_cli.library.names import validate_name
from mplus_cli.runtime.embedded_base import Progress
from mplus_cli.runtime.model_info import describe
from mplus_cli.runtime.session import Note, open_memory
from mplus_cli.settings import Flags, Settings, resolve


def _keeps_both(_: Replacement) -> bool:
    return False


class Mplus:
    """The memories under a home folder, and one model, which is loaded when it is first needed.

    What is not given is taken from the environment and the config file, as by the commands. At most
    one model is in memory. To be used by one thread at a time; listing and showing by any.

    Args:
        home: folder of memories and models.
        model: its name, folder or Hub id.
        device: "auto", "cpu", "cuda" or "mps".
        dtype: of the weights: "float32", "bfloat16" or "float16".
        offline: True: the network is never used.
        note: called with a line that a user should see, such as that a document was read in part.

    Raises:
        UsageError: a value that is not allowed.
    """

    def __init__(
        self,
        home: Path | str | None = None,
        *,
        model: str | None = None,
        device: str | None = None,
        dtype: str | None = None,
        offline: bool | None = None,
        note: Note = silent,
    ) -> None:
        folder = None if home is None else Path(home)
        self._begin(resolve(Flags(model, device, dtype, folder, offline)), note)

    @classmethod
    def with_settings(cls, settings: Settings, *, note: Note = silent, once: bool = False) -> Mplus:
        """An instance with settings that were resolved already.

        Args:
            once: for a single question, which then takes less memory.
        """
        new = cls.__new__(cls)
        new._begin(settings, note, once)
        return new

    def _begin(self, settings: Settings, note: Note, once: bool = False) -> None:
        self.settings = settings
        self.library = Library(settings.home)
        self.note = note
        self.loader = Loader(settings, note, once)

    def memories(self) -> list[MemorySummary]:
        """A line for each memory, by name; of a damaged one, what is wrong with it."""
        return self.library.summaries()

    def memory(self, name: str | None = None) -> MemoryHandle:
        """A memory by its name, whether it exists or is yet to be made by reading.

        By default that of the settings. Where they name none and there is none called "default", everything
        but reading documents uses the only memory that exists.
        """
        return MemoryHandle(self, name)

    def load(
        self, file: Path | str, name: str | None = None, *, progress: Progress = silent
    ) -> MemoryHandle:
        """Make a memory from a file that `MemoryHandle.save` or `mplus memory save` wrote.

        Raises:
            UsageError: the name is not valid, or taken.
            MismatchError: the file is damaged, or is not a snapshot.
        """
        report = partial(progress, "checking")
        return self.memory(snapshot.load(self.library, Path(file), name, report).name)


class MemoryHandle:
    """A memory by its name; see `Mplus.memory`. Has no state: every method reads the memory again.

    `name` is the one that `read` reads into. Where neither the caller nor the settings name a memory, another
    one may be asked, if it is the only one: `stored.name` is its name.
    """

    def __init__(self, mplus: Mplus, name: str | None) -> None:
        self._mplus = mplus
        self._given = name
        self.name = mplus.settings.memory if name is None else name

    def __repr__(self) -> str:
        return f"MemoryHandle({self.name!r})"

    @property
    def stored(self) -> StoredMemory:
        """The memory on disk that is asked; MplusError if there is none of this name."""
        return self._mplus.library.open(self._asked)

    @property
    def _asked(self) -> str:
        """The name of the memory that is asked."""
        if self._given is not None:
            return self._given
        return self._mplus.settings.memory_among(self._mplus.library.names())

    def plan(
        self,
        *sources: str | Path | DocumentSource,
        title: str | None = None,
        pages: str | None = None,
        ocr: bool = False,
        progress: Progress = silent,
    ) -> job.Plan:
        """Find the documents to read, and open the first one that can be read.

        Needs no model, and may be called in another thread while the model answers.

        Args:
            sources: files, folders, or "-" for standard input.
            title: what to call the document, where it is one.
            pages: of a PDF, such as "10-20".
            ocr: recognise its scanned pages (the extra `ocr`).

        Raises:
            UsageError: the memory can have no such name, `title` is given for several documents, or
                the page range is not valid.
        """
        validate_name(self.name)
        arguments = [str(one) if isinstance(one, Path) else one for one in sources]
        return job.plan(arguments, title=title, pages=pages, ocr=ocr, progress=progress)

    def reading(
        self,
        planned: job.Plan,
        report: job.Report | None = None,
        *,
        replaces: Callable[[Replacement], bool] = _keeps_both,
        progress: Progress = silent,
    ) -> Iterator[events.Event]:
        """Read what was planned, as events; closed in the middle, what was committed is kept, and the
        same documents go on from there when they are read again.

        Args:
            report: is filled as events pass.
            replaces: whether the earlier versions of documents that changed are to leave the memory; if
                not, it keeps both.

        Raises:
            MplusError: the memory is being written, is damaged, or the disk is full.
            MismatchError: another model wrote the memory.
        """
        filled = job.Report(self.name) if report is None else report
        session_for = partial(self._mplus.loader.session, progress=progress)
        return job.run(self._mplus.library, session_for, planned, filled, replaces=replaces)

    def read(
        self,
        *sources: str | Path,
        title: str | None = None,
        pages: str | None = None,
        replace: bool = False,
        ocr: bool = False,
        progress: Callable[[events.Event], None] = silent,
    ) -> job.Report:
        """Read documents into the memory, which is made if there is none; what was read before is not
        read again. The report says which documents could not be read, and why.

        Args:
            replace: the earlier versions of documents that changed leave the memory, which reads the
                rest again.

        Raises:
            DocumentError: none of them could be read.
            MplusError: as `plan` and `reading` do.
        """
        report = job.Report(self.name)
        planned = self.plan(*sources, title=title, pages=pages, ocr=ocr)
        for event in self.reading(planned, report, replaces=lambda _: replace):
            progress(event)
        if report.is_hopeless:
            raise DocumentError(report.failed[0]["error"])
        return report

    def load(
        self,
        question: Question | None = None,
        *,
        progress: Progress = silent,
        note: Note | None = None,
    ) -> LoadedMemory:
        """Load the memory and its model, unless they are loaded as they are now.

        Args:
            question: is checked, with the documents that it names, before a model is loaded.
            note: called with notes about the memory, in place of that of `Mplus`.

        Raises:
            UsageError: the question is not valid, or names a document that is not there.
            MplusError: there is no such memory, or it is empty.
            MismatchError: another model wrote it, or it is damaged.
        """
        if question is not None:
            check(question)
        stored = open_memory(self._mplus.library, self._asked, note=note or self._mplus.note)
        if question is not None:
            chunks_outside(stored, question.documents, 0)
        return self._mplus.loader.open(stored, progress=progress)

    def stream(self, question: str | Question) -> Iterator[Event]:
        """Answer a question as events; see `LoadedMemory.answer`. Raises as `load` does too."""
        asked = _question(question)
        yield from self.load(asked).answer(asked)

    def ask(self, question: str | Question) -> Answer:
        """Answer a question: the last event of `stream`, and raises as that does."""
        asked = _question(question)
        return self.load(asked).ask(asked)

    def find(self, words: str | Question, count: int = 5) -> tuple[Source, ...]:
        """Passages without an answer; see `LoadedMemory.find`. Raises as `load` does too."""
        asked = _question(words)
        return self.load(asked).find(asked, count, self._mplus.note)

    def documents(self) -> list[DocumentRow]:
        """Its documents, in the order they were begun."""
        return self.stored.documents()

    def excerpt(self, document: str, first: int = 0, count: int = 8) -> Excerpt:
        """Chunks `first` to `first + count - 1` of a document, by its title, path or file name.

        Raises:
            UsageError: the name means no document, or several, or there is no such chunk.
        """
        return read_excerpt(self.stored, document, first, count)

    def chapter(self, chunk: int) -> Excerpt:
        """The chapter that a chunk of a `Source` belongs to, as far as it reaches around the chunk.

        Raises:
            UsageError: there is no such chunk.
        """
        return read_chapter(self.stored, chunk)

    def describe(self) -> dict[str, Any]:
        """The object of `mplus memory show --json`."""
        return describe(self.stored)

    def map(self) -> MemoryMap:
        """Where each chunk's memory tokens are: in short-term or long-term memory."""
        return draw_map(self.stored)

    def save(
        self, file: Path | str, *, overwrite: bool = False, progress: Progress = silent
    ) -> None:
        """Write the memory to one portable file.

        Raises:
            UsageError: the file exists, and is not to be overwritten.
        """
        snapshot.save(self.stored, Path(file), partial(progress, "saving"), overwrite=overwrite)


def _question(given: str | Question) -> Question:
    return Question(given) if isinstance(given, str) else given
