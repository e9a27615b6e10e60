"""`mplus model pull` of a Hub id, from a small server of the test's own that speaks the Hub's file API."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mplus_cli.runtime.known_models import KNOWN
from mplus_cli.runtime.large_files import _Redirects
from mplus_cli.wording import size

ROOT = Path(__file__).resolve().parents[2]
COMMIT = "5" * 40
CONFIG = b'{"model_type": "llama"}'
WEIGHTS = random.Random(7).randbytes(12 << 20)
FILES = {"config.json": CONFIG, "model.safetensors": WEIGHTS}
FILES |= dict.fromkeys(("README.md", "x.bin", "consolidated.safetensors"), b"no")
FILES_FETCHED = ("config.json", "model.safetensors")


@dataclass
class Hub:
    """What the server has, what it was asked for, and how it misbehaves."""

    address: str = ""
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """Method, path and range of each request."""
    gated: bool = False
    keeps_files: bool = False
    """Whether it lists its files, and gives them to nobody."""
    stops_at: int | None = None
    """Bytes of the weights after which it falls silent."""
    is_silent: threading.Event = field(default_factory=threading.Event)
    goes_on: threading.Event = field(default_factory=threading.Event)
    sends: dict[str, bytes] = field(default_factory=lambda: dict(FILES))
    lists: dict[str, dict[str, int]] = field(default_factory=dict)
    """Other repositories, and the sizes of the files that it says they have."""

    def fetched(self) -> list[tuple[str, str]]:
        """The files that were sent, with the range of each."""
        return [
            (path.rsplit("/", 1)[1], span)
            for method, path, span in self.asked
            if method == "GET" and "/resolve/" in path
        ]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub, path = self.hub, self.path.partition("?")[0]
        hub.asked.append((self.command, path, self.headers.get("Range", "")))
        if hub.gated or (hub.keeps_files and "/resolve/" in path):
            self._send(403, b"", {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access denied"})
        elif re.fullmatch(r"/api/models/org/tiny(/revision/\w+)?", path):
            files = [{"rfilename": name, "size": len(held)} for name, held in FILES.items()]
            info = {"id": "org/tiny", "sha": COMMIT, "siblings": files, "tags": ["license:mit"]}
            self._send(200, json.dumps(info | {"gated": False, "private": False}).encode())
        elif (listed := hub.lists.get(path.removeprefix("/api/models/"))) is not None:
            files = [{"rfilename": name, "size": held} for name, held in listed.items()]
            self._send(200, json.dumps({"id": "other", "siblings": files}).encode())
        elif path.startswith("/api/models/org/tiny/tree/"):
            self._send(200, json.dumps([entry(name) for name in FILES]).encode())
        elif path.startswith(f"/org/tiny/resolve/{COMMIT}/"):
            self._file(path.rsplit("/", 1)[1])
        else:
            self._send(404, b"", {"X-Error-Code": "RepoNotFound"})

    def _file(self, name: str) -> None:
        whole, told = self.hub.sends[name], entry(name)
        mark = told["lfs"]["oid"] if "lfs" in told else told["oid"]
        headers = {"ETag": f'"{mark}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        span = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if span is None:
            self._send(200, whole, headers)
        else:
            first = int(span[1])
            headers["Content-Range"] = f"bytes {first}-{len(whole) - 1}/{len(whole)}"
            self._send(206, whole[first:], headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.hub.stops_at is not None and len(body) > self.hub.stops_at:
            self.wfile.write(body[: self.hub.stops_at])
            self.hub.is_silent.set()
            self.hub.goes_on.wait()
            self.close_connection = True
            return
        self.wfile.write(body)


def entry(name: str) -> dict[str, Any]:
    """A file as the Hub lists it."""
    held = FILES[name]
    oid = hashlib.sha1(b"blob %d\0" % len(held) + held).hexdigest()
    told: dict[str, Any] = {"type": "file", "path": name, "size": len(held), "oid": oid}
    if name.endswith(".safetensors"):
        large = {"oid": hashlib.sha256(held).hexdigest(), "size": len(held), "pointerSize": 134}
        told["lfs"] = large
    return told


@pytest.fixture
def hub() -> Iterator[Hub]:
    made = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Handler,), {"hub": made}))
    server.daemon_threads = True
    made.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.goes_on.set()
    server.shutdown()
    thread.join()
    server.server_close()


def surroundings(hub: Hub, home: Path) -> dict[str, str]:
    """The environment of a process that sees this server in place of the Hub."""
    outside = (
        "HF_HUB_OFFLINE",
        "HF_HUB_CACHE",
        "HF_TOKEN",
        "http_proxy",
        "HTTP_PROXY",
        "all_proxy",
    )
    kept = {name: value for name, value in os.environ.items() if name not in outside}
    return kept | {
        "HF_ENDPOINT": hub.address,
        "HF_HOME": str(home / "hf"),
        "MPLUS_HOME": str(home / "mplus"),
        "HF_HUB_DISABLE_XET": "1",
        "NO_PROXY": "127.0.0.1",
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
    }


def started(hub: Hub, home: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "mplus_cli", *arguments],
        env=surroundings(hub, home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(hub: Hub, home: Path, *arguments: str) -> tuple[int, str, str]:
    process = started(hub, home, *arguments)
    out, err = process.communicate()
    return process.returncode, out, err


def test_a_fetch_that_was_killed_goes_on_where_it_was(hub: Hub, tmp_path: Path) -> None:
    hub.stops_at = 9 << 20
    process = started(hub, tmp_path, "model", "pull", "org/tiny")
    while not hub.is_silent.wait(0.1):
        assert process.poll() is None, process.communicate()
    cache = tmp_path / "hf" / "hub"
    while not any(path.stat().st_size for path in cache.rglob("*.mplus")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.kill()
    process.communicate()
    hub.stops_at, hub.asked = None, []
    hub.goes_on.set()
    code, out, err = run(hub, tmp_path, "model", "pull", "org/tiny", "--json")
    assert code == 0, err
    folder = Path(json.loads(out)["path"])
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    spans = dict(hub.fetched())
    assert re.fullmatch(r"bytes=[1-9]\d+-", spans["model.safetensors"])
    assert set(spans) <= {"config.json", "model.safetensors"}  # no pickles, no pictures
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    came = sum(path.stat().st_size for path in folder.iterdir())
    assert f"org/tiny: licence mit; {size(came)} at most are downloaded once" in err

    hub.asked = []
    assert run(hub, tmp_path, "--offline", "model", "path", "org/tiny")[:2] == (0, f"{folder}\n")
    assert run(hub, tmp_path, "--offline", "model", "pull", "org/tiny")[0] == 0
    assert hub.asked == []


def test_what_is_said_of_a_short_name_is_what_the_hub_lists(hub: Hub, tmp_path: Path) -> None:
    """Where that is another size than is known here, both are said."""
    for number, model in enumerate(KNOWN):
        larger = model.bytes // 2 if number % 2 else 0
        weights = model.bytes - 1_000 + larger
        listed = {"config.json": 1_000, "model.safetensors": weights, "x.bin": 10**9, "a.onnx": 9}
        hub.lists[model.repository] = listed
    program = (
        "from mplus_cli.runtime import downloads, known_models; "
        "print(*(downloads.before(one.repository) for one in known_models.KNOWN), sep='\\n')"
    )
    environment = surroundings(hub, tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) == len(KNOWN), done.stderr
    for number, (model, line) in enumerate(zip(KNOWN, lines, strict=True)):
        total = size(sum(hub.lists[model.repository][name] for name in FILES_FETCHED))
        known = f" ({size(model.bytes)} when this version was made)" if number % 2 else ""
        assert f"; {total} at most are downloaded once{known}; answers take about " in line


def test_a_connection_that_breaks_is_made_again(hub: Hub, tmp_path: Path) -> None:
    hub.stops_at = 5 << 20
    hub.goes_on.set()
    code, out, err = run(hub, tmp_path, "model", "pull", "org/tiny", "--json")
    assert code == 0, err
    assert (Path(json.loads(out)["path"]) / "model.safetensors").read_bytes() == WEIGHTS
    spans = [span for name, span in hub.fetched() if name == "model.safetensors"]
    assert spans == ["", f"bytes={5 << 20}-", f"bytes={10 << 20}-"]


def test_a_file_that_came_damaged_is_fetched_again(hub: Hub, tmp_path: Path) -> None:
    hub.sends["model.safetensors"] = WEIGHTS[:-1] + bytes([WEIGHTS[-1] ^ 1])
    code, _, err = run(hub, tmp_path, "model", "pull", "org/tiny")
    assert code == 1
    assert "model.safetensors is not what the Hub has" in err
    # Not even for a moment does it have the name of what it should be, which others believe.
    assert not [*tmp_path.rglob(hashlib.sha256(WEIGHTS).hexdigest())]
    hub.sends["model.safetensors"] = WEIGHTS
    hub.asked = []
    code, out, err = run(hub, tmp_path, "model", "pull", "org/tiny", "--json")
    assert code == 0, err
    assert [asked for asked in hub.fetched() if asked[0] == "model.safetensors"] == [
        ("model.safetensors", "")
    ]
    assert (Path(json.loads(out)["path"]) / "model.safetensors").read_bytes() == WEIGHTS


def test_what_the_hub_does_not_give_is_one_line(hub: Hub, tmp_path: Path) -> None:
    code, _, err = run(hub, tmp_path, "--offline", "model", "pull", "org/tiny")
    assert code == 3 and "org/tiny is not in the local cache and the network is off" in err
    assert hub.asked == []
    code, _, err = run(hub, tmp_path, "model", "pull", "org/none")
    assert code == 3 and "org/none is not on the Hub, or is private" in err
    hub.keeps_files = True
    code, _, err = run(hub, tmp_path, "model", "pull", "org/tiny")
    assert code == 3 and "org/tiny is given to those who accept its licence" in err
    assert not [*tmp_path.rglob("*.mplus")]
    hub.gated = True
    code, _, err = run(hub, tmp_path, "model", "pull", "llama-3.2-1b")
    said = "meta-llama/Llama-3.2-1B-Instruct is given to those who accept its licence: do so at "
    assert code == 3 and said in err and "set HF_TOKEN" in err
    assert "licence Llama 3.2 Community License, to be accepted on its page" in err


@pytest.mark.parametrize(
    ("to", "keeps"),
    [
        ("https://hub.example/other", True),
        ("https://hub.example:444/other", False),
        ("http://hub.example/other", False),
        ("https://elsewhere.example/other", False),
    ],
)
def test_a_token_goes_to_no_other_host_and_stays_encrypted(to: str, keeps: bool) -> None:
    asked = urllib.request.Request("https://hub.example/it", headers={"Authorization": "Bearer t"})
    asked.add_header("Range", "bytes=5-")
    following = _Redirects().redirect_request(asked, None, 302, "Found", Message(), to)
    assert following.has_header("Authorization") == keeps
    assert following.get_header("Range") == "bytes=5-"


def test_progress_is_told_in_bytes(hub: Hub, tmp_path: Path) -> None:
    program = (
        "from mplus_cli.runtime.large_files import fetch_large; seen = []; "
        "fetch_large('org/tiny', lambda *told: seen.append(told)); "
        "print(*seen[-1], seen == sorted(seen), len(seen) > 9)"
    )
    environment = surroundings(hub, tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    total = len(WEIGHTS)
    assert done.stdout == f"fetching org/tiny {total} {total} True True\n", done.stderr
    assert done.stderr == ""


def test_each_large_file_is_compared_once(hub: Hub, tmp_path: Path) -> None:
    """A fresh one as it comes, one that was there when it is asked for again."""
    program = (
        "import hashlib; from mplus_cli.runtime.downloads import _hub_snapshot; real, seen = "
        "hashlib.file_digest, []; hashlib.file_digest = lambda *given: seen.append(1) or real(*given); "
        "_hub_snapshot('org/tiny', lambda *told: None); print(len(seen))"
    )
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=surroundings(hub, tmp_path),
            capture_output=True,
            text=True,
        )
        assert done.stdout == "1\n", done.stderr
