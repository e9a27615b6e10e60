"""Asking a server that runs already, so that no model has to be loaded.

Speaks HTTP/1.0 to our own server, a request and its reply to their end: importing `http.client`, and what
that imports, takes 13 ms, where the whole client takes 110.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote

from mplus_cli.asking.events import Answer, Event, event_from_json
from mplus_cli.asking.question import Question
from mplus_cli.errors import ExitCode, MplusError, UsageError
from mplus_cli.server.address import Address, find_address
from mplus_cli.settings import Settings

if TYPE_CHECKING:
    from mplus_cli.runtime.session import Note

CONNECT_SECONDS = 1.0
"""For a server on this machine to take a call."""
_OK, _UNAVAILABLE = 200, 503
_LONGEST = 65536
"""Bytes of a header line."""


class Unreachable(Exception):
    """The server cannot be asked: it went away, or has too much to do."""


def ask_running(
    settings: Settings,
    memory: str,
    question: Question,
    *,
    note: Note,
    meanwhile: Callable[[], None] = lambda: None,
) -> Iterator[Event] | None:
    """The events of an answer by the server that runs for these settings; None where there is none, or it
    cannot be asked now.

    Args:
        meanwhile: what can be done while the server thinks.

    Raises:
        MplusError: what the server says is wrong.
    """
    address = find_address(settings.home)
    if address is None or not address.serves(settings):
        return None
    events = ask_server(address, memory, question, note=note, meanwhile=meanwhile)
    try:
        first = next(events)
    except Unreachable:
        return None
    return chain([first], events)


def ask_server(
    address: Address,
    memory: str,
    question: Question,
    *,
    note: Note,
    meanwhile: Callable[[], None] = lambda: None,
) -> Iterator[Event]:
    """The events of an answer, as `LoadedMemory.answer` gives them.

    Args:
        meanwhile: what can be done while the server thinks.

    Raises:
        Unreachable: before the first event: nothing was asked.
        MplusError: what the server says is wrong; or it went away in the middle.
    """
    values = {**asdict(question), "question": question.text, "stream": True}
    values.pop("text")
    path = f"/api/memories/{quote(memory, safe='')}/ask"
    begun = ended = False
    try:
        with closing(_connected(address)) as connection:
            connection.sendall(_request(path, json.dumps(values).encode(), _headers(address)))
            connection.settimeout(None)
            meanwhile()
            with connection.makefile("rb") as reply:
                status = _status(reply)
                if status == _UNAVAILABLE:
                    raise Unreachable
                if status != _OK:
                    raise _failure(json.loads(reply.read()))
                for value in _events(reply):
                    begun = True
                    if value["event"] == "note":
                        note(value["text"])
                    elif value["event"] == "error":
                        raise _failure(value)
                    else:
                        event = event_from_json(value)
                        ended = isinstance(event, Answer)
                        yield event
        if not ended:
            raise EOFError
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        if not begun:
            raise Unreachable from error
        raise MplusError("the server went away: ask again") from error


def _request(path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    lines = [f"POST {path} HTTP/1.0", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode("ascii") + body


def _status(reply: BinaryIO) -> int:
    """The status of a reply, whose headers are read; ValueError where it is none."""
    version, code, *_ = reply.readline(_LONGEST).split(None, 2)
    if not version.startswith(b"HTTP/1."):
        raise ValueError("no HTTP")
    while reply.readline(_LONGEST).strip():
        pass
    return int(code)


def _events(reply: BinaryIO) -> Iterator[dict[str, Any]]:
    for line in reply:
        if line.startswith(b"data: "):
            yield json.loads(line[len(b"data: ") :])


def _failure(value: dict[str, Any]) -> MplusError:
    """The server's failure, as the error that it would be in this process."""
    error = value["error"]
    code = ExitCode(error.get("exit_code") or ExitCode.FAILED)
    failure = (UsageError if code == ExitCode.USAGE else MplusError)(error["message"])
    failure.exit_code = code
    return failure


def _headers(address: Address) -> dict[str, str]:
    host = f"[{address.host}]" if ":" in address.host else address.host
    named = "localhost" if address.socket is not None else f"{host}:{address.port}"
    headers = {"Host": named, "Content-Type": "application/json"}
    if address.token is not None:
        headers["Authorization"] = f"Bearer {address.token}"
    return headers


def _connected(address: Address) -> socket.socket:
    if address.socket is None:
        return socket.create_connection((address.host, address.port), CONNECT_SECONDS)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(CONNECT_SECONDS)
        connection.connect(address.socket)
    except OSError:
        connection.close()
        raise
    return connection
