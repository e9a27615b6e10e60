"""What commands share: settings of a context, and the options that several have."""

from __future__ import annotations

from typing import Annotated

import typer

from mplus_cli.settings import Flags, Settings, resolve

MemoryOption = Annotated[
    str | None,
    typer.Option("--memory", "-m", metavar="NAME", help="The memory.", show_default="default"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


def settings_of(context: typer.Context) -> Settings:
    """The settings in force; UsageError if one is not valid."""
    flags = context.obj if isinstance(context.obj, Flags) else Flags()
    return resolve(flags)
