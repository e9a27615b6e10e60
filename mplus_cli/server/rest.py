"""The REST routes: memories, their text, documents read into them, questions, passages."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Annotated, Any

import anyio
import anyio.to_thread
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from mplus_cli.api import MemoryHandle
from mplus_cli.asking.events import Answer
from mplus_cli.asking.finding import passages_json
from mplus_cli.asking.question import Question, check
from mplus_cli.documents import DocumentError, Source
from mplus_cli.errors import UsageError
from mplus_cli.ingest.job import Plan
from mplus_cli.library.names import validate_name
from mplus_cli.runtime.model_info import map_json
from mplus_cli.server.replies import collect, sse, stream
from mplus_cli.server.service import Note, Service
from mplus_cli.server.worker import BusyError

UPLOADS = 4
"""Documents that are received and opened at a time."""
_LONGEST_NAME = 200


class Ask(BaseModel):
    """A question, with the options of `mplus ask`."""

    model_config = ConfigDict(extra="forbid")

    question: str
    documents: list[str] = Field(default=[], description="Only these documents.")
    turns: list[tuple[str, str]] = Field(
        default=[], description="Earlier questions and answers, oldest first."
    )
    max_new_tokens: int | None = None
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    reread: int | None = None
    quote: bool = True
    strict: bool | None = Field(default=None, description="Null: as the server's settings say.")
    stream: bool = Field(default=False, description="Server-sent events instead of one answer.")

    def to_question(self, strict: bool) -> Question:
        """The question; UsageError if it is not valid."""
        question = Question(
            self.question,
            turns=tuple(self.turns),
            max_new_tokens=self.max_new_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            seed=self.seed,
            reread=self.reread,
            documents=tuple(self.documents),
            quote=self.quote,
            strict=strict if self.strict is None else self.strict,
        )
        check(question)
        return question


class Find(BaseModel):
    """Some words, or a question."""

    model_config = ConfigDict(extra="forbid")

    words: str
    count: int = 5
    documents: list[str] = []


def routes(service: Service, strict: bool) -> APIRouter:
    """The routes under `/api`."""
    router = APIRouter(prefix="/api")
    _add_memories(router, service)
    _add_questions(router, service, strict)
    _add_documents(router, service)
    return router


def _add_memories(router: APIRouter, service: Service) -> None:
    """Routes to the memories, and to the text in them."""

    @router.get("/status", summary="The model, and how many requests wait")
    def status() -> dict[str, Any]:
        return {"model": service.mplus.settings.model, **service.worker.load}

    @router.get("/memories", summary="A line for each memory, as `mplus memory list --json`")
    def memories() -> list[dict[str, Any]]:
        from dataclasses import asdict

        return [asdict(summary) for summary in service.mplus.memories()]

    @router.get("/memories/{name}", summary="A memory, as `mplus memory show --json`")
    def show(name: str) -> dict[str, Any]:
        return service.memory(name).describe()

    @router.get("/memories/{name}/map", summary="Its map, as `mplus memory map --json`")
    def draw(name: str) -> dict[str, Any]:
        return map_json(name, service.memory(name).map())

    @router.get("/memories/{name}/chapter", summary="The chapter that a chunk belongs to")
    def chapter(name: str, chunk: int) -> dict[str, Any]:
        return service.memory(name).chapter(chunk).to_json()

    @router.get("/memories/{name}/text", summary="The text of a document, some chunks of it")
    def text(
        name: str, document: str, first: int = 0, count: Annotated[int, Query(le=64)] = 8
    ) -> dict[str, Any]:
        return service.memory(name).excerpt(document, first, count).to_json()


def _add_questions(router: APIRouter, service: Service, strict: bool) -> None:
    """Questions, and passages without an answer."""

    @router.post("/memories/{name}/ask", summary="Answer a question")
    async def ask(name: str, asked: Ask, request: Request) -> Any:
        question = asked.to_question(strict)
        job = await service.ask(name, question)
        if asked.stream:
            return await stream(request, job, lambda event: sse(event.to_event()))
        events = await collect(request, job)
        notes = [event.text for event in events if isinstance(event, Note)]
        answer = next(event for event in events if isinstance(event, Answer))
        return {**answer.to_json(), "notes": notes}

    @router.post("/memories/{name}/find", summary="Passages without an answer")
    async def find(name: str, asked: Find, request: Request) -> Any:
        question = Question(asked.words, documents=tuple(asked.documents))
        check(question)
        events = await collect(request, await service.find(name, question, asked.count))
        notes = [event.text for event in events if isinstance(event, Note)]
        return passages_json([event for event in events if not isinstance(event, Note)], notes)


def _add_documents(router: APIRouter, service: Service) -> None:
    """Documents that are uploaded and read into a memory."""
    uploads = anyio.Semaphore(UPLOADS)
    body = {"content": {"application/octet-stream": {"schema": {"format": "binary"}}}}

    @router.post(
        "/memories/{name}/documents",
        summary="Read a document, the body of the request, into a memory",
        openapi_extra={"requestBody": {"required": True, **body}},
    )
    async def read(
        name: str,
        request: Request,
        filename: str,
        title: str | None = None,
        pages: str | None = None,
        replace: Annotated[
            bool, Query(description="The earlier version leaves the memory.")
        ] = False,
        as_stream: Annotated[bool, Query(alias="stream")] = False,
    ) -> Any:
        validate_name(name)
        handle = service.mplus.memory(name)
        if uploads.value == 0:
            raise BusyError(UPLOADS, 5)
        async with uploads:
            planned = await receive(request, handle, filename, title, pages)
        if planned.is_hopeless:
            raise DocumentError(planned.failures[0].error)
        job = service.read(handle, planned, replace=replace)
        if as_stream:
            return await stream(request, job, sse)
        return report_of(await collect(request, job))


def report_of(events: list[dict[str, Any]]) -> dict[str, Any]:
    """The report at the end of a reading.

    Raises:
        DocumentError: nothing could be read, as `MemoryHandle.read` raises it.
    """
    report = {name: value for name, value in events[-1].items() if name != "event"}
    documents = report["documents"]
    if documents and all(document["status"] == "failed" for document in documents):
        raise DocumentError(documents[0]["error"])
    return report


async def receive(
    request: Request, handle: MemoryHandle, filename: str, title: str | None, pages: str | None
) -> Plan:
    """Take in a document, and open it in a process of its own; nothing of it stays on the disk."""
    name = _file_name(filename)
    with tempfile.TemporaryDirectory(prefix="mplus-upload-") as folder:
        path = Path(folder, name)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        async with anyio.wrap_file(os.fdopen(descriptor, "wb")) as file:
            async for block in request.stream():
                await file.write(block)
        source = Source(path, name, uploaded=True)
        return await anyio.to_thread.run_sync(
            lambda: handle.plan(source, title=title, pages=pages), abandon_on_cancel=False
        )


def _file_name(given: str) -> str:
    """The name of a file without folders, fit to be one here."""
    name = given.replace("\\", "/").rpartition("/")[2].strip()
    if not name or name in (".", "..") or "\0" in name or len(name.encode()) > _LONGEST_NAME:
        raise UsageError(f"filename is {given[:100]!r}: give the name of a file, such as book.pdf")
    return name
