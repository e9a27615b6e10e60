"""`mplus config`: the settings in force, and the file that keeps them."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from mplus_cli.commands.common import JsonOption, flags_of
from mplus_cli.settings import KEYS, Resolved, check_key, config_place, trace
from mplus_cli.terminal import screen

app = typer.Typer(
    help="Show and change the settings.",
    epilog="""\
\b
Examples:
  mplus config show
  mplus config set memory work
  mplus config unset memory
""",
)

KeyArgument = Annotated[
    str, typer.Argument(metavar="KEY", help=f"One of {', '.join(KEYS)}.", show_default=False)
]


@app.command("show")
def show(context: typer.Context, as_json: JsonOption = False) -> None:
    """Show every setting, and where its value comes from."""
    from mplus_cli.terminal.settings_view import settings_table

    found = trace(flags_of(context))
    if as_json:
        file = None if found.config_file is None else str(found.config_file)
        screen.json_out({"file": file, "settings": {key: _told(found, key) for key in KEYS}})
        return
    screen.show(settings_table(found))
    if found.config_file is None:
        screen.note("there is no config file yet: mplus config set KEY VALUE creates it")
    else:
        screen.note(f"config file: {found.config_file}")


@app.command("get")
def get(context: typer.Context, key: KeyArgument, as_json: JsonOption = False) -> None:
    """Print the value of a setting."""
    from mplus_cli.terminal.settings_view import typed

    check_key(key)
    found = trace(flags_of(context))
    if as_json:
        screen.json_out({"key": key, **_told(found, key)})
    else:
        screen.out(typed(found.values[key]))


@app.command("set")
def put(
    key: KeyArgument,
    value: Annotated[
        str,
        typer.Argument(
            metavar="VALUE", help="The value; for offline, strict and history true or false."
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Set a setting in the config file; its comments are kept."""
    from mplus_cli import config_file

    path = config_place(os.environ)
    written = config_file.put(path, key, value)
    if as_json:
        screen.json_out({"file": str(path), "key": key, "value": written})
    screen.note(f"{key} is set in {path}")
    _warn_of_environment(key)


@app.command("unset")
def unset(key: KeyArgument, as_json: JsonOption = False) -> None:
    """Remove a setting from the config file, so that its default applies."""
    from mplus_cli import config_file

    path = config_place(os.environ)
    removed = config_file.remove(path, key)
    if as_json:
        screen.json_out({"file": str(path), "key": key, "removed": removed})
    screen.note(f"{key} is {'no longer' if removed else 'not'} set in {path}")
    _warn_of_environment(key)


@app.command("edit")
def edit() -> None:
    """Open the config file in your editor, and check it afterwards."""
    from mplus_cli import config_file
    from mplus_cli.terminal.editor import edit_file

    path = config_place(os.environ)
    config_file.make(path)
    edit_file(path)
    config_file.check(path)


@app.command("path")
def path(as_json: JsonOption = False) -> None:
    """Print where the config file is, or would be."""
    place = config_place(os.environ)
    if as_json:
        screen.json_out({"path": str(place), "exists": place.is_file()})
    else:
        screen.out(str(place))


def _told(found: Resolved, key: str) -> dict[str, Any]:
    value, origin = found.values[key], found.origins[key]
    shown = value if isinstance(value, bool) else str(value)
    return {"value": shown, "from": origin.layer, "name": origin.name or None}


def _warn_of_environment(key: str) -> None:
    variable = KEYS[key].variable
    if variable is not None and os.environ.get(variable):
        screen.warning(f"{variable} is set, and takes precedence over the config file")
