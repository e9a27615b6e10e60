"""`mplus mcp`: the memories over the Model Context Protocol, on standard input and output.

The official SDK speaks the protocol, and keeps standard output for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import Any

from mplus_cli.api import Mplus
from mplus_cli.errors import ExitCode
from mplus_cli.extras import require
from mplus_cli.server.service import Service
from mplus_cli.server.worker import Worker


def serve_mcp(mplus: Mplus) -> None:
    """Speak the protocol until standard input ends, or SIGINT or SIGTERM comes.

    Raises:
        MplusError: the extra is not installed.
    """
    require("mcp", "mcp")
    from mplus_cli.server.mcp_tools import make_server

    worker = Worker()
    try:
        asyncio.run(_run(make_server(Service(mplus, worker))))
    finally:
        worker.stop()


async def _run(server: Any) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError):  # on Windows the default is as good
        for number in (signal.SIGINT, signal.SIGTERM):
            # The SDK reads its input in a thread that nothing can wake. Asking leaves nothing unwritten.
            loop.add_signal_handler(number, os._exit, ExitCode.DONE)
    await server.run_stdio_async()
