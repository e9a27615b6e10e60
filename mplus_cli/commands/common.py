"""What commands share: settings of a context, and the options that several have."""

from __future__ import annotations

from typing import Annotated

import typer

from mplus_cli.settings import Flags, Settings, resolve

MemoryOption = Annotated[
    str | None,
    typer.Option(
        "--memory", "-m", metavar="NAME", help="Which memory. Default: the one called default."
    ),
]
DocumentOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Only this document: its title, path or file name, or how one begins. May be repeated.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
JsonArrayOption = Annotated[bool, typer.Option("--json", help="Print one JSON array.")]


def flags_of(context: typer.Context) -> Flags:
    """The global options that were given."""
    return context.obj if isinstance(context.obj, Flags) else Flags()


def settings_of(context: typer.Context) -> Settings:
    """The settings in force; UsageError if one is not valid."""
    return resolve(flags_of(context))
