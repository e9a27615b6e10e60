"""The REST routes, the guards before them, streams and their ends, against a live server."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mplus_cli import Mplus, Question

pytest.importorskip("fastapi")


@pytest.fixture
def mplus(live: Any) -> Mplus:
    """The same library in this process."""
    return Mplus(live.home, model=str(live.model), device="cpu")


def request(live: Any, path: str, method: str = "GET", body: Any = None, **headers: str) -> Any:
    """Status, headers and text of a response."""
    connection = http.client.HTTPConnection("127.0.0.1", live.port, timeout=120)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, given)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, response.headers, text


def sse(text: str) -> list[Any]:
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]


def test_it_says_what_the_library_says(live: Any, mplus: Mplus) -> None:
    book = mplus.memory("book")
    (line,) = [line for line in live.get("/api/memories") if line["name"] == "book"]
    assert line["documents"] == 1 and line["error"] is None
    assert live.get("/api/memories/book") == book.describe()
    assert live.get("/api/memories/book/chapter?chunk=1") == book.chapter(1).to_json()
    text = live.get("/api/memories/book/text?document=moonfleet.txt&first=1&count=2")
    assert text == book.excerpt("Moonfleet", 1, 2).to_json()
    drawn = live.get("/api/memories/book/map")
    assert len(drawn["documents"][0]["chunks"]) == line["chunks"]
    words = {"words": "a locket with a silver chain", "count": 3}
    found = [source.to_json() for source in book.find(words["words"], 3)]
    assert live.post("/api/memories/book/find", words) == found
    missing = live.post("/api/memories/book/find", {"words": "a silver locket in chapter 900"})
    note = "No chapter 900 was found, so the search was not limited to it."
    assert {passage.get("note") for passage in missing} == {note}
    asked = {"question": "Who is the sexton?", "max_new_tokens": 8}
    answer = book.ask(Question("Who is the sexton?", max_new_tokens=8)).to_json()
    told = live.post("/api/memories/book/ask", asked)
    assert {**told, "usage": None} == {**answer, "usage": None, "notes": []}
    _, headers, streamed = request(
        live,
        "/api/memories/book/ask",
        "POST",
        json.dumps({**asked, "stream": True}),
        Content_Type="application/json",
    )
    events = sse(streamed)
    assert headers["content-type"].startswith("text/event-stream")
    assert (events[0]["event"], events[-1]["event"]) == ("retrieved", "answer")
    assert events[-1]["answer"] == told["answer"] == "".join(e.get("text", "") for e in events)


def test_a_document_is_read_with_curl(live: Any, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    book = tmp_path / "Of Whales.md"
    book.write_text(
        "# The Chase\n\nThe whale was white. Its name was Moby. It sank the ship.\n\n" * 4
    )

    def curl(*options: str) -> str:
        done = subprocess.run(["curl", "-sS", *options], capture_output=True, text=True, check=True)
        return done.stdout

    address = f"{live.address}api/memories/whales/documents?filename=Of%20Whales.md"
    events = sse(curl("-N", "--data-binary", f"@{book}", f"{address}&stream=true"))
    kinds = [event["event"] for event in events]
    assert kinds[0] == "started" and kinds[-3:] == ["committed", "finished", "report"]
    assert events[0]["title"] == "Of Whales" and events[0]["path"] == "Of Whales.md"
    again = json.loads(curl("--data-binary", f"@{book}", f"{address}&title=Other"))
    assert [document["status"] for document in again["documents"]] == ["already-read"]
    book.write_text(book.read_text() + "And only Ishmael was left to tell it.\n")
    newer = json.loads(curl("--data-binary", f"@{book}", f"{address}&replace=true"))
    assert [document["replaced"] for document in newer["documents"]] == [True]
    assert len(live.get("/api/memories/whales")["documents"]) == 1
    body = json.dumps({"words": "its name was Moby", "count": 1})
    header = "Content-Type: application/json"
    found = curl("-d", body, "-H", header, f"{live.address}api/memories/whales/find")
    assert json.loads(found)[0]["document"] == "Of Whales"


@pytest.mark.parametrize(
    ("path", "method", "body", "status", "said"),
    [
        ("/api/memories/nobody", "GET", None, 404, "there is no memory"),
        ("/api/memories/..", "GET", None, 404, "cannot name a memory"),
        ("/api/nothing", "GET", None, 404, "not found"),
        ("/api/memories/book/ask", "GET", None, 405, "method not allowed"),
        ("/api/memories/book/ask", "POST", {"question": " "}, 400, "the question is empty"),
        ("/api/memories/book/ask", "POST", {"question": "who?", "x": 1}, 400, "x: extra inputs"),
        ("/api/memories/book/ask", "POST", b"{", 400, "the body is not valid json"),
        ("/api/memories/book/ask", "POST", b"\xff" * 9, 400, ""),
        ("/api/memories/book/ask", "POST", b" " * (2 << 20), 413, "larger than 1,048,576"),
        ("/api/memories/nobody/find", "POST", {"words": "x"}, 404, "there is no memory"),
        ("/api/memories/book/find", "POST", {"words": "x", "count": 0}, 400, "-n is 0"),
        ("/api/memories/book/chapter?chunk=99999", "GET", None, 400, "there is no chunk"),
        ("/api/memories/book/text?document=Emma", "GET", None, 400, "no document"),
        ("/api/memories/new/documents?filename=a.txt", "POST", b"", 422, "a.txt is empty"),
        ("/api/memories/new/documents?filename=a.docx", "POST", b"PK\3\4", 422, "a.docx"),
        ("/api/memories/new/documents?filename=..", "POST", b"x", 400, "filename"),
        ("/api/memories/new/documents", "POST", b"x", 400, "filename: field required"),
        ("/api/memories/a%20b/documents?filename=a.txt", "POST", b"x", 400, "cannot name a memory"),
        ("/api/memories/new/documents?filename=a.pdf&pages=x", "POST", b"x", 400, "page range"),
    ],
)
def test_what_is_refused_says_why(
    live: Any, path: str, method: str, body: Any, status: int, said: str
) -> None:
    data = json.dumps(body) if isinstance(body, dict) else body
    found, headers, text = request(live, path, method, data, Content_Type="application/json")
    assert found == status, text
    assert said in json.loads(text)["error"]["message"].lower() or said in text
    assert "Traceback" not in text and headers["x-content-type-options"] == "nosniff"
    assert "new" not in [line["name"] for line in live.get("/api/memories")]


@pytest.mark.parametrize(
    ("headers", "path", "status"),
    [
        ({"Host": "evil.example"}, "/api/memories", 421),
        ({"Host": "evil.example:80"}, "/", 421),
        ({"Host": "127.0.0.1.evil.example"}, "/api/memories", 421),
        ({"Host": "localhost"}, "/api/memories", 200),
        ({"Host": "[::1]:80"}, "/api/memories", 200),
        ({"Origin": "https://evil.example"}, "/api/memories", 403),
        ({"Origin": "null"}, "/api/memories", 403),
        ({"Origin": "http://["}, "/api/memories", 403),
        ({"Sec_Fetch_Site": "cross-site"}, "/api/memories", 403),
        ({"Sec_Fetch_Site": "same-site"}, "/api/memories", 403),
        ({"Sec_Fetch_Site": "cross-site"}, "/", 200),
        ({"Sec_Fetch_Site": "same-origin"}, "/api/memories", 200),
    ],
)
def test_other_sites_are_not_answered(
    live: Any, headers: dict[str, str], path: str, status: int
) -> None:
    found, told, _ = request(live, path, **headers)
    assert found == status
    assert not [name for name in told if name.lower().startswith("access-control")]


def test_its_own_origin_is_answered(live: Any) -> None:
    own = live.address.rstrip("/")
    assert request(live, "/api/memories", Origin=own)[0] == 200
    preflight = request(live, "/api/memories", "OPTIONS", Access_Control_Request_Method="GET")
    assert preflight[0] == 405 and "access-control-allow-origin" not in preflight[1]


def test_the_pages_load_nothing_from_elsewhere(live: Any) -> None:
    for path in ("/", "/docs"):
        status, headers, text = request(live, path)
        policy = headers["content-security-policy"]
        assert status == 200 and "default-src 'none'" in policy and "unsafe" not in policy
        assert 'src="http' not in text and "//cdn" not in text and ' style="' not in text
    routes = json.loads(request(live, "/openapi.json")[2])["paths"]
    assert {"/v1/chat/completions", "/api/memories/{name}/documents"} <= set(routes)
    assert all(route["summary"] for methods in routes.values() for route in methods.values())


@pytest.fixture
def long_book() -> bytes:
    """A text that takes the tiny model many seconds."""
    text = "Every night Orla Finch wrote the weather in a green book and lit the lamp. "
    return "".join(f"Day {day}. {text}" for day in range(4000)).encode()


def begin(live: Any, body: bytes, path: str) -> Iterator[Any]:
    """The events of a request whose client goes away when this is closed."""
    with socket.create_connection(("127.0.0.1", live.port), 30) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        for line in connection.makefile("rb"):
            if line.startswith(b"data: "):
                yield json.loads(line[6:])


def test_questions_are_answered_while_a_book_is_read_and_a_client_may_go(
    live: Any, long_book: bytes
) -> None:
    path = "/api/memories/long/documents?filename=long.txt&stream=true"
    reading = begin(live, long_book, path)
    first = next(event for event in reading if event["event"] == "started")
    assert first["chunks_done"] == 0 and first["chunks"] > 1000
    next(event for event in reading if event["event"] == "committed")
    assert live.get("/api/status")["running"] == 1
    asked = {"question": "Who is the sexton?", "max_new_tokens": 4}
    assert live.post("/api/memories/book/ask", asked)["answer"]
    told = live.post("/api/memories/long/ask", asked)
    assert "is being read: answers come only from its first" in told["notes"][0]
    reading.close()  # the client is gone: the reading ends, and what was committed is kept
    live.until(lambda: live.get("/api/status")["running"] == 0)
    (row,) = live.get("/api/memories/long")["documents"]
    assert 32 <= row["chunks_read"] < row["chunks"]
    again = begin(live, long_book, path)
    assert next(again)["chunks_done"] == row["chunks_read"]
    again.close()
    live.until(lambda: live.get("/api/status")["running"] == 0)


def test_too_large_a_document_is_refused_before_it_is_sent(live: Any) -> None:
    with socket.create_connection(("127.0.0.1", live.port), 30) as connection:
        head = "POST /api/memories/new/documents?filename=a.txt HTTP/1.1\r\nHost: localhost\r\n"
        connection.sendall(f"{head}Content-Length: {1 << 40}\r\n\r\n".encode())
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 413")


def test_errors_are_failures_of_the_standard_library_too(live: Any) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        live.get("/api/memories/nobody")
