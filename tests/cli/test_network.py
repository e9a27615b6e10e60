"""No command but `mplus model pull` opens a socket to anywhere, whatever the environment says of the Hub."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
QUESTION = "Who kept a goat?"
COMMANDS = [
    ["ingest", "story.txt", "page.html", "-m", "book"],
    ["ingest", "story.txt", "--workers", "1"],
    ["ask", QUESTION, "-m", "book"],
    ["find", "goat", "-m", "book"],
    ["chat", "-m", "book"],
    *(["memory", *rest] for rest in (["list"], ["show", "book"], ["map", "book"])),
    *(["memory", *rest] for rest in (["verify", "book"], ["path", "book"])),
    ["memory", "save", "book", "book.safetensors"],
    ["memory", "load", "book.safetensors", "--as", "again"],
    ["memory", "rename", "again", "other"],
    ["memory", "rm", "other", "--yes"],
    ["memory", "fork", "book", "twin"],
    ["memory", "rm-document", "twin", "1", "--yes"],
    *(["memory", *rest] for rest in (["repair", "twin"], ["du"], ["gc"], ["export", "twin"])),
    ["ingest", "story.txt", "--dry-run"],
    ["ingest", "story.txt", "--text"],
    *(["log"], ["config", "show"], ["completion", "bash"]),
    *(["model", *rest] for rest in (["list"], ["show"], ["path"])),
    ["doctor"],
    ["--version"],
    ["--help"],
]
PROGRAM = """
import json, os, sys
from mplus_cli.__main__ import silence_telemetry
silence_telemetry()
from mplus_cli.app import run
for command in json.loads(sys.argv[1]):
    print("#", *command, run(command), file=sys.stderr, flush=True)
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_no_command_opens_a_socket(tiny: Path, story: Path, tmp_path: Path) -> None:
    """By strace, so that what is written in other languages has no way round it."""
    page = "<p>See <a href='http://example.invalid/'>this</a> <img src='http://example.invalid/a.png'>.</p>"
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    trace = ["strace", "-f", "-o", "trace", "-e", "trace=socket,connect,sendto,sendmsg"]
    done = subprocess.run(
        [*trace, sys.executable, "-c", PROGRAM, json.dumps(COMMANDS)],
        cwd=tmp_path,
        env=environment,
        input="/find goat\n",
        capture_output=True,
        text=True,
        check=False,
    )
    if "ptrace" in done.stderr:
        pytest.skip(done.stderr)
    ran = re.findall(r"^# (.*) (\d+)$", done.stderr, flags=re.MULTILINE)
    assert [name for name, _ in ran] == [" ".join(command) for command in COMMANDS], done.stderr
    assert {name for name, code in ran if code not in ("0", "4")} <= {"doctor"}, done.stderr
    calls = (tmp_path / "trace").read_text(encoding="utf-8", errors="replace").splitlines()
    assert [call for call in calls if "AF_INET" in call or "AF_NETLINK" in call] == []


def test_libraries_are_told_to_send_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from mplus_cli.__main__ import TELEMETRY, silence_telemetry

    for name in TELEMETRY:
        monkeypatch.delenv(name, raising=False)
    silence_telemetry()
    assert {os.environ.pop(name) for name in TELEMETRY} == {"1"}
