"""One memory of the library: its documents, its chunks, its tensors, and the right to write it.

Readers take no lock. They see the last commit; where a new commit removes a file that they have just
looked up, they look again. Needs no model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mplus_cli.errors import MismatchError, MplusError, UsageError, disk_errors
from mplus_cli.library import chunk_rows, database, files
from mplus_cli.library.lock import Lock, Locked, Locks
from mplus_cli.library.schema import NOTE, same_geometry
from mplus_cli.library.seal import put_seals
from mplus_cli.library.tensors import DamagedFile
from mplus_cli.library.values import (
    ChunkRow,
    DocumentRow,
    MemorySummary,
    ModelIdentity,
    View,
)
from mplus_cli.library.writer import Writer

if TYPE_CHECKING:
    import torch

    from models.memory import Memory

T = TypeVar("T")


class StoredMemory:
    """A memory in its folder. Caches nothing: every method reads the current state."""

    def __init__(self, folder: Path, name: str, locks: Locks) -> None:
        self.folder = folder
        self.name = name
        self._locks = locks

    def view(self) -> View:
        """Everything that the database says about the last commit, except for the chunks' texts.

        Raises:
            MismatchError: the database is damaged or of a newer mplus.
        """
        with database.connect(self.folder, self.name) as connection:
            return database.read_view(connection)

    @property
    def identity(self) -> ModelIdentity:
        """The model that wrote it."""
        return self.view().identity

    @property
    def is_empty(self) -> bool:
        """Whether nothing was committed yet, so that there is nothing to load."""
        return self.view().state is None

    def check(self, identity: ModelIdentity) -> None:
        """Check that a model can read this memory.

        Raises:
            MismatchError: another model wrote it, or it is damaged.
        """
        wrote = self.identity
        if not identity.wrote(wrote):
            raise self._of_another(wrote, str(identity))
        if not same_geometry(wrote.geometry, identity.geometry):
            raise self._damaged("its geometry is not that of the model it names")

    def check_before_loading(self, model: str, geometry: Mapping[str, Any]) -> None:
        """Check what shows already before a model is fetched and loaded.

        Args:
            model: its name.
            geometry: its config, as far as it is known.

        Raises:
            MismatchError: a model of another name and another geometry wrote it.
        """
        wrote = self.identity
        if wrote.name != model and not same_geometry(wrote.geometry, geometry):
            raise self._of_another(wrote, model)

    def _of_another(self, wrote: ModelIdentity, model: str) -> MismatchError:
        return MismatchError(
            f'memory "{self.name}" was written by model {wrote}; it cannot be read with {model}: use '
            "that model (--model), or another memory (-m)"
        )

    def summary(self) -> MemorySummary:
        """Its line of `mplus memory list`; reads the database only."""
        view = self.view()
        held = sum(size for size, _ in files.named_files(view).values())
        return MemorySummary(
            name=self.name,
            model=view.identity.name,
            documents=len(view.documents),
            tokens=view.state.tokens if view.state else 0,
            chunks=view.chunks,
            stm_tokens=view.state.stm_tokens if view.state else 0,
            ltm_tokens=view.ltm_tokens,
            bytes=held + (self.folder / database.FILE).stat().st_size,
            created=view.created,
            updated=view.updated,
            note=view.note,
        )

    def documents(self) -> list[DocumentRow]:
        """Its documents, in the order they were begun."""
        return list(self.view().documents)

    def unfinished(self) -> list[tuple[DocumentRow, int | None]]:
        """The documents that were not read to their end yet, each with the last page that was read."""
        view = self.view()
        complete = {row.sha256 for row in view.documents if row.complete}
        left = [row for row in view.documents if not row.complete and row.sha256 not in complete]
        if not left:
            return []
        pages = {row.document_id: row.last_page for row in self.all_chunks(view)}
        return [(row, pages.get(row.id)) for row in left]

    @property
    def is_being_written(self) -> bool:
        """Whether a process holds the right to write it right now."""
        return self._locks.is_held(self.name)

    def chunk(self, number: int) -> ChunkRow:
        """Chunk `number`, counted from 0 over all documents; raises as `chunks` does."""
        return self.chunks([number])[0]

    def chunks(self, numbers: Sequence[int]) -> list[ChunkRow]:
        """Chunks by number, in the order asked for.

        Raises:
            MismatchError: one is not what was written, or is missing.
        """
        with database.reading(self.folder, self.name) as connection:
            return [chunk_rows.read_chunk(connection, number) for number in numbers]

    def all_chunks(self, view: View) -> list[ChunkRow]:
        """Every chunk there was as of a commit, in order; raises as `chunks` does."""
        with database.reading(self.folder, self.name) as connection:
            return chunk_rows.read_chunks(connection, view.chunks)

    def texts(self, below: int) -> list[str]:
        """The texts of the chunks with numbers under `below`, in order; raises as `chunks` does."""
        with database.reading(self.folder, self.name) as connection:
            return chunk_rows.read_texts(connection, below)

    def chunk_numbers(self, documents: Sequence[int]) -> list[int]:
        """The numbers of the chunks of documents, by their ids; raises as `chunks` does."""
        with database.reading(self.folder, self.name) as connection:
            return chunk_rows.read_numbers(connection, documents)

    def load(self, device: torch.device | str = "cpu", *, like: Memory | None = None) -> Memory:
        """The memory: short-term on `device`, long-term mapped from its files.

        Args:
            like: a memory of the model that is to read it, which must have the same shapes.

        Raises:
            MplusError: nothing was read into it yet.
            MismatchError: a file is missing or is not what was written.
        """
        view, memory = self.load_view(device)
        self.check_loaded(view, memory, like=like)
        return memory

    def check_loaded(self, view: View, memory: Memory, *, like: Memory | None = None) -> None:
        """Check the shapes of what `load_view` gave; `like` and raises as `load`."""
        from mplus_cli.library.shapes import check_memory, is_like

        for wrong in check_memory(view.identity.geometry, memory):
            raise self._damaged(f"it {wrong}")
        if like is not None and not is_like(memory, like):
            raise self._damaged("it has not the shapes of the model it names")

    def load_view(self, device: torch.device | str = "cpu") -> tuple[View, Memory]:
        """The last commit, and its memory (see `load`).

        A file that was changed since it was written or last checked is compared with its checksum.
        """

        def read(view: View) -> tuple[View, Memory, dict[str, str]]:
            memory = files.open_memory(self.folder, view, device)
            return view, memory, files.check_changed(self.folder, view)

        view, memory, checked = self.read_consistently(read)
        if checked:
            with suppress(MplusError):  # it cannot be written: they are checked again next time
                self._remember(checked)
        return view, memory

    def _remember(self, checked: Mapping[str, str]) -> None:
        with (
            database.connect(self.folder, self.name) as connection,
            database.transaction(connection),
        ):
            database.put_checked(connection, checked)

    def read_consistently(self, read: Callable[[View], T]) -> T:
        """What `read` makes of the last commit, read again if another commit came meanwhile.

        Raises:
            MplusError: nothing was committed yet.
            MismatchError: `read` raised DamagedFile.
        """
        view = self.view()
        while True:
            if view.state is None:
                raise MplusError(
                    f'memory "{self.name}" is empty: read something first with `mplus ingest`'
                )
            try:
                return read(view)
            except DamagedFile as error:
                newer = self.view()
                if newer.state == view.state:
                    raise self._damaged(str(error)) from error
                view = newer

    @contextmanager
    def writer(self) -> Iterator[Writer]:
        """The right to write, for the block.

        Raises:
            MplusError: another process has it.
        """
        with disk_errors(), self._locks.names():
            lock = self.lock()
        try:
            yield Writer(self.folder, self.name, self.view())
        finally:
            lock.release()

    def lock(self) -> Lock:
        """Take the memory's lock without waiting; only while the names are locked.

        Raises:
            MplusError: another process writes the memory.
        """
        try:
            return self._locks.take(self.name)
        except Locked as error:
            pid = f" (pid {error.pid})" if error.pid else ""
            raise MplusError(
                f'memory "{self.name}" is being written by another process{pid}: wait for it or '
                "choose another memory with -m"
            ) from error

    def put_note(self, note: str | None) -> None:
        """Write down a note about it, in place of the one before; None: none.

        Raises:
            UsageError: the note is too long, or no text.
            MplusError: another process writes the memory.
        """
        if not NOTE.allows(note):
            raise UsageError(f"the note is not one: give {NOTE.wanted.partition(',')[0]}")
        with (
            self.writer(),
            database.connect(self.folder, self.name) as connection,
            database.transaction(connection),
        ):
            database.put_note(connection, note)
            put_seals(connection)

    def _damaged(self, reason: str) -> MismatchError:
        return MismatchError(
            f'memory "{self.name}" is damaged: {reason}: `mplus memory verify {self.name}` says '
            f"more, `mplus memory repair {self.name}` keeps what is intact"
        )
