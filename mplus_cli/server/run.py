"""`mplus serve`: a socket, a model, and uvicorn between them, until a signal comes.

Decides where a server may listen, and stops it cleanly. Prints nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import secrets
import signal
import socket
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.durable import new_file
from mplus_cli.api import Mplus
from mplus_cli.errors import MplusError, UsageError, disk_errors
from mplus_cli.extras import require
from mplus_cli.library.privacy import FILE
from mplus_cli.runtime.embedded_base import Progress
from mplus_cli.server.address import Address, published

STOP_SECONDS = 5
"""For what is being sent to be sent, once a signal came."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server listens, and what it takes."""

    host: str = "127.0.0.1"
    port: int = 8765
    """0: a free one."""
    socket: Path | None = None
    """A Unix socket in place of host and port, for its user alone."""
    token_file: Path | None = None
    upload_bytes: int = 256 << 20

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return self.socket is not None or is_loopback(self.host)


def serve(mplus: Mplus, place: Place, *, progress: Progress, ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM comes.

    Args:
        mplus: whose memories are asked; its model is loaded before the first request.
        ready: called with the address, once requests are answered.

    Raises:
        UsageError: it may not or cannot listen there.
        MplusError: the extra is not installed, or the model cannot be loaded.
    """
    require("fastapi", "serve")
    uvicorn = require("uvicorn", "serve")
    token = _token(place)
    if token is None and not place.is_local:
        raise UsageError(
            f"{place.host} can be reached from other machines: give --token-file FILE, or leave out "
            "--host"
        )
    with _listening(place) as listener:
        from mplus_cli.server.app import PUBLIC, make_app
        from mplus_cli.server.guards import Policy, names_of
        from mplus_cli.server.service import Service
        from mplus_cli.server.worker import Worker

        worker = Worker()
        try:
            asyncio.run(_load(mplus, worker, progress))
            host, port = _bound(place, listener)
            hosts = names_of(host) if place.socket is None and place.is_local else None
            policy = Policy(hosts, token, PUBLIC, place.upload_bytes)
            address = Address(
                host=host,
                port=port,
                socket=str(place.socket.absolute()) if place.socket else None,
                token=token,
                model=mplus.settings.model,
                device=mplus.settings.device,
                dtype=mplus.settings.dtype,
            )
            config = uvicorn.Config(
                make_app(Service(mplus, worker), policy),
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=128,
                timeout_graceful_shutdown=STOP_SECONDS,
            )
            server = uvicorn.Server(config)
            with published(mplus.settings.home, address):
                ready(address_of(place, host, port))
                asyncio.run(_run(server, worker, listener))
        finally:
            worker.stop()


async def _load(mplus: Mplus, worker: Any, progress: Progress) -> None:
    """Load the model, in the thread that will use it; for the memory that is asked where none is named."""

    def load() -> None:
        names = mplus.library.names()
        name = mplus.settings.memory_among(names)
        known = mplus.library.open(name) if name in names else None
        mplus.loader.session(None if known is None or known.is_empty else known, progress=progress)

    await worker.run(load)


async def _run(server: Any, worker: Any, listener: socket.socket) -> None:
    """Run uvicorn until a signal comes; what is being done then ends at its next event."""

    def stop() -> None:
        server.force_exit = server.should_exit  # the second time
        server.should_exit = True
        worker.stop(seconds=0)

    server.capture_signals = contextlib.nullcontext  # its own raise the signal again at the end
    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError):  # on Windows Ctrl-C interrupts
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
    await server.serve(sockets=[listener])


def is_loopback(host: str) -> bool:
    """Whether an address is of this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def address_of(place: Place, host: str, port: int) -> str:
    """The address to open in a browser or to send requests to."""
    if place.socket is not None:
        return f"unix:{place.socket}"
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/"


def _bound(place: Place, listener: socket.socket) -> tuple[str, int]:
    if place.socket is not None:
        return "localhost", 0
    host, port = listener.getsockname()[:2]
    return str(host), int(port)


@contextlib.contextmanager
def _listening(place: Place) -> Iterator[socket.socket]:
    """A listening socket, opened before a model is loaded; UsageError if that is not possible."""
    if place.socket is None:
        where = f"{place.host}:{place.port}"
        family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
        try:
            listener = socket.create_server((place.host, place.port), family=family, backlog=128)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UsageError(f"cannot listen on {where}: {reason}: give another --port") from error
        with listener:
            yield listener
        return
    with _unix_socket(place.socket) as listener:
        yield listener


@contextlib.contextmanager
def _unix_socket(path: Path) -> Iterator[socket.socket]:
    _remove_stale(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        mask = os.umask(0o177)
        try:
            listener.bind(str(path))
        except OSError as error:
            reason = error.strerror or error
            raise UsageError(f"cannot listen on {path}: {reason}: give another --socket") from error
        finally:
            os.umask(mask)
        own = os.stat(path)
        try:
            listener.listen(128)
            yield listener
        finally:
            with contextlib.suppress(OSError):
                if os.path.samestat(os.stat(path), own):
                    path.unlink()


def _remove_stale(path: Path) -> None:
    """Remove a socket that no process listens on."""
    with contextlib.suppress(OSError):
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise UsageError(f"{path} is there, and no socket: give another --socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(1)
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()


def _token(place: Place) -> str | None:
    """What the token's file holds; a new one is made where there is no file."""
    file = place.token_file
    if file is None:
        return None
    if not file.exists():
        with disk_errors(), new_file(file, mode=FILE) as new:
            new.write(f"{secrets.token_urlsafe(32)}\n".encode())
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise MplusError(f"{file} cannot be read: name a file with a token in it") from error
    if len(token) < 16 or not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError(f"{file} holds no token: one line of 16 or more letters and digits")
    return token
