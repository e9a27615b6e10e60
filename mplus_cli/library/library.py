"""The library: a folder of memories, and the changes of their names.

A name appears and disappears in one step: memories are made in a hidden folder and renamed, and removed
by renaming them to a hidden folder that is then deleted. The next change of a name cleans up what an
interrupted process left. Independent of what is in a memory.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from models.durable import TEMPORARY, new_folder, recover, rename, sync_folder
from mplus_cli.errors import MplusError, UsageError, disk_errors, done_unless_power_fails
from mplus_cli.library import database
from mplus_cli.library.listing import folder_of_memories, names_in
from mplus_cli.library.lock import Locked, Locks
from mplus_cli.library.names import missing_message, validate_name
from mplus_cli.library.privacy import FOLDER
from mplus_cli.library.stored import StoredMemory
from mplus_cli.library.values import MemorySummary, ModelIdentity, View

NEW = ".new-"
TRASH = ".trash-"
"""Prefixes of hidden folders: of memories being made, and being removed."""


class Library:
    """The memories under `home`; the folder is made when something is first written."""

    def __init__(self, home: Path) -> None:
        self.folder = folder_of_memories(home)
        self.locks = Locks(self.folder / ".locks")

    def names(self) -> list[str]:
        """The names of the memories, sorted; MplusError if the folder cannot be read."""
        return names_in(self.folder)

    def summaries(self) -> list[MemorySummary]:
        """A line for each memory, by name; of a damaged one, what is wrong with it."""
        found = [self._summary(name) for name in self.names()]
        # One that another process removes meanwhile is not a failure.
        return [line for line in found if line.error is None or (self.folder / line.name).exists()]

    def path(self, name: str) -> Path:
        """The folder of a memory; MplusError if there is none of this name."""
        return self.open(name).folder

    def open(self, name: str) -> StoredMemory:
        """A memory.

        Raises:
            UsageError: it cannot be the name of one.
            MplusError: there is none of this name.
        """
        if name not in self.names():
            validate_name(name)
            recover(self.folder / name)
            if name not in (names := self.names()):
                raise MplusError(missing_message(name, names))
        return self._at(name)

    def create(self, name: str, identity: ModelIdentity) -> StoredMemory:
        """A new memory that has read nothing.

        Raises:
            UsageError: the name is not valid, or taken.
        """
        validate_name(name)
        with self.staging() as folder:
            at = database.now()
            database.create(folder, name, identity, created=at, updated=at)
            return self.publish(folder, name)

    def open_or_create(self, name: str, identity: ModelIdentity) -> StoredMemory:
        """A memory for a model, made if there is none; MismatchError if another model wrote it."""
        validate_name(name)
        if name not in self.names():
            with suppress(UsageError):  # another process was faster
                return self.create(name, identity)
        stored = self.open(name)
        stored.check(identity)
        return stored

    def rename(self, old: str, new: str) -> None:
        """Give a memory another name.

        Raises:
            UsageError: the new name is not valid, or taken.
            MplusError: there is no such memory, or it is being written.
        """
        validate_name(new)
        with self._changing(), done_unless_power_fails(f'memory "{old}" is now "{new}"'):
            stored = self.open(old)
            self._check_free(new)
            with stored.lock().deleted_at_end():
                rename(stored.folder, self.folder / new)

    def remove(self, name: str) -> None:
        """Delete a memory; MplusError if there is no such memory, or it is being written."""
        trash = self.folder / f"{TRASH}{secrets.token_hex(8)}"
        with self._changing(), done_unless_power_fails(f'memory "{name}" is removed'):
            stored = self.open(name)
            with stored.lock().deleted_at_end():
                rename(stored.folder, trash)
        shutil.rmtree(trash, ignore_errors=True)

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """A hidden folder in which a memory is made; it is deleted unless it was published."""
        with self._changing():
            folder = self.folder / f"{NEW}{secrets.token_hex(8)}"
            lock = self.locks.take(folder.name)
            folder.mkdir(FOLDER)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError, MplusError), self.locks.names():
                lock.delete()
            lock.release()

    @contextmanager
    def rebuilding(
        self, name: str, known: View | None = None
    ) -> Iterator[tuple[StoredMemory, StoredMemory]]:
        """A memory that nobody else can write, and an empty one beside it, of the same model, that takes
        its place in one step when the block ends, and vanishes if it fails.

        Args:
            known: what is known of a memory that is damaged; by default what it says itself.

        Raises:
            MplusError: there is no such memory, it is being written, or the disk is full.
        """
        with disk_errors(), self.locks.names():
            stored = self.open(name)
            lock = stored.lock()
        try:
            with (
                disk_errors(),
                done_unless_power_fails(f'memory "{name}" is rebuilt'),
                ExitStack() as while_named,
                new_folder(stored.folder) as folder,
            ):
                folder.chmod(FOLDER)
                view, at = known or stored.view(), database.now()
                database.create(folder, name, view.identity, created=view.created, updated=at)
                yield stored, StoredMemory(folder, name, Locks(folder.with_name("locks")))
                with database.connect(folder, name) as connection:
                    database.put_note(connection, view.note)
                    database.change_times(
                        connection, {database.REBUILT: database.now("microseconds")}
                    )
                # Where names cannot be exchanged, nobody may take this one meanwhile.
                while_named.enter_context(self.locks.names())
        finally:
            lock.release()

    def publish(self, folder: Path, name: str) -> StoredMemory:
        """Give a staged memory its name; UsageError if it is taken by now."""
        validate_name(name)
        with (
            disk_errors(),
            self.locks.names(),
            done_unless_power_fails(f'memory "{name}" is made'),
        ):
            self._check_free(name)
            sync_folder(folder)
            rename(folder, self.folder / name)
        return self._at(name)

    def clean(self) -> None:
        """Delete what interrupted processes left beside the memories, as every change of a name does."""
        if self.folder.is_dir():
            with self._changing():
                pass

    def _check_free(self, name: str) -> None:
        if (self.folder / name).exists():
            raise UsageError(f'there is already a memory "{name}": choose another name')

    def _at(self, name: str) -> StoredMemory:
        return StoredMemory(self.folder / name, name, self.locks)

    def _summary(self, name: str) -> MemorySummary:
        try:
            return self._at(name).summary()
        except (MplusError, OSError) as error:
            return MemorySummary(name, error=str(error))

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the lock on names, after cleaning up leftovers."""
        with disk_errors(), self.locks.names():
            self._clean()
            yield

    def _clean(self) -> None:
        """Delete what interrupted processes left, locks without a memory too; what a living one makes is
        locked."""
        for entry in list(self.folder.iterdir()):
            if entry.name.startswith(TRASH):
                shutil.rmtree(entry, ignore_errors=True)
            elif entry.name.startswith(NEW):
                with suppress(Locked):
                    lock = self.locks.take(entry.name)
                    shutil.rmtree(entry, ignore_errors=True)
                    lock.delete()
            elif entry.name.startswith(".") and entry.name.endswith(TEMPORARY):
                with suppress(Locked):
                    name = entry.name[1 : -len(TEMPORARY)]
                    lock = self.locks.take(name)
                    recover(self.folder / name)
                    shutil.rmtree(entry, ignore_errors=True)
                    lock.release()
        for name in self.locks.taken():
            if not (self.folder / name).exists():
                with suppress(Locked):
                    self.locks.take(name).delete()
