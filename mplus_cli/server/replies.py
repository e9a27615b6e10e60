"""From jobs and failures to HTTP: one value, a stream of server-sent events, an error with its status."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import anyio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from mplus_cli import failures
from mplus_cli.documents import DocumentError
from mplus_cli.errors import MismatchError, MplusError, UsageError
from mplus_cli.server.service import MissingError, OtherTypeError
from mplus_cli.server.worker import BusyError, Job, StoppedError

T = TypeVar("T")
ToText = Callable[[Any], str]
"""The text to send for an event; an empty one is not sent."""


def status_of(error: BaseException) -> int:
    """The status that says what a failure is."""
    if isinstance(error, BusyError | StoppedError | OtherTypeError):
        return 503
    if isinstance(error, MissingError):
        return 404
    if isinstance(error, UsageError):
        return 400
    if isinstance(error, DocumentError):
        return 422
    return 409 if isinstance(error, MplusError | MismatchError) else 500


def error_value(error: BaseException) -> dict[str, Any]:
    """A failure as JSON, in the shape that OpenAI's clients know."""
    message, code = failures.explain(error)
    status = status_of(error)
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "code": None, "exit_code": int(code)}}


def error_response(error: BaseException) -> Response:
    """A failure as a response; a full queue says when to try again."""
    headers = {"retry-after": str(error.seconds)} if isinstance(error, BusyError) else {}
    return JSONResponse(error_value(error), status_of(error), headers=headers)


def sse(value: Any) -> str:
    """A server-sent event that holds a JSON value."""
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"


async def while_connected(request: Request, job: Job, work: Callable[[], Awaitable[T]]) -> T:
    """The result of `work`; if the client disconnects first, cancels the job and raises ClientDisconnect."""
    gone = False
    async with anyio.create_task_group() as group:

        async def watch() -> None:
            nonlocal gone
            while (await request.receive())["type"] != "http.disconnect":
                pass
            gone = True
            group.cancel_scope.cancel()

        group.start_soon(watch)
        outcome = await _settled(work)
        group.cancel_scope.cancel()
    if gone:
        job.cancel()
        raise ClientDisconnect
    return outcome()


async def _settled(work: Callable[[], Awaitable[T]]) -> Callable[[], T]:
    """A function that returns the result of `work` or raises its exception, which a task group would wrap."""
    try:
        value = await work()
    except Exception as error:
        failure = error

        def fail() -> T:
            raise failure

        return fail
    return lambda: value


async def collect(request: Request, job: Job) -> list[Any]:
    """All events of a job; raises as `while_connected` does, and what the job raised."""

    async def gather() -> list[Any]:
        return [event async for event in job.events()]

    return await while_connected(request, job, gather)


async def stream(request: Request, job: Job, to_text: ToText, end: str = "") -> Response:
    """The events of a job as they come. A failure before the first is a response of its own; a later one
    is an event with `error`."""
    events = job.events()

    async def begin() -> list[Any]:
        async for event in events:
            return [event]
        return []

    first = await while_connected(request, job, begin)
    return EventStream(job, _texts(first, events, to_text, end))


class EventStream(StreamingResponse):
    """Server-sent events; the job is cancelled when the response ends, however it does."""

    def __init__(self, job: Job, texts: AsyncIterator[str]) -> None:
        super().__init__(texts, media_type="text/event-stream")
        self._job = job

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._job.cancel()


async def _texts(
    first: list[Any], rest: AsyncIterator[Any], to_text: ToText, end: str
) -> AsyncIterator[str]:
    try:
        for event in first:
            yield to_text(event)
        async for event in rest:
            if text := to_text(event):
                yield text
    except Exception as error:
        yield sse({"event": "error", **error_value(error)})
    yield end
