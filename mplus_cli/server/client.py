"""Asking a server that runs already, so that no model has to be loaded. The standard library's HTTP only:
it has to be quick to import."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict
from itertools import chain
from typing import TYPE_CHECKING, Any
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
        with closing(_connection(address)) as connection:
            connection.request("POST", path, json.dumps(values), _headers(address))
            connection.sock.settimeout(None)
            meanwhile()
            response = connection.getresponse()
            if response.status == http.client.SERVICE_UNAVAILABLE:
                raise Unreachable
            if response.status != http.client.OK:
                raise _failure(json.loads(response.read()))
            for value in _events(response):
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
    except (OSError, EOFError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        if not begun:
            raise Unreachable from error
        raise MplusError("the server went away: ask again") from error


def _events(response: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    for line in response:
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
    headers = {"Content-Type": "application/json"}
    if address.token is not None:
        headers["Authorization"] = f"Bearer {address.token}"
    return headers


def _connection(address: Address) -> http.client.HTTPConnection:
    if address.socket is not None:
        return _UnixConnection(address.socket)
    return http.client.HTTPConnection(address.host, address.port, timeout=CONNECT_SECONDS)


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=CONNECT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
