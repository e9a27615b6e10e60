"""Settings as a table. Builds what `rich` draws; prints nothing."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from mplus_cli.settings import Resolved
from mplus_cli.terminal.memory_view import plain_table
from mplus_cli.visible import one_line


def settings_table(found: Resolved) -> Table:
    """The table of `mplus config show`."""
    table = plain_table(("setting", False), ("value", False), ("from", False))
    for name, value in found.values.items():
        origin = found.origins[name]
        where = "config file" if origin.layer == "file" else origin.name or origin.layer
        table.add_row(name, Text(one_line(typed(value))), Text(one_line(where)))
    return table


def typed(value: object) -> str:
    """A value as `mplus config set` takes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
