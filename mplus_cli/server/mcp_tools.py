"""The tools and resources that an assistant gets over MCP.

Imported once the SDK is known to be there. Reaches memories only through `mplus_cli.api`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from urllib.parse import quote

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ToolError
from mcp_types import ToolAnnotations
from pydantic import Field

from mplus_cli import __version__
from mplus_cli.asking.events import Answer, Source
from mplus_cli.asking.excerpts import Excerpt
from mplus_cli.asking.question import Question, check
from mplus_cli.errors import MplusError
from mplus_cli.server.service import Note, Service
from mplus_cli.wording import place

_ABOUT = """\
Books that were read into memories on this machine. `list_memories` says which there are. `find` gives the
passages that fit a question, with chapter and page: prefer it, and answer from the passages. `ask` lets
the small model of mplus answer; it often declines. `read_document` gives the text itself."""
_CHUNKS = 4
_ONLY_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)

Memory = Annotated[
    str | None,
    Field(
        description="The memory; see list_memories. May be left out where there is only one, or where the "
        "settings or the name `default` say which."
    ),
]
Documents = Annotated[
    list[str], Field(description="Only these documents: titles, or how they begin. [] is all.")
]


def make_server(service: Service) -> MCPServer[Any]:
    """The tools and resources of a library."""
    server: MCPServer[Any] = MCPServer(
        "mplus", instructions=_ABOUT, version=__version__, log_level="CRITICAL"
    )
    _add_texts(server, service)
    _add_questions(server, service)
    return server


def _add_texts(server: MCPServer[Any], service: Service) -> None:
    """What there is to read: memories, documents, and the chapter around a passage."""

    @server.tool(annotations=_ONLY_READS, structured_output=True)
    async def list_memories() -> dict[str, Any]:
        """The memories, each with its documents."""
        return {"memories": await _in_thread(lambda: _memories(service), ToolError)}

    @server.tool(annotations=_ONLY_READS, structured_output=True)
    async def read_document(
        document: Annotated[str, Field(description="Its title, path or file name.")],
        memory: Memory = None,
        first: Annotated[int, Field(ge=0, description="Where to begin: a chunk, from 0.")] = 0,
        count: Annotated[int, Field(ge=1, le=16, description="Chunks of about a page.")] = _CHUNKS,
    ) -> dict[str, Any]:
        """The text of a document, some chunks at a time; `next` is where to go on, null at its end."""
        excerpt = await _in_thread(
            lambda: service.memory(memory).excerpt(document, first, count), ToolError
        )
        return {
            "document": excerpt.document.title,
            "text": _text(excerpt),
            "chunks": excerpt.total,
            "next": excerpt.following,
        }

    @server.resource(
        "mplus://{memory}/chunks/{number}",
        name="passage",
        title="A passage in its chapter",
        mime_type="text/plain",
    )
    async def passage(memory: str, number: str) -> str:
        """The text of the chapter around a passage, with the place of each stretch."""
        if not (number.isascii() and number.isdigit() and len(number) < 10):
            raise ResourceError(f"{number[:40]} is not a chunk: give its number")
        excerpt = await _in_thread(
            lambda: service.memory(memory).chapter(int(number)), ResourceError
        )
        return _text(excerpt)


def _add_questions(server: MCPServer[Any], service: Service) -> None:
    """Passages that fit some words, and answers."""

    async def name_of(memory: str | None) -> str:
        name: str = await _in_thread(lambda: service.memory(memory).name, ToolError)
        return name

    @server.tool(annotations=_ONLY_READS, structured_output=True)
    async def find(
        words: Annotated[str, Field(description="A question, or some words.")],
        memory: Memory = None,
        count: Annotated[int, Field(ge=1, le=20)] = 5,
        documents: Documents = [],  # noqa: B006
    ) -> dict[str, Any]:
        """The passages of a memory that fit some words or a question, best first; none may fit."""

        name = await name_of(memory)

        async def found() -> list[Note | Source]:
            question = Question(words, documents=tuple(documents))
            check(question)
            return [one async for one in (await service.find(name, question, count)).events()]

        events = await _reported(found, ToolError)
        return {
            "passages": [_passage(name, one) for one in events if isinstance(one, Source)],
            "note": next((one.text for one in events if isinstance(one, Note)), None),
        }

    @server.tool(annotations=_ONLY_READS, structured_output=True)
    async def ask(
        question: Annotated[
            str, Field(description="Something that one passage of a text answers.")
        ],
        memory: Memory = None,
        documents: Documents = [],  # noqa: B006
    ) -> dict[str, Any]:
        """Let mplus answer a question from a memory, with the passages that the answer rests on.

        `answer` is null where it declines; then the passages are those that come nearest. Where
        `doubtful` is true, or `confidence` is low, trust the passages and not the answer.
        """

        name = await name_of(memory)

        async def answered() -> Answer:
            asked = Question(question, documents=tuple(documents))
            check(asked)
            events = [event async for event in (await service.ask(name, asked)).events()]
            return next(event for event in events if isinstance(event, Answer))

        answer = await _reported(answered, ToolError)
        return {
            "answer": None if answer.refused else answer.answer,
            "reason": answer.reason,
            "confidence": answer.confidence,
            "doubtful": answer.doubtful,
            "note": answer.note,
            "passages": [_passage(name, source) for source in answer.sources],
        }


def _memories(service: Service) -> list[dict[str, Any]]:
    listed = []
    for summary in service.mplus.memories():
        line: dict[str, Any] = {"name": summary.name, "error": summary.error}
        if summary.error is None:
            rows = service.memory(summary.name).documents()
            line["documents"] = [
                {"title": row.title, "author": row.author, "pages": row.pages, "chunks": row.chunks}
                for row in rows
            ]
        listed.append(line)
    return listed


def _passage(memory: str, source: Source) -> dict[str, Any]:
    """A source, short: its whole text is the resource."""
    return {
        "document": source.document,
        "place": place(source.document, *source.spot),
        "quote": source.quote,
        "score": source.score,
        "resource": f"mplus://{quote(memory, safe='')}/chunks/{source.chunk}",
    }


def _text(excerpt: Excerpt) -> str:
    """Chunks as text, each new place in a line of its own."""
    parts: list[str] = []
    before = ""
    for row in excerpt.rows:
        pages = (
            None if row.first_page is None else (row.first_page, row.last_page or row.first_page)
        )
        where = place(excerpt.document.title, pages, row.place)
        parts += [] if where == before else [f"\n\n[{where}]\n\n"]
        parts.append(row.text)
        before = where
    return "".join(parts).strip()


async def _in_thread(function: Callable[[], Any], failure: type[Exception]) -> Any:
    return await _reported(lambda: asyncio.to_thread(function), failure)


async def _reported(function: Callable[[], Awaitable[Any]], failure: type[Exception]) -> Any:
    """The result of a function; a failure that a user can cause is reported to the client."""
    try:
        return await function()
    except MplusError as error:
        raise failure(str(error)) from error
