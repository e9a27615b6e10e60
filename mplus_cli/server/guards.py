"""Checks before every request: who may ask, from where, and how much.

Pure ASGI, so that streams pass through and disconnects are seen. Of the routes it needs to know only
which are public.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_BYTES = 1 << 20
"""The longest body of a request that does not upload a document."""
_DRAINED_BYTES, _DRAINED_SECONDS = 64 << 20, 1.0
"""What is still taken of a request that is refused, and for how long nothing may come."""
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may ask."""

    hosts: frozenset[str] | None
    """Names that a `Host` header may have; None: any."""
    token: str | None
    """The token that `Authorization: Bearer` must hold; None: none is needed."""
    public: frozenset[str]
    """Paths that need no token: what they give is in every copy of mplus."""
    upload_bytes: int


class TooLarge(HTTPException):
    """The request has more bytes than are allowed."""

    def __init__(self, limit: int) -> None:
        super().__init__(413, f"the request is larger than {limit:,} bytes")


class Guard:
    """Refuses requests that are not allowed, and adds security headers to the responses."""

    def __init__(self, app: App, policy: Policy) -> None:
        self._app = app
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message.get("headers", ())}
                added = [(k.encode(), v.encode()) for k, v in _HEADERS.items()]
                message = {
                    **message,
                    "headers": [
                        *message.get("headers", ()),
                        *((name, value) for name, value in added if name not in present),
                    ],
                }
            await send(message)

        refusal = self._refusal(scope)
        limit = self._limit(scope)
        if refusal is None and _declared(scope) > limit:
            refusal = 413, TooLarge(limit).detail, {"connection": "close"}
        if refusal is not None:
            await _answer(receive, guarded, *refusal)
            return
        await self._app(scope, _limited(receive, limit), guarded)

    def _limit(self, scope: Scope) -> int:
        is_upload = scope["method"] == "POST" and scope["path"].endswith("/documents")
        return self._policy.upload_bytes if is_upload else BODY_BYTES

    def _refusal(self, scope: Scope) -> tuple[int, str, dict[str, str]] | None:
        """Status, message and headers for a request that is not allowed; None if it is."""
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        host = headers.get("host", "")
        if self._policy.hosts is not None and _hostname(host) not in self._policy.hosts:
            return 421, f"this server is not {host[:100] or 'nameless'}: use its own address", {}
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            return 403, "requests of other sites are not answered", {}
        if scope["path"] in self._policy.public:
            return None
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return 403, "requests of other sites are not answered", {}
        token = self._policy.token
        if token is None:
            return None
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode()):
            return None
        message = "a token is needed: send it as Authorization: Bearer TOKEN"
        return 401, message, {"www-authenticate": "Bearer"}


def names_of(host: str) -> frozenset[str]:
    """The names that a loopback server may be called by."""
    return frozenset({"localhost", "127.0.0.1", "::1", host})


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _declared(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


def _limited(receive: Receive, limit: int) -> Receive:
    left = limit

    async def counted() -> MutableMapping[str, Any]:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise TooLarge(limit)
        return message

    return counted


async def _answer(
    receive: Receive, send: Send, status: int, message: str, headers: dict[str, str]
) -> None:
    """Refuse a request. What its client still sends is taken first: many read no answer before they have
    sent everything, and a connection that closes in between would be all they see."""
    body = json.dumps({"error": {"message": message, "type": "invalid_request_error"}}).encode()
    listed: Iterable[tuple[bytes, bytes]] = (
        (name.encode(), value.encode())
        for name, value in {"content-type": "application/json", **headers}.items()
    )
    length = (b"content-length", str(len(body)).encode())
    start = {"type": "http.response.start", "status": status, "headers": [*listed, length]}
    await send(start)
    await _drain(receive)
    await send({"type": "http.response.body", "body": body})


async def _drain(receive: Receive) -> None:
    """Take the rest of a request's body, as long as it is short and comes quickly."""
    left = _DRAINED_BYTES
    with suppress(TimeoutError):
        while left > 0:
            message = await asyncio.wait_for(receive(), _DRAINED_SECONDS)
            if message["type"] != "http.request" or not message.get("more_body"):
                return
            left -= len(message.get("body", b""))
