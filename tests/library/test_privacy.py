"""A library is its user's alone, from the first byte; what an earlier mplus left open is found and closed."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from models import durable
from mplus_cli.ingest import pipeline
from mplus_cli.library import Library, database, snapshot
from mplus_cli.library.privacy import close_to_others, open_to_others
from mplus_cli.library.verify import verify

if sys.platform == "win32":
    pytest.skip("permissions are of another kind there", allow_module_level=True)


@pytest.fixture
def careless():
    """A user whose new files all may read and write."""
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder):
    return {
        path.relative_to(folder).as_posix(): stat.S_IMODE(path.stat().st_mode)
        for path in [folder, *folder.rglob("*")]
    }


def assert_private(folder):
    for name, mode in modes(folder).items():
        assert mode == (0o700 if (folder / name).is_dir() else 0o600), name


def test_all_that_is_new_is_private_from_the_first_byte(
    tmp_path, tiny, model, small_commits, monkeypatch, careless
):
    monkeypatch.setattr(pipeline, "INTERIM_SECONDS", 0.0)
    home, looked = tmp_path / "user" / "mplus", []
    sync_file, put_state = durable.sync_file, database.put_state

    def look(call):
        def looking(*args):
            call(*args)
            assert_private(tmp_path / "user")
            looked.append(sorted(modes(home)))

        return looking

    monkeypatch.setattr(durable, "sync_file", look(sync_file))
    monkeypatch.setattr(database, "put_state", look(put_state))
    stored = tiny.make_memory(home, model, tiny.make_document("alpha", 100))
    snapshot.save(stored, tmp_path / "book.safetensors")
    assert stat.S_IMODE((tmp_path / "book.safetensors").stat().st_mode) == 0o600
    snapshot.load(Library(home), tmp_path / "book.safetensors", "again")
    assert any(".tmp" in name for names in looked for name in names)
    assert any("-journal" in name for names in looked for name in names)


def test_a_file_that_is_saved_over_becomes_private(book, tmp_path):
    file = tmp_path / "book.safetensors"
    file.touch(0o644)
    snapshot.save(book, file, overwrite=True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def open_up(home):
    """As an earlier mplus made it."""
    (home / "history").touch()
    for path in [home, *home.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


def test_what_is_open_is_found_and_closed(book, monkeypatch):
    home = book.folder.parent.parent
    book.load()
    (home / "link").symlink_to(home)
    open_up(home)
    found = open_to_others(home)
    assert {home / "memories", home / "history", book.folder / "memory.db"} <= set(found)
    assert home not in found
    close_to_others(home)
    assert open_to_others(home) == []
    assert_private(home / "memories")
    book.load()  # a file that was closed is compared once
    monkeypatch.setattr("mplus_cli.library.files.digest", lambda _: pytest.fail("compared"))
    book.load()
    monkeypatch.undo()
    assert verify(book) == []


def test_nothing_in_a_closed_folder_is_open(book):
    home = book.folder.parent.parent
    open_up(home)
    (home / "memories").chmod(0o700)
    assert open_to_others(home) == [home / "history"]
    assert open_to_others(Path("/nowhere")) == []
