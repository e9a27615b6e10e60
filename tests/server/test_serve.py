"""`mplus serve`: where it listens, whom it lets in, how it ends; and `mplus ask --server auto`."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mplus_cli import Mplus, MplusError, Question
from mplus_cli.app import run
from mplus_cli.asking.events import Answer
from mplus_cli.server import client
from mplus_cli.server.address import find_address, published
from mplus_cli.settings import Flags, resolve

pytest.importorskip("fastapi")
ASKED = Question("Who is the sexton?", max_new_tokens=8)


@pytest.fixture(scope="module")
def private(
    tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint_folder: Path, process_of: Any
) -> Iterator[Any]:
    """A server on a Unix socket that asks for a token; the last test here stops it."""
    home = tmp_path_factory.mktemp("h")
    (home / "moonfleet.txt").write_text("The sexton was called Ratsey. He kept a locket. " * 20)
    mplus = Mplus(home, model=str(tiny_checkpoint_folder), device="cpu", offline=True)
    mplus.memory("default").read(home / "moonfleet.txt")
    options = ("--socket", str(home / "s"), "--token-file", str(home / "token"))
    server = process_of.start(home, tiny_checkpoint_folder, *options)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait()


@pytest.fixture
def flags(private: Any) -> list[str]:
    return ["--home", str(private.home), "--model", str(private.model), "--device", "cpu"]


@contextmanager
def connected(private: Any) -> Iterator[http.client.HTTPConnection]:
    with closing(client._UnixConnection(str(private.home / "s"))) as connection:
        connection.timeout = 120
        yield connection


def get(private: Any, path: str, **headers: str) -> tuple[int, str]:
    with connected(private) as connection:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode()


def test_the_socket_is_for_its_user_alone_and_the_token_is_asked_for(private: Any) -> None:
    for name, wanted in (("s", 0o600), ("token", 0o600), (".server/address.json", 0o600)):
        assert stat.S_IMODE(os.stat(private.home / name).st_mode) == wanted
    token = (private.home / "token").read_text().strip()
    assert len(token) > 30 and private.address == f"unix:{private.home / 's'}"
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": token}):
        status, text = get(private, "/api/memories", **headers)
        assert status == 401 and "a token is needed" in text
    status, text = get(private, "/api/memories", Authorization=f"Bearer {token}")
    assert status == 200 and json.loads(text)[0]["name"] == "default"
    assert get(private, "/")[0] == get(private, "/openapi.json")[0] == 200
    assert "a token is needed" in get(private, "/v1/models")[1]
    assert token not in "".join(private.said)


def test_ask_uses_the_server_that_runs(
    private: Any, flags: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    """The answer is that of this process, on the same streams; no model is loaded."""
    line = [*flags, "ask", ASKED.text, "--max-new-tokens", "8"]
    here = {}
    for server in ("off", "auto"):
        if server == "auto":
            monkeypatch.setattr("mplus_cli.runtime.session.load_model", None)
        for form in ([], ["--json"], ["--no-stream", "--no-sources"]):
            capsys.readouterr()
            assert run([*line, "--server", server, *form]) == 0
            out, err = capsys.readouterr()
            told = (json.loads(out) | {"usage": None}, err) if form == ["--json"] else (out, err)
            assert here.setdefault((*form,), told) == told
    for wrong, code, said in (
        (["-m", "nobody"], 1, 'there is no memory "nobody"'),
        (["--document", "Emma"], 2, 'there is no document "Emma"'),
        (["--strict"], 2, "does not say how sure it is"),
    ):
        assert run([*line, "--server", "auto", *wrong]) == code
        assert said in capsys.readouterr().err
    assert run([*line, "--server", "always"]) == 2


def test_many_questions_are_asked_of_the_server_too(
    private: Any,
    flags: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: Any,
    tmp_path: Path,
) -> None:
    """As in this process, also where one of them is refused; no model is loaded."""
    lines = ({"question": ASKED.text}, {"question": "Who?", "document": "Emma"})
    (tmp_path / "q.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    line = [*flags, "ask", "--questions", str(tmp_path / "q.jsonl"), "--max-new-tokens", "8"]
    told = {}
    for server in ("off", "auto"):
        if server == "auto":
            monkeypatch.setattr("mplus_cli.runtime.session.load_model", None)
        assert run([*line, "--server", server]) == 4
        out, err = capsys.readouterr()
        told[server] = json.loads(out) | {"usage": None}, err
    assert told["auto"] == told["off"]


def test_asking_a_server_imports_little(private: Any, flags: list[str], process_of: Any) -> None:
    """Neither what computes nor what only other commands need: half of the time to an answer was that."""
    program = (
        "import sys; from mplus_cli.app import run; assert run(sys.argv[1:]) == 0; "
        "names = ('torch', 'numpy', 'pydantic', 'rich', 'httpx', 'mplus_cli.library.database', "
        "'models.config', 'mplus_cli.commands.memory'); "
        "sys.exit(', '.join(name for name in names if name in sys.modules) or 0)"
    )
    line = [sys.executable, "-c", program, *flags, "ask", ASKED.text, "--server", "auto"]
    done = subprocess.run(line, env=process_of.environment(), capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout, done.stderr


def test_another_model_or_no_server_is_asked_in_this_process(
    private: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    settings = resolve(Flags(str(private.model), "cpu", home=private.home))
    assert client.ask_running(settings, "default", ASKED, note=print) is not None
    for other in (
        Flags(str(private.model), "auto", home=private.home),
        Flags("other", "cpu", home=private.home),
        Flags(str(private.model), "cpu", home=tmp_path),
    ):
        assert client.ask_running(resolve(other), "default", ASKED, note=print) is None
    address = find_address(private.home)
    assert address is not None
    with published(tmp_path, address) as known:
        assert known and find_address(tmp_path) == address
        with published(tmp_path, address) as again:
            assert not again  # one server of a home is known
    assert find_address(tmp_path) is None
    # What a killed server left is not believed: its lock went with it.
    (tmp_path / ".server" / "address.json").write_text(
        (private.home / ".server" / "address.json").read_text()
    )
    assert find_address(tmp_path) is None
    for reply in (b"", b"HTTP/1.1 503 Busy\r\n\r\n", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\n\r\n"):
        ours, its = socket.socketpair()
        with its:
            its.sendall(reply)
            its.shutdown(socket.SHUT_WR)
            connection = http.client.HTTPConnection("localhost")
            connection.sock = ours
            monkeypatch.setattr(client, "_connection", lambda _, c=connection: c)
            assert client.ask_running(settings, "default", ASKED, note=print) is None
    monkeypatch.undo()
    with socket.socket() as deaf:  # it has the port, and takes no calls
        deaf.bind(("127.0.0.1", 0))
        gone = replace(address, host="127.0.0.1", port=deaf.getsockname()[1], socket=None)
        monkeypatch.setattr(client, "find_address", lambda _: gone)
        assert client.ask_running(settings, "default", ASKED, note=print) is None


@pytest.mark.parametrize("error", [ConnectionResetError, None])
def test_a_server_that_goes_away_in_the_middle(
    monkeypatch: Any, private: Any, error: type[OSError] | None
) -> None:
    settings = resolve(Flags(str(private.model), "cpu", home=private.home))
    told = client._events

    def cut(response: Any) -> Iterator[Any]:
        yield next(told(response))
        if error is not None:
            raise error

    monkeypatch.setattr(client, "_events", cut)
    events = client.ask_running(settings, "default", ASKED, note=print)
    assert events is not None
    with pytest.raises(MplusError, match="the server went away"):
        [event for event in events if isinstance(event, Answer)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host", "0.0.0.0"], "can be reached from other machines: give --token-file"),
        (["--host", "example.org"], "can be reached from other machines"),
        (["--host", "127.0.0.1", "--port", "1"], None),
        (["--port", "70000"], "--port"),
        (["--socket", "{home}/moonfleet.txt"], "no socket"),
        (["--socket", "{home}/nowhere/s"], "cannot listen on"),
        (["--socket", "{home}/s"], "cannot listen on"),
        (["--token-file", "{home}/short"], "holds no token"),
        (["--max-upload", "0"], "--max-upload"),
    ],
)
def test_where_it_may_not_listen(
    private: Any, flags: list[str], capsys: pytest.CaptureFixture[str], options: Any, said: Any
) -> None:
    """Said at once, before a model is loaded; what is there stays."""
    (private.home / "short").write_text("abc\n")
    if said is None:
        if os.geteuid() == 0:
            pytest.skip("root may listen anywhere")
        said = "cannot listen on 127.0.0.1:1"
    filled = [option.format(home=private.home) for option in options]
    assert run([*flags, "serve", *filled]) == 2
    assert said in capsys.readouterr().err
    assert (private.home / "moonfleet.txt").is_file() and (private.home / "s").is_socket()


@pytest.mark.parametrize(
    ("command", "module", "extra"), [("serve", "fastapi", "serve"), ("mcp", "mcp", "mcp")]
)
def test_without_the_extra_a_line_says_what_to_install(
    command: str, module: str, extra: str, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    assert run([command]) == 1
    said = capsys.readouterr().err
    assert f"{module} is not installed: install it with: pip install 'mplus[{extra}]'" in said


def test_serve_help_is_quick_and_loads_nothing() -> None:
    program = (
        "import sys; from mplus_cli.app import run; run(['serve', '--help']); "
        "print([m for m in ('torch', 'fastapi', 'uvicorn', 'mcp') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_signal_ends_it_cleanly_with_a_reading_under_way(private: Any) -> None:
    """What was committed is kept, the socket and the address are gone, and the exit code is 0."""
    token = (private.home / "token").read_text().strip()
    book = "".join(f"Day {day}. Orla wrote the weather in a green book. " for day in range(6000))
    path = "/api/memories/long/documents?filename=long.txt&stream=true"
    with connected(private) as connection:
        connection.request("POST", path, book.encode(), {"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        for line in response:
            if b'"committed"' in line:
                break
        private.process.send_signal(signal.SIGINT)
        rest = response.read()
    assert b"the server is stopping" in rest
    assert private.process.wait() == 0
    assert not (private.home / "s").exists() and find_address(private.home) is None
    (row,) = Mplus(private.home).memory("long").documents()
    assert 32 <= row.chunks_read < row.chunks
    assert not [line for line in private.said if "Traceback" in line or "rror" in line]
