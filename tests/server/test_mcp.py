"""MCP with the SDK's own client against a live process: tools, resources, failures, a silent stdout."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from mplus_cli import Mplus, Question

mcp = pytest.importorskip("mcp")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint_folder: Path) -> Path:
    """A library with one memory."""
    folder = tmp_path_factory.mktemp("home")
    text = "Chapter I. The Vault\n\nThe sexton was called Ratsey. He kept a locket.\n\n"
    (folder / "moonfleet.txt").write_text(text * 6)
    mplus = Mplus(folder, model=str(tiny_checkpoint_folder), device="cpu", offline=True)
    mplus.memory("book").read(folder / "moonfleet.txt")
    return folder


def talk(
    home: Path, model: Path, process_of: Any, scenario: Callable[[Any], Awaitable[None]]
) -> None:
    from mcp import Client, StdioServerParameters
    from mcp.client.stdio import stdio_client

    program, *arguments = process_of.command(home, model, "mcp")
    parameters = StdioServerParameters(
        command=program, args=arguments, env=process_of.environment()
    )

    async def main() -> None:
        async with Client(stdio_client(parameters)) as client:
            await asyncio.wait_for(scenario(client), 60)

    asyncio.run(main())


def value(result: Any) -> Any:
    assert not result.is_error, result.content
    assert json.loads(result.content[0].text) == result.structured_content
    return result.structured_content


def test_an_assistant_reads_a_memory(
    home: Path, tiny_checkpoint_folder: Path, process_of: Any
) -> None:
    book = Mplus(home, model=str(tiny_checkpoint_folder), device="cpu").memory("book")

    async def scenario(client: Any) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {"list_memories", "find", "ask", "read_document"}
        assert all(tool.description and tool.annotations.read_only_hint for tool in tools.values())
        listed = value(await client.call_tool("list_memories", {}))
        (line,) = listed["memories"]
        assert (line["name"], line["documents"][0]["title"]) == ("book", "Moonfleet")

        words = "a locket with a silver chain"
        asked = {"memory": "book", "words": words, "count": 2}
        found = value(await client.call_tool("find", asked))
        passages = found["passages"]
        assert found["note"] is None
        expected = book.find(words, 2)
        assert [one["quote"] for one in passages] == [source.quote for source in expected]
        assert passages and passages[0]["place"].startswith("Moonfleet")

        unnamed = value(await client.call_tool("find", {"words": words, "count": 2}))
        assert unnamed == found  # the only memory there is

        read = await client.read_resource(passages[0]["resource"])
        assert (passages[0]["quote"] or "").split()[0] in read.contents[0].text
        templates = (await client.list_resource_templates()).resource_templates
        assert [one.uri_template for one in templates] == ["mplus://{memory}/chunks/{number}"]

        question = {"memory": "book", "question": "What is the book about?"}
        answer = value(await client.call_tool("ask", question))
        told = book.ask(Question("What is the book about?"))
        assert (answer["answer"], answer["reason"]) == (None, told.reason) == (None, "whole")
        assert len(answer["passages"]) == len(told.sources)

        missing = "Who kept a locket in chapter 9?"
        for tool, words in (("find", "words"), ("ask", "question")):
            told = value(await client.call_tool(tool, {"memory": "book", words: missing}))
            assert told["note"] == "No chapter 9 was found, so the search was not limited to it."

        text, first, pages = "", 0, 0
        while first is not None:
            asked = {"memory": "book", "document": "Moonfleet", "first": first, "count": 3}
            part = value(await client.call_tool("read_document", asked))
            text, first, pages = text + part["text"], part["next"], pages + 1
        assert text.count("locket") == 6 and pages > 1

        for tool, wrong, said in (
            ("ask", {"memory": "nobody", "question": "x"}, 'there is no memory "nobody"'),
            ("ask", {"memory": "book", "question": " "}, "the question is empty"),
            ("find", {"memory": "book", "words": "x", "documents": ["Emma"]}, "no document"),
            ("read_document", {"memory": "book", "document": "Emma"}, "no document"),
            ("find", {"memory": "book", "words": "x", "count": 99}, "20"),
        ):
            result = await client.call_tool(tool, wrong)
            assert result.is_error and said in result.content[0].text
        for address, said in (
            ("mplus://book/chunks/99999", "there is no chunk"),
            ("mplus://book/chunks/x", "give its number"),
            ("mplus://nobody/chunks/0", "there is no memory"),
        ):
            with pytest.raises(Exception, match=said):
                await client.read_resource(address)

    talk(home, tiny_checkpoint_folder, process_of, scenario)


def test_stdout_is_the_protocol_alone_and_it_ends_with_its_input(
    home: Path, tiny_checkpoint_folder: Path, process_of: Any
) -> None:
    """A line that is not a message is answered or passed over; the end of the input is a good end."""
    first = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        },
    }
    done = subprocess.run(
        process_of.command(home, tiny_checkpoint_folder, "mcp"),
        env=process_of.environment(),
        input=json.dumps(first) + "\nnot a message\n",
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    assert messages[0]["result"]["serverInfo"]["name"] == "mplus"
    assert all(message["jsonrpc"] == "2.0" for message in messages)
    assert "Traceback" not in done.stderr


def test_a_signal_is_a_good_end(home: Path, tiny_checkpoint_folder: Path, process_of: Any) -> None:
    with subprocess.Popen(
        process_of.command(home, tiny_checkpoint_folder, "mcp"),
        env=process_of.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
        process.stdin.flush()
        assert process.stdout.readline()
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(120) == 0
