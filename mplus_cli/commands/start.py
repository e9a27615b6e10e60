"""`mplus` without a command: what to do next."""

from __future__ import annotations

import typer

from mplus_cli.commands.common import settings_of


def start(context: typer.Context) -> None:
    """Show what was read, and what can be done with it."""
    from mplus_cli.library import Library
    from mplus_cli.runtime.downloads import bytes_to_fetch
    from mplus_cli.terminal.start_view import show_start

    settings = settings_of(context)
    library = Library(settings.home)
    asked = settings.memory_among(library.names())
    show_start(library.summaries(), asked, bytes_to_fetch(settings))
