"""`mplus memory note`: kept beside what was read, wherever the memory goes."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from mplus_cli.library import Library

NOTE = "Borrowed from Ann, back by May.\nRead with the second edition."


def test_a_note_goes_with_its_memory(
    mplus: Any, tiny: Path, own_home: Path, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.txt").write_text(f"The keeper of lighthouse {name} was Orla. " * 20)
        assert mplus("ingest", tmp_path / f"{name}.txt", "-m", "book").code == 0
    assert mplus("memory", "note", "book", "--json").json == {"memory": "book", "note": None}
    assert mplus("memory", "note", "book", "  soon replaced ").code == 0
    assert mplus("memory", "note", "book", NOTE).err == 'memory "book" now has this note\n'
    assert mplus("memory", "note", "book").out == f"{NOTE}\n"
    assert "Borrowed from Ann" in mplus("memory", "show", "book").out
    assert mplus("memory", "list", "--json").json[0]["note"] == NOTE
    assert mplus("memory", "fork", "book", "fork").code == 0
    assert mplus("memory", "save", "book", tmp_path / "s").code == 0
    assert mplus("memory", "load", tmp_path / "s", "--as", "loaded").code == 0
    assert mplus("memory", "rm-document", "book", "1", "--yes").code == 0
    for name in ("book", "fork", "loaded"):
        assert mplus("memory", "show", name, "--json").json["note"] == NOTE, name
        assert mplus("memory", "verify", name).code == 0
    assert mplus("memory", "note", "book", "").err == 'memory "book" has no note\n'
    assert mplus("memory", "show", "book", "--json").json["note"] is None
    assert mplus("memory", "verify", "book").code == 0
    assert "up to 2000 characters" in mplus("memory", "note", "book", "x" * 2001).error
    with Library(own_home / "mplus").open("fork").writer():
        assert "is being written" in mplus("memory", "note", "fork", "new").error
    assert mplus("memory", "note", "fork").out == f"{NOTE}\n"


def test_a_changed_note_is_damage_that_can_be_repaired(
    mplus: Any, tiny: Path, own_home: Path, tmp_path: Path
) -> None:
    (tmp_path / "one.txt").write_text("The keeper of the lighthouse was Orla. " * 20)
    assert mplus("ingest", tmp_path / "one.txt", "-m", "book").code == 0
    assert mplus("memory", "note", "book", "a note").code == 0
    database = own_home / "mplus" / "memories" / "book" / "memory.db"
    for changed in ("another", b"\xff\xfe"):
        with sqlite3.connect(database) as connection:
            connection.execute("UPDATE settings SET value = ? WHERE key = 'note'", (changed,))
        connection.close()
        assert mplus("memory", "show", "book").code == 3
        assert mplus("memory", "repair", "book", "--yes").code == 0
        assert mplus("memory", "verify", "book").code == 0
