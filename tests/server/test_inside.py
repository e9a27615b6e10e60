"""The server's application in this process: a document that fails late, and which thread reads the disk."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from mplus_cli.api import Mplus
from mplus_cli.documents import DocumentError
from mplus_cli.ingest import pipeline
from mplus_cli.library import Library

pytest.importorskip("fastapi")

from mplus_cli.server.app import PUBLIC, make_app
from mplus_cli.server.guards import Policy
from mplus_cli.server.service import Service
from mplus_cli.server.worker import Worker

TEXT = b"The sexton was called Ratsey. He kept a locket with a silver chain. " * 20


async def post(app: Any, path: str, value: Any) -> tuple[int, str]:
    """The status and the body that the application answers a POST request with."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    given = asyncio.Queue[dict[str, Any]]()
    given.put_nowait({"type": "http.request", "body": body})
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    address, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": address,
        "query_string": query.encode(),
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
        "client": None,
        "server": ("localhost", 80),
    }
    await app(scope, given.get, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent).decode()


def requests(mplus: Mplus, *wanted: tuple[str, Any]) -> list[tuple[int, str]]:
    """The answers to some POST requests, one after the other."""
    worker = Worker()

    async def ask_all() -> list[tuple[int, str]]:
        app = make_app(Service(mplus, worker), Policy(None, None, PUBLIC, 1 << 20))
        return [await post(app, path, value) for path, value in wanted]

    try:
        return asyncio.run(ask_all())
    finally:
        worker.stop()


@pytest.fixture
def mplus(tmp_path: Path, tiny_checkpoint_folder: Path) -> Mplus:
    return Mplus(tmp_path, model=str(tiny_checkpoint_folder), device="cpu", offline=True)


def test_a_document_that_fails_after_it_was_opened_is_an_error(
    mplus: Mplus, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise DocumentError("a.txt is damaged on page 2")

    monkeypatch.setattr(pipeline, "find_complete", fails)
    path = "/api/memories/new/documents?filename=a.txt"
    whole, streamed = requests(mplus, (path, TEXT), (f"{path}&stream=true", TEXT))
    assert whole[0] == 422
    assert json.loads(whole[1])["error"]["message"] == "a.txt is damaged on page 2"
    assert '"status": "failed"' in streamed[1]  # a stream ends with its report, as before


def test_the_event_loop_reads_no_disk(mplus: Mplus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not to look for a memory either: on a slow disk all other requests would wait."""
    on_the_loop: list[str] = []

    def watched(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(real)
        def method(*given: Any, **named: Any) -> Any:
            if asyncio._get_running_loop() is not None:
                on_the_loop.append(name)
            return real(*given, **named)

        return method

    for name in ("names", "open", "summaries"):
        monkeypatch.setattr(Library, name, watched(name, getattr(Library, name)))
    question = {"question": "Who?", "max_new_tokens": 4}
    chat = {"messages": [{"role": "user", "content": "Who?"}], "max_tokens": 4}
    answers = requests(
        mplus,
        ("/api/memories/book/documents?filename=a.txt", TEXT),
        ("/api/memories/book/ask", question),
        ("/api/memories/book/ask", {**question, "stream": True}),
        ("/api/memories/book/find", {"words": "a locket"}),
        ("/v1/chat/completions", {"model": "book", **chat}),
        ("/api/memories/nobody/find", {"words": "a locket"}),
        ("/api/memories/book/find", {"words": "a locket", "documents": ["Emma"]}),
    )
    assert [status for status, _ in answers] == [200] * 5 + [404, 400]
    assert on_the_loop == []
