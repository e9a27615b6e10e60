"""No command but `mplus model pull` opens a socket to anywhere, whatever the environment says of the Hub."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
QUESTION = "Who kept a goat?"
EVALUATED = "--questions 2 --unread 1 --tokens 0 --arms mplus,gold --out measured".split()
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
    ["demo"],
    ["train", "recipe.json", "--base", "BASE", "--out", "run", "--device", "cpu"],
    ["train", "--curves", "run"],
    ["eval", "retention", "--data", "passages.jsonl", *EVALUATED],
    ["eval", "report", "measured"],
    ["mcp"],
    ["--version"],
    ["--help"],
]
PROGRAM = """
import json, os, sys
from mplus_cli.process import silence_telemetry
silence_telemetry()
from mplus_cli import example_story
from mplus_cli.app import run
example_story.story_file = lambda: "story.txt"
for command in json.loads(sys.argv[1]):
    print("#", *command, run(command), file=sys.stderr, flush=True)
"""


RECIPE = {
    "model": {
        "chunk_tokens": 32,
        "new_tokens": 16,
        "stm_tokens": 64,
        "recalled_tokens": 32,
        "max_prompt_tokens": 128,
        "retriever_width": 8,
        "retriever_hidden": 8,
        "scorer": "maxsim",
        "retriever_layers": [0, 2],
        "update_lora_rank": 4,
        "generate_lora_rank": 4,
    },
    "qa": ["passages.jsonl"],
    "books": ["books.jsonl"],
    "validation": [],
    "steps": 1,
    "streams": 1,
    "questions": 1,
    "continuation_tokens": 16,
    "cue_tokens": 4,
    "pool": 2,
    "negatives": 1,
    "warmup": 1,
    "save_every": 1,
    "validate_every": 1,
}
needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
# By strace, so that what is written in other languages has no way round it; --seccomp-bpf stops a process at
# these calls only.
TRACE = ["strace", "-f", "--seccomp-bpf", "-o", "trace"]


def without_network(**changes: str) -> dict[str, str]:
    """The environment of a process that is not told to stay offline."""
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    return {**environment, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", **changes}


@needs_strace
def test_no_command_opens_a_socket(
    tiny: Path, tiny_base_folder: Path, story: Path, tmp_path: Path
) -> None:
    page = "<p>See <a href='http://example.invalid/'>this</a> <img src='http://example.invalid/a.png'>.</p>"
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    passages = [
        {
            "id": f"g{number}/0",
            "source": "made-up",
            "context": f"Cat {number} is of Ann.",
            "qas": [{"question": f"Whose is cat {number}?", "answers": ["Ann"]}],
        }
        for number in range(6)
    ]
    (tmp_path / "passages.jsonl").write_text("".join(json.dumps(one) + "\n" for one in passages))
    book = {"title": "A", "author": "B", "text": "It was a fine day. The sea was calm.\n" * 60}
    (tmp_path / "books.jsonl").write_text(json.dumps(book) + "\n")
    (tmp_path / "recipe.json").write_text(json.dumps(RECIPE))
    commands = [[part.replace("BASE", str(tiny_base_folder)) for part in one] for one in COMMANDS]
    done = subprocess.run(
        [*TRACE, "-e", "trace=socket", sys.executable, "-c", PROGRAM, json.dumps(commands)],
        cwd=tmp_path,
        env=without_network(),
        input="/find goat\n",
        capture_output=True,
        text=True,
        check=False,
    )
    if "ptrace" in done.stderr:
        pytest.skip(done.stderr)
    ran = re.findall(r"^# (.*) (\d+)$", done.stderr, flags=re.MULTILINE)
    assert [name for name, _ in ran] == [" ".join(command) for command in commands], done.stderr
    assert {name for name, code in ran if code not in ("0", "4")} <= {"doctor"}, done.stderr
    calls = (tmp_path / "trace").read_text(encoding="utf-8", errors="replace").splitlines()
    assert [call for call in calls if "AF_INET" in call or "AF_NETLINK" in call] == []


@needs_strace
def test_a_server_speaks_to_this_machine_only(book: str, tmp_path: Path) -> None:
    """Until it has answered: it listens on 127.0.0.1, and calls nobody."""
    pytest.importorskip("fastapi")
    calls = ["-D", "-e", "trace=bind,connect,sendto,sendmsg"]  # -D: the process is the server
    process = subprocess.Popen(
        [*TRACE, *calls, sys.executable, "-m", "mplus_cli", "serve", "--port", "0"],
        cwd=tmp_path,
        env=without_network(NO_PROXY="127.0.0.1"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        said, found = "", None
        while found is None:
            line = process.stderr.readline()
            if "ptrace" in line:
                pytest.skip(line)
            assert line, said
            said += line
            found = re.search(r"mplus serves at (\S+)/", line)
        for path in ("/", "/docs", "/openapi.json", f"/api/memories/{book}"):
            with opener.open(found[1] + path, timeout=120) as reply:
                assert reply.status == 200
        asked = {"model": book, "messages": [{"role": "user", "content": QUESTION}]}
        request = urllib.request.Request(
            found[1] + "/v1/chat/completions",
            json.dumps(asked | {"max_tokens": 2}).encode(),
            {"Content-Type": "application/json"},
        )
        with opener.open(request, timeout=120) as reply:
            assert json.loads(reply.read())["choices"]
    finally:
        process.terminate()
        process.communicate()  # ends when strace does, too
    made = (tmp_path / "trace").read_text(encoding="utf-8", errors="replace").splitlines()
    far = [call for call in made if "AF_INET" in call and 'inet_addr("127.0.0.1")' not in call]
    assert far == []
    assert any("bind(" in call and "AF_INET" in call for call in made)


def test_libraries_are_told_to_send_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from mplus_cli.process import TELEMETRY, silence_telemetry

    for name in TELEMETRY:
        monkeypatch.delenv(name, raising=False)
    silence_telemetry()
    assert {os.environ.pop(name) for name in TELEMETRY} == {"1"}
