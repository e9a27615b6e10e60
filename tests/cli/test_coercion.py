"""Values that are taken without `pydantic` are those that `typer` would give; all others are its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer

from mplus_cli.commands.coercion import take_plain_values


def given(line: list[str], *, plain: bool) -> Any:
    """What a command is called with, or the message of a usage error."""
    app, got = typer.Typer(add_completion=False), {}

    @app.command()
    def command(
        word: str,
        rest: Annotated[list[str] | None, typer.Argument()] = None,
        number: Annotated[int | None, typer.Option(min=0, max=9)] = None,
        share: float = 0.5,
        file: Path | None = None,
        own: Annotated[Path | None, typer.Option(exists=True)] = None,
        names: Annotated[list[str] | None, typer.Option()] = None,
        switch: Annotated[bool, typer.Option("--switch/--no-switch")] = True,
    ) -> None:
        got.update(locals())

    built = typer.main.get_command(app)
    if plain:
        take_plain_values(built)
    try:
        built.main(line, standalone_mode=False)
    except Exception as error:
        return type(error).__name__, str(error)
    return repr(sorted(got.items()))  # nan equals nothing


@pytest.mark.parametrize(
    "line",
    [
        ["a"],
        [],
        [""],
        ["a", "b", "c", "--names", "x", "--names", "", "--no-switch"],
        ["--", "-a"],
        ["a\udc80"],
        ["a", "--names", "\udc80"],
        *(["a", "--number", value] for value in ("7", "-1", "10", "07", "1_0", " 3", "٣", "2.0", "x")),
        *(["a", "--share", value] for value in ("1", "-0.25", "1e-3", "nan", "inf", ".5", "1.", "x")),
        *(["a", "--file", value] for value in ("no/such", ".", "", "~", "\udc80")),
        *(["a", "--own", value] for value in ("no/such", ".")),
        ["a", "--nubmer", "3"],
    ],
)  # fmt: skip
def test_the_same_values_and_messages(line: list[str]) -> None:
    assert given(line, plain=True) == given(line, plain=False)


@pytest.mark.skipif(sys.platform == "win32", reason="no such permissions")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "f").touch(0o000)
    line = ["a", "--file", str(tmp_path / "f")]
    assert given(line, plain=True) == given(line, plain=False)
