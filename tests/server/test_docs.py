"""Every command and program of docs/server.md and docs/mcp.md, as it stands there, against a live server."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from mplus_cli.command_line import hoist
from mplus_cli.server.run import Place

pytest.importorskip("fastapi")
ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "server.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:8765/"
CONTAINER = (
    '<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="a.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
)
PACKAGE = (
    '<package xmlns="http://www.idpf.org/2007/opf" version="2.0"><metadata '
    'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>Moonfleet</dc:title></metadata><manifest>'
    '<item id="a" href="a.xhtml" media-type="application/xhtml+xml"/></manifest>'
    '<spine><itemref idref="a"/></spine></package>'
)
CHAPTER = (
    '<html xmlns="http://www.w3.org/1999/xhtml"><body><h1>The Vault</h1>'
    "<p>The sexton was called Ratsey. He kept a locket.</p></body></html>"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the book of the page."""
    made = tmp_path_factory.mktemp("docs")
    with zipfile.ZipFile(made / "moonfleet.epub", "w") as archive:
        archive.writestr("mimetype", "application/epub+zip")
        archive.writestr("META-INF/container.xml", CONTAINER)
        archive.writestr("a.opf", PACKAGE)
        archive.writestr("a.xhtml", CHAPTER)
    return made


def test_the_commands_with_curl_and_the_program(
    live: Any, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("openai")
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    assert f"http://{Place().host}:{Place().port}/" == ADDRESS
    lines = re.findall(r"^    (curl .*)$", PAGE, re.MULTILINE)
    told = []
    for line in lines:
        words = shlex.split(line.replace(ADDRESS, live.address))
        done = subprocess.run(
            [*words, "--fail-with-body", "-sS"], cwd=folder, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
        told.append(json.loads(done.stdout))
    assert len(told) == 4
    assert told[1]["documents"][0]["title"] == told[2]["sources"][0]["document"] == "Moonfleet"
    program = "".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
    exec(compile(program.replace(ADDRESS, live.address), "docs/server.md", "exec"), {})
    shown = capsys.readouterr().out
    assert re.search(rf"^Moonfleet, .* {live.address}#moonfleet/0$", shown, re.MULTILINE)


def test_every_route_and_event_is_named(live: Any) -> None:
    routes = set(live.get("/openapi.json")["paths"])
    assert routes == {
        "/v1/models",
        "/v1/models/{name}",
        "/v1/chat/completions",
        "/v1/responses",
        "/api/status",
        "/api/memories",
        "/api/memories/{name}",
        "/api/memories/{name}/map",
        "/api/memories/{name}/chapter",
        "/api/memories/{name}/text",
        "/api/memories/{name}/ask",
        "/api/memories/{name}/find",
        "/api/memories/{name}/documents",
    }, "say in docs/server.md what is new"
    for kind in ("note", "retrieved", "text", "answer", "error", "started", "chunk", "committed"):
        assert f"`{kind}`" in PAGE


def test_the_settings_for_an_assistant_are_a_command(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "mcp.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    server = json.loads(block)["mcpServers"]["mplus"]
    assert server["command"] == "mplus"
    assert hoist(server["args"]) == (["--offline"], ["mcp"])


def test_the_unit_starts_what_there_is() -> None:
    (unit,) = re.findall(r"```ini\n(.*?)```", PAGE, re.DOTALL)
    (line,) = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    program, *words = line.split()
    assert Path(program).name == "mplus" and hoist(words) == (["--offline"], ["serve"])
