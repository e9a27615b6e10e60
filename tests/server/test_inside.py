"""The server's application in this process: a document that fails late, and which thread reads the disk."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from mplus_cli.api import MemoryHandle, Mplus
from mplus_cli.asking.question import Question
from mplus_cli.documents import DocumentError
from mplus_cli.errors import MplusError
from mplus_cli.ingest import pipeline
from mplus_cli.library import Library
from mplus_cli.runtime.session import memory_dtype

pytest.importorskip("fastapi")

from mplus_cli.server.address import Address
from mplus_cli.server.app import PUBLIC, make_app
from mplus_cli.server.client import Unreachable, ask_server
from mplus_cli.server.guards import Policy
from mplus_cli.server.replies import status_of
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


def test_a_full_queue_says_when_to_come_again(
    mplus: Mplus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over HTTP, to OpenAI's client, to curl and to `mplus ask`; those that wait are answered."""
    openai, uvicorn = pytest.importorskip("openai"), pytest.importorskip("uvicorn")
    (tmp_path / "a.txt").write_bytes(TEXT)
    mplus.memory("book").read(tmp_path / "a.txt")
    go, real, worker = threading.Event(), MemoryHandle.load, Worker(most=2)

    def held(*given: Any, **named: Any) -> Any:
        go.wait()
        return real(*given, **named)

    def ask() -> str:
        made = client.responses.create(model="book", input="Who is he?", max_output_tokens=4)
        return str(made.output_text)

    monkeypatch.setattr(MemoryHandle, "load", held)
    app = make_app(Service(mplus, worker), Policy(None, None, PUBLIC, 1 << 20))
    server = uvicorn.Server(uvicorn.Config(app, http="h11", lifespan="off", log_config=None))
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(5) as pool:
        port = listener.getsockname()[1]
        client = openai.OpenAI(
            base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0
        )
        serving = pool.submit(server.run, sockets=[listener])
        try:
            asked = []
            # The next one comes when there is room: three at once may find a queue of two full.
            for load in ((1, 0), (1, 1), (1, 2)):
                asked.append(pool.submit(ask))
                while worker.load != dict(zip(("running", "waiting"), load, strict=True)):
                    assert not [one.result() for one in asked if one.done()], "none is held"
                    time.sleep(0.01)
            with pytest.raises(openai.InternalServerError, match="2 requests are waiting") as busy:
                ask()
            assert busy.value.status_code == 503
            assert int(busy.value.response.headers["retry-after"]) >= 1
            address = Address("127.0.0.1", port, None, None, "m", "cpu", "auto")
            with pytest.raises(Unreachable):
                next(ask_server(address, "book", Question("Who?"), note=lambda _: None))
            go.set()
            assert len({one.result() for one in asked}) == 1
        finally:
            go.set()
            server.should_exit = True
            serving.result()
            worker.stop()


def test_one_model_is_in_memory_while_a_document_is_read(mplus: Mplus, tmp_path: Path) -> None:
    """A memory of another type of tensors waits for the end of the reading."""
    (tmp_path / "a.txt").write_bytes(TEXT)
    mplus.memory("book").read(tmp_path / "a.txt")
    model, question = mplus.settings.model, Question("Who is he?", max_new_tokens=4)
    own = memory_dtype(mplus.memory("book").stored)
    dtype = "float32" if own == "bfloat16" else "bfloat16"
    other = Mplus(tmp_path, model=model, device="cpu", dtype=dtype, offline=True)
    other.memory("other").read(tmp_path / "a.txt")
    worker, begun, ended = Worker(), threading.Event(), threading.Event()

    def reading() -> Iterator[str]:
        begun.set()
        while not ended.is_set():
            yield "a chunk"

    async def scenario() -> None:
        service = Service(mplus, worker)
        worker.submit(reading, reading=True)
        await asyncio.to_thread(begun.wait)  # a question that comes before it is answered first
        for name in ("book", "other"):
            job = await service.ask(name, question)
            held = mplus.loader.session()
            if name == "book":
                assert [event async for event in job.events()]
            else:
                with pytest.raises(MplusError, match="ask again when it is read") as busy:
                    [event async for event in job.events()]
                assert status_of(busy.value) == 503
            assert mplus.loader.session() is held
        ended.set()
        while worker.load["running"]:
            await asyncio.sleep(0.01)
        assert [event async for event in (await service.ask("other", question)).events()]

    try:
        asyncio.run(scenario())
    finally:
        ended.set()
        worker.stop()


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
