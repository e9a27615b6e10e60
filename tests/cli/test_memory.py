"""`mplus memory`: every subcommand."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest
import typer

from mplus_cli.app import program
from mplus_cli.command_line import WITHOUT_MEMORY
from mplus_cli.library import Library
from mplus_cli.library.mapping import draw_map
from mplus_cli.terminal import capabilities
from mplus_cli.terminal.map_view import map_picture

SUMMARY = {"name", "model", "documents", "tokens", "stm_tokens", "ltm_tokens", "bytes"}


def folder(name: str) -> Path:
    return Library(Path(os.environ["MPLUS_HOME"])).open(name).folder


def test_list(mplus: Any, book: str) -> None:
    (line,) = mplus("memory", "list", "--json").json
    assert line.keys() >= {*SUMMARY, "updated"}
    assert (line["name"], line["model"], line["documents"]) == ("book", "tiny-checkpoint", 1)
    header, row = mplus("memory", "list").out.splitlines()
    assert header.split() == [
        "name",
        "docs",
        "tokens",
        "size",
        "updated",
        "model",
        "short-term",
        "long-term",
    ]
    assert row.split()[:2] == ["book", "1"]
    assert "tiny-checkpoint" in row.split()


def test_list_of_none(mplus: Any) -> None:
    result = mplus("memory", "list")
    assert (result.code, result.out) == (0, "")
    assert "mplus ingest book.pdf" in result.err
    assert mplus("memory", "list", "--json").json == []


def test_list_with_a_damaged_one(mplus: Any, book: str) -> None:
    (folder(book) / "memory.db").write_bytes(b"garbage")
    result = mplus("memory", "list")
    assert result.code == 0
    assert "damaged" in result.out
    assert "mplus: warning: " in result.err


def test_show(mplus: Any, book: str) -> None:
    shown = mplus("memory", "show", book, "--json").json
    assert shown.keys() >= SUMMARY
    (document,) = shown["documents"]
    assert (document["title"], document["kind"]) == ("Story", "text")
    assert shown["path"] == str(folder(book))
    assert shown["tokens"] == document["tokens"]
    text = mplus("memory", "show", book).out
    assert "Story" in text
    assert str(folder(book)) in text
    assert (document["author"], document["date"]) == (None, None)
    assert "author" not in text and "pages" not in text  # nothing would stand below


def test_show_names_the_author(mplus: Any, tiny: Path, tmp_path: Path) -> None:
    head = "<title>Salt</title><meta name=author content='Ada \x1b[31mQuill'>"
    (tmp_path / "salt.html").write_text(
        f"<head>{head}<meta name=date content=1815></head>The ferry."
    )
    assert mplus("ingest", tmp_path / "salt.html", "-m", "salt").code == 0
    (document,) = mplus("memory", "show", "salt", "--json").json["documents"]
    assert (document["author"], document["date"]) == ("Ada [31mQuill", "1815")
    shown = mplus("memory", "show", "salt").out.splitlines()
    assert any(line.endswith(" of text in 1 chunk") for line in map(str.rstrip, shown))
    assert "author" in shown[-2]
    assert "Ada [31mQuill" in shown[-1]


def test_map(mplus: Any, book: str) -> None:
    drawn = mplus("memory", "map", book, "--json").json
    (document,) = drawn["documents"]
    shown = mplus("memory", "show", book, "--json").json
    for kind in ("stm_tokens", "ltm_tokens"):
        assert sum(chunk[kind] for chunk in document["chunks"]) == drawn[kind] == shown[kind]
    first, last = document["chunks"][0], document["chunks"][-1]
    assert (first["stm_tokens"], last["ltm_tokens"]) == (0, 0)
    bar = mplus("memory", "map", book).out.splitlines()[1]
    assert bar.index("░") < bar.rindex("█")


def test_map_in_ascii(book: str) -> None:
    from rich.console import Console

    drawn = draw_map(Library(Path(os.environ["MPLUS_HOME"])).open(book))
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(map_picture(drawn, 100, unicode=False))
    text = console.export_text()
    assert text.isascii()
    assert "#" in text.splitlines()[1]
    assert "- long-term memory" in text and "best passages" not in text
    narrow = Console(width=15, record=True, file=io.StringIO())
    narrow.print(map_picture(drawn, 15, unicode=False, question="Who?", consulted=(2, 0)))
    whole = " ".join(narrow.export_text(clear=False).split())
    assert "1 2 best passages for the question" in whole, "what is drawn is explained"
    ranked = narrow.export_text().partition("question: Who?")[2].strip("\n").splitlines()
    assert {line[:3] for line in ranked} == {"1  ", "2  ", "   "}, "later lines are indented"


def test_verify(mplus: Any, book: str) -> None:
    assert mplus("memory", "verify", book).out == 'memory "book" is ok\n'
    assert mplus("memory", "verify", book, "--json").json["ok"] is True
    (file,) = folder(book).glob("stm-*.safetensors")
    file.write_bytes(file.read_bytes()[:-1] + b"\x7f")
    result = mplus("memory", "verify", book)
    assert result.code == 3
    assert file.name in result.out
    assert "damaged" in result.error
    (problem,) = mplus("memory", "verify", book, "--json").json["problems"]
    assert problem["file"] == file.name


def test_a_damaged_memory_is_not_asked(mplus: Any, book: str) -> None:
    (file,) = folder(book).glob("stm-*.safetensors")
    file.write_bytes(file.read_bytes()[:100])
    result = mplus("ask", "who?", "-m", book)
    assert result.code == 3
    assert "mplus memory verify book" in result.error


def test_rename_and_path(mplus: Any, book: str) -> None:
    assert mplus("memory", "rename", book, "other").code == 0
    path = mplus("memory", "path", "other").out
    assert path == f"{folder('other')}\n"
    assert Path(path.strip()).is_dir()
    assert mplus("memory", "path", book).code == 1
    assert mplus("memory", "rename", "other", ".x").code == 2


def test_the_default_memory_is_meant_where_none_is_named(
    mplus: Any, book: str, user_folders: Path
) -> None:
    """Where there is none called default, the only one is; not where the user chose another."""
    assert mplus("memory", "path").out == f"{folder(book)}\n"
    assert mplus("memory", "show", "--json").json["name"] == book
    told = f'  memory "{book}", the only one\n'
    assert mplus("memory", "export").err == told
    assert mplus("memory", "export", "-q").err == mplus("memory", "export", book).err == ""
    assert mplus("memory", "export", "--json").err == ""
    mplus("config", "set", "memory", "work")
    assert mplus("memory", "path").error.startswith('there is no memory "work"')
    mplus("config", "set", "memory", "default")
    assert mplus("memory", "path").error.startswith('there is no memory "default"')
    mplus("config", "unset", "memory")

    mplus("memory", "fork", book, "other")
    assert mplus("memory", "path").error.startswith('there is no memory "default": there are')
    mplus("memory", "rename", book, "default")
    assert mplus("memory", "path").out == f"{folder('default')}\n"


def test_a_memory_is_named_with_m_or_without(mplus: Any, book: str, tmp_path: Path) -> None:
    """As an option, an argument is named as everywhere else; what follows it stays where it is."""
    for command in ("show", "map", "path", "export", "verify", "note"):
        plain = mplus("memory", command, book)
        assert plain.code == 0
        for named in (
            ("-m", book),
            (f"-m{book}",),
            ("--memory", book),
            (f"--memory={book}",),
        ):
            assert mplus("memory", command, *named) == plain, command
    assert mplus("memory", "note", "--memory", book, "A lighthouse.").code == 0
    assert mplus("memory", "note", book).out == "A lighthouse.\n"
    kept = tmp_path / "book.safetensors"
    assert mplus("memory", "save", "-m", book, kept).code == 0
    assert mplus("memory", "load", kept, "-m", "second").code == 0
    assert mplus("memory", "rename", "-m", "second", "third").code == 0
    assert mplus("memory", "rm", "--yes", "-m", "third").code == 0
    assert mplus("chat", book, stdin="/memory\n").err == f'  memory "{book}"\n'
    assert f"mplus log -m {book}" not in mplus("log", book).error
    assert mplus("ask", "What is the title of this book?", "-m", book).code == 0
    assert f"`mplus log -m {book}` lists those of that memory" in mplus("log", book).error


def test_which_commands_begin_with_a_memory() -> None:
    commands = typer.main.get_command(program(["memory"])).commands["memory"].commands
    first = {
        name: [one.metavar for one in command.params if one.param_type_name == "argument"][:1]
        for name, command in commands.items()
    }
    others = {name for name, metavars in first.items() if metavars not in (["NAME"], ["OLD"])}
    assert others == set(WITHOUT_MEMORY)


def test_rm_asks(mplus: Any, book: str, monkeypatch: pytest.MonkeyPatch) -> None:
    result = mplus("memory", "rm", book)
    assert result.code == 2
    assert "--yes" in result.error
    monkeypatch.setattr(capabilities, "is_interactive", lambda: True)
    kept = mplus("memory", "rm", book, stdin="\n")
    assert (kept.code, "error" in kept.err) == (1, False)
    assert kept.err.endswith(f'memory "{book}" is kept\n')
    assert mplus("memory", "rm", book, "--json", stdin="n\n").json["removed"] is False
    kept = mplus("memory", "rm-document", book, "1", "--json", stdin="n\n")
    assert (kept.code, kept.json["removed"], kept.json["documents"]) == (1, None, 1)
    assert folder(book).is_dir()
    result = mplus("memory", "rm", book, stdin="y\n")
    assert result.code == 0
    assert 'Delete memory "book" (1 document, ' in result.err
    assert mplus("memory", "list", "--json").json == []


def test_rm_without_asking(mplus: Any, book: str) -> None:
    assert mplus("memory", "rm", book, "--yes").code == 0
    assert mplus("memory", "rm", book, "--yes").code == 1


def test_save_and_load_give_the_same_answer(mplus: Any, book: str, tmp_path: Path) -> None:
    ask = ("ask", "who?", "-m", book, "--json", "--max-new-tokens", "8")
    before = mplus(*ask).json
    file = tmp_path / "book.safetensors"
    assert mplus("memory", "save", book, file).code == 0
    assert mplus("memory", "load", file, "--home", tmp_path / "other").code == 0
    after = mplus(*ask, "--home", tmp_path / "other").json
    assert (after["answer"], after["sources"]) == (before["answer"], before["sources"])


def test_save_and_load_refuse(mplus: Any, book: str, tmp_path: Path) -> None:
    file = tmp_path / "book.safetensors"
    assert mplus("memory", "save", book, file).code == 0
    result = mplus("memory", "save", book, file)
    assert result.code == 2
    assert "--force" in result.error
    assert mplus("memory", "save", book, file, "--force").code == 0
    result = mplus("memory", "load", file)
    assert result.code == 2
    assert "--as" in result.error
    assert mplus("memory", "load", file, "--as", "copy").code == 0
    assert mplus("memory", "load", tmp_path / "gone").code == 2
    file.write_bytes(file.read_bytes()[:-1] + b"\x7f")
    assert mplus("memory", "load", file, "--as", "third").code == 3
    assert mplus("memory", "save", "nosuch", file).code == 1
    assert mplus("memory", "save", book, tmp_path).code == 2


def test_memory_in_some_layers_is_kept_and_travels(
    mplus: Any, tiny_but: Any, tmp_path: Path
) -> None:
    tiny_but(memory_layers=[2])
    mplus(
        "ingest",
        "-",
        "--title",
        "Story",
        "-m",
        "story",
        "-q",
        stdin="The keeper was called Orla. She kept a goat named Admiral. " * 12,
    )
    answer = mplus("ask", "Who keeps the goat?", "-m", "story", "--max-new-tokens", "8")
    assert answer.code == 0, answer.err
    assert mplus("memory", "verify", "story").code == 0
    assert mplus("memory", "save", "story", tmp_path / "s.safetensors").code == 0
    assert mplus("memory", "load", tmp_path / "s.safetensors", "--as", "other").code == 0
    again = mplus("ask", "Who keeps the goat?", "-m", "other", "--max-new-tokens", "8")
    assert again.out == answer.out
    assert "in layers 2" in mplus("model", "show").out


@pytest.mark.parametrize(
    ("columns", "last"), [("60", "size"), ("80", "model"), ("100", "long-term")]
)
def test_a_narrow_terminal_lists_fewer_columns(book: str, columns: str, last: str) -> None:
    from mplus_cli.terminal.memory_view import summaries_table

    summaries = Library(Path(os.environ["MPLUS_HOME"])).summaries()
    table = summaries_table(summaries, int(columns))
    assert table.columns[-1].header == last
    assert [len(list(column.cells)) for column in table.columns] == [1] * len(table.columns)
