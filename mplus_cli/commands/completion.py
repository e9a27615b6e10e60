"""`mplus completion`: the script that makes a shell complete command lines, and putting it in place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from mplus_cli.errors import UsageError
from mplus_cli.terminal import screen


def completion(
    shell: Annotated[
        str | None,
        typer.Argument(
            metavar="bash|zsh|fish", help="The shell. Default: yours.", show_default=False
        ),
    ] = None,
    install: Annotated[
        bool,
        typer.Option("--install", help="Install it for all shells started from now on."),
    ] = False,
) -> None:
    """Print the script that makes a shell complete commands, options and names."""
    from mplus_cli.completion import shells

    wanted = shells.usual_shell(os.environ) if shell is None else shell
    if wanted not in shells.SHELLS:
        known = f"{', '.join(shells.SHELLS[:-1])} or {shells.SHELLS[-1]}"
        raise UsageError(f"there is no completion for {wanted}: choose {known}")
    if not install:
        screen.piece(shells.script(wanted))
        return
    for path in shells.install(wanted, os.environ, Path.home()):
        screen.note(f"written: {path}")
    screen.note(f"completion will work in every new {wanted}")
