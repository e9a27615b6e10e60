"""A fork: a copy of a memory that shares its large files, so that it costs only the size of its text.

Files of a commit are written once and never changed, only deleted: so both memories may have the same one
under their own names (hard links), and neither sees what the other reads from then on. Where the file
system has no hard links they are copied. Needs no model.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from models.durable import make_folder, sync_file, sync_folder
from mplus_cli.errors import UsageError, disk_errors
from mplus_cli.library import database, files
from mplus_cli.library.names import validate_name
from mplus_cli.library.privacy import FILE, FOLDER
from mplus_cli.library.sqlite_errors import sqlite_errors
from mplus_cli.library.tensors import LTM_FOLDER, DamagedFile
from mplus_cli.library.values import View

if TYPE_CHECKING:
    from mplus_cli.library.library import Library
    from mplus_cli.library.stored import StoredMemory


def fork(library: Library, name: str, new: str) -> StoredMemory:
    """Make a copy of a memory as of its last commit, even while it is being written.

    Raises:
        UsageError: the new name is not valid, or taken.
        MplusError: there is no such memory, it is empty, or the disk is full.
        MismatchError: it is damaged.
    """
    validate_name(new)
    stored = library.open(name)
    if new in library.names():
        raise UsageError(f'there is already a memory "{new}": choose another name')
    with library.staging() as folder:
        with disk_errors():
            stored.read_consistently(lambda view: _share(stored, view, folder))
            with database.connect(folder, new) as connection:
                database.change_times(connection, {"created": database.now()})
            for made in (folder / LTM_FOLDER, folder):
                if made.is_dir():
                    sync_folder(made)
        return library.publish(folder, new)


def _share(stored: StoredMemory, view: View, folder: Path) -> None:
    """Put a commit into a folder; DamagedFile if another commit was made meanwhile, or a file is missing."""
    (folder / database.FILE).unlink(missing_ok=True)
    clear(folder)
    for file in files.named_files(view):
        make_folder((folder / file).parent, mode=FOLDER)
        try:
            link(stored.folder / file, folder / file)
        except FileNotFoundError as error:
            raise DamagedFile(file, "is missing") from error
    _copy_database(stored, folder)
    with database.connect(folder, stored.name) as connection:
        if database.read_view(connection).state != view.state:
            raise DamagedFile(database.FILE, "has changed in the meantime")


def clear(folder: Path) -> None:
    """Delete the files of tensors that a folder holds, left by an attempt that failed."""
    for left in (*folder.glob("stm-*"), *folder.glob(f"{LTM_FOLDER}/*")):
        left.unlink(missing_ok=True)


def link(source: Path, target: Path) -> None:
    """Give a file another name, or copy it where the file system cannot; FileNotFoundError if it is gone."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without hard links, or with too many of them
        shutil.copyfile(source, target)
        target.chmod(FILE)
        with target.open("r+b") as file:
            sync_file(file)


def _copy_database(stored: StoredMemory, folder: Path) -> None:
    path = folder / database.FILE
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE))
    with (
        database.connect(stored.folder, stored.name) as source,
        sqlite_errors(path, stored.name),
        closing(sqlite3.connect(path)) as target,
    ):
        source.backup(target)
    with path.open("r+b") as file:
        sync_file(file)
