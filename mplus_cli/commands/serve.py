"""`mplus serve` and `mplus mcp`: memories for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mplus_cli.commands.common import settings_of
from mplus_cli.terminal import screen
from mplus_cli.wording import MEGABYTE


def serve(
    context: typer.Context,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Address to listen on; any but this machine's own needs --token-file.",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="N", min=0, max=65535, help="Port; 0: a free one.")
    ] = 8765,
    socket: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="Listen on a Unix socket that only you can use, instead of a port."
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Require the token in this file; a missing file is created."
        ),
    ] = None,
    max_upload: Annotated[
        int, typer.Option(metavar="MB", min=1, max=1024, help="Largest document accepted.")
    ] = 256,
) -> None:
    """Serve the memories over HTTP: a web page, OpenAI's API and a REST API. Ctrl-C stops it."""
    from mplus_cli.api import Mplus
    from mplus_cli.server.run import Place, serve

    place = Place(host, port, socket, token_file, max_upload * MEGABYTE)
    mplus = Mplus.with_settings(settings_of(context), note=screen.note)
    with screen.meter() as meter:

        def ready(address: str) -> None:
            meter.close()
            if token_file is not None:
                screen.note(f"clients need the token in {token_file}")
            screen.note(f"mplus serves at {address} (Ctrl-C stops it)")

        serve(mplus, place, progress=meter.report, ready=ready)


def mcp(context: typer.Context) -> None:
    """Let an assistant use the memories over MCP, on standard input and output.

    The assistant's program starts this command: see docs/mcp.md.
    """
    from mplus_cli.api import Mplus
    from mplus_cli.server.mcp import serve_mcp

    serve_mcp(Mplus.with_settings(settings_of(context), note=screen.note))
