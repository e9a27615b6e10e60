"""Every command, with names and texts that would steer the terminal: what comes out is text.

In a title, a path, a file name, a model's name, a snapshot's header, a question, a training
recipe, an evaluation's folder; into a pipe, and on a terminal.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import sys
import threading
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mplus_cli import app

NASTY = (
    "\x1b]52;c;aGVsbG8=\x07\x9d0;t\x9c\x1b[8;77m\x9b31m\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\x7f\x08"
    "\u202eevil\u202c\u2066x\u2069\u200b\u200c\u200d\u200e\u061c\u2060\ufeff\u00ad\u2028\u2029"
    "\U000e0041\nmplus: error: forged"
)
NAME = NASTY.replace("/", "")
TEXT = f"The goat {NASTY[NASTY.index(chr(0x202E)) : -24]} is called Admiral. " * 9
OURS = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\x1b\[[0-9]*[AK]")
"""The escape sequences of our own displays: colours, the cursor hidden, a meter redrawn."""


def check(shown: str, *, terminal: bool) -> None:
    """Nothing of what was shown steers, reorders or hides."""
    assert "\x1b[8;77m" not in shown
    if terminal:  # which breaks lines wherever it is full
        shown = OURS.sub("", shown).replace("\r", "")
    found = {c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    assert found <= {"\n", "\t"}, ascii(shown)
    assert terminal or "\nmplus: error: forged" not in shown, ascii(shown)


Show = Callable[..., str]


@pytest.fixture(params=["pipe", "terminal"])
def show(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Show:
    """Run a command line, check all that it shows, and return it."""
    terminal = request.param == "terminal"

    def run(*arguments: str | Path, stdin: str = "", code: int | None = 0) -> str:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        given = [str(argument) for argument in arguments]
        if terminal:
            with monkeypatch.context() as patch:
                found, shown = _on_a_terminal(given, patch)
        else:
            capsys.readouterr()
            found = app.run(given)
            captured = capsys.readouterr()
            shown = captured.err + captured.out
        assert code is None or found == code, (given, shown)
        check(shown, terminal=terminal)
        return shown

    return run


def _on_a_terminal(arguments: list[str], patch: pytest.MonkeyPatch) -> tuple[int, str]:
    master, slave = os.openpty()
    parts: list[bytes] = []

    def receive() -> None:
        try:
            while block := os.read(master, 1 << 16):
                parts.append(block)
        except OSError:  # the other side is closed
            return

    reader = threading.Thread(target=receive)
    reader.start()
    with open(slave, "w", encoding="utf-8") as stream:
        patch.setattr(sys, "stdout", stream)
        patch.setattr(sys, "stderr", stream)
        code = app.run(arguments)
    reader.join(timeout=10)
    os.close(master)
    return code, b"".join(parts).decode()


@pytest.fixture
def nasty_model(tiny_checkpoint_folder: Path, tmp_path: Path) -> Path:
    """The tiny checkpoint in a folder of that name."""
    folder = tmp_path / NAME
    shutil.copytree(tiny_checkpoint_folder, folder)
    card = json.loads((folder / "mplus.json").read_text())
    card["base"] = str(tiny_checkpoint_folder.parent / "tiny-base")
    (folder / "mplus.json").write_text(json.dumps(card))
    return folder


@pytest.fixture
def evil(nasty_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A document of a nasty name, with a nasty text; the nasty model is in use."""
    monkeypatch.setenv("MPLUS_MODEL", str(nasty_model))
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / f"{NAME}.md").write_text(f"# Of {TEXT[:60]}\n\n{TEXT}", "utf-8")
    return folder


def parsed(shown: str) -> Any:
    """The JSON of a command, which on a terminal stands below its meter."""
    return json.loads(re.sub(r"\A[^\[{]*|[^\]}]*\Z", "", OURS.sub("", shown).replace("\r", "")))


def test_reading_and_memories(show: Show, evil: Path, tmp_path: Path) -> None:
    (path,) = evil.iterdir()
    show("ingest", path, "-m", "evil", "--title", NASTY)
    show("ingest", path, "-m", "evil")
    show("ingest", evil, "-m", "other", "--json", "-q")
    (evil / f"{NAME}.pdf").write_bytes(b"%PDF-1.4 nothing")
    show("ingest", evil, "-m", "other", code=4)
    show("ingest", evil / f"{NAME}.pdf", "-m", "other", code=1)
    show("ingest", tmp_path / NAME / "missing.txt", "-m", "other", code=1)
    show("ingest", path, "-m", "evil", "--pages", NASTY, code=2)
    show("ingest", path, "-m", NASTY, code=2)
    described = parsed(show("memory", "show", "evil", "--json"))
    assert described["model"] == NAME
    assert described["documents"][0]["path"] == str(path)
    assert "Admiral" not in json.dumps(described)
    for command in ("list", "show", "map"):
        show("memory", command, *(["evil"] if command != "list" else []))
        parsed(show("memory", command, *(["evil"] if command != "list" else []), "--json"))
    show("memory", "verify", "evil")
    show("memory", "path", "evil")
    for command in ("show", "map", "verify", "path", "rm"):
        show("memory", command, NASTY, code=2)
    show("memory", "rename", "evil", NASTY, code=2)
    show("memory", "rename", "other", "evil", code=2)
    show("memory", "rm", "other", "--yes")
    show("memory", "rm", "evil", code=2)
    show("memory", "save", "evil", tmp_path / f"{NAME}.safetensors")
    show("memory", "save", "evil", tmp_path / f"{NAME}.safetensors", code=2)
    show("memory", "save", "evil", tmp_path / NAME / NAME / "x", code=1)
    show("memory", "load", tmp_path / f"{NAME}.safetensors", code=2)
    show("memory", "load", tmp_path / f"{NAME}.safetensors", "--as", NASTY, code=2)
    show("memory", "load", tmp_path / f"{NAME}.safetensors", "--as", "copy")
    show("memory", "load", tmp_path / "no" / NAME, code=2)
    (tmp_path / "documents" / f"{NAME}.safetensors").write_bytes(b"nothing")
    show("memory", "load", tmp_path / "documents" / f"{NAME}.safetensors", code=3)
    show("memory", "list", "--home", tmp_path / "home" / NAME)
    show("memory", "path", "evil", "--home", tmp_path / "home" / NAME, code=1)


def header_changes() -> dict[str, Callable[[dict[str, Any]], None]]:
    """A change of each text that a snapshot's header holds."""

    def document(field: str) -> Callable[[dict[str, Any]], None]:
        return lambda memory: memory["documents"][0].update({field: NASTY})

    fields = ("path", "title", "kind", "sha256", "digest", "added")
    changes = {f"documents.{field}": document(field) for field in fields}
    for field in ("name", "created", "updated"):
        changes[field] = lambda memory, field=field: memory.update({field: NASTY})
    for field in ("name", "fingerprint", "geometry"):
        changes[f"model.{field}"] = lambda memory, field=field: memory["model"].update(
            {field: NASTY}
        )
    changes["geometry.key"] = lambda memory: memory["model"]["geometry"].update({NASTY: NASTY})
    changes["another key"] = lambda memory: memory.update({NASTY: NASTY})
    return changes


def test_snapshot_headers(show: Show, book: str, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.safetensors", tmp_path / "bad.safetensors"
    show("memory", "save", book, good)
    data = good.read_bytes()
    length = int.from_bytes(data[:8], "little")
    for number, change in enumerate(header_changes().values()):
        header = json.loads(data[8 : 8 + length])
        memory = json.loads(header["__metadata__"]["memory"])
        change(memory)
        header["__metadata__"] |= {"memory": json.dumps(memory), "sha256": "0" * 64}
        text = json.dumps(header).encode()
        changed = len(text).to_bytes(8, "little") + text + data[8 + length :]
        digest = hashlib.sha256(changed).hexdigest().encode()
        bad.write_bytes(changed.replace(b"0" * 64, digest, 1))
        name = f"bad{number}"
        said = show("memory", "load", bad, "--as", name, code=None)
        show("memory", "list")
        if "is loaded" not in said:
            continue
        for command in ("show", "map", "verify"):
            show("memory", command, name)
            show("memory", command, name, "--json")
        show("ask", "who?", "-m", name, "--max-new-tokens", "2", code=None)


def test_questions_and_chat(show: Show, evil: Path) -> None:
    show("ingest", *evil.iterdir(), "-m", "evil", "--title", NASTY, "-q")
    short = ("-m", "evil", "--max-new-tokens", "3")
    show("ask", NASTY, *short)
    show("ask", "Who is called Admiral?", *short)
    answer = parsed(show("ask", NASTY, *short, "--json"))
    assert answer["question"] == NASTY.strip()
    assert {source["document"] for source in answer["sources"]} == {
        answer["sources"][0]["document"]
    }
    show("ask", "-", *short, "--no-stream", stdin=NASTY)
    show("ask", "who?", "-m", NASTY, code=2)
    show("ask", "who?", "--temperature", NASTY, code=2)
    lines = ["who?", "/sources", f"/memory {NASTY}", f"/{NASTY}", f"/reread {NASTY}", "/memory"]
    one_a_line = [line.replace("\n", " ") for line in lines]
    show("chat", "-m", "evil", stdin="\n".join([*one_a_line, f"/quote {NASTY}", "/help"]), code=1)
    show("memory", "map", "evil")
    show("memory", "map", "evil", "--question", NASTY)


def test_models(show: Show, nasty_model: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "models").mkdir(parents=True)
    shutil.copytree(nasty_model, home / "models" / NAME)
    show("model", "list", "--home", home)
    names = [model["name"] for model in parsed(show("model", "list", "--json", "--home", home))]
    assert NAME in names
    for model in (NAME, str(nasty_model)):
        show("model", "show", model, "--home", home)
        show("model", "show", model, "--json", "--home", home)
        show("model", "path", model, "--home", home)
        show("doctor", "--model", model, "--home", home, code=None)
        show("doctor", "--json", "--model", model, "--home", home, code=None)
    (home / "models" / NAME / "mplus.json").write_text(json.dumps({"format": NASTY}))
    show("model", "show", NAME, "--home", home, code=3)
    show("model", "list", "--home", home)
    show("model", "show", f"{NASTY}!", "--home", home, code=2)
    show("model", "pull", f"./{NASTY}", "--home", home, code=2)
    show("doctor", "--home", nasty_model / "mplus.json" / NAME, code=1)


def test_training_evaluation_and_usage(
    show: Show, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    show("train", "--fields")
    show("train", NASTY, "--out", tmp_path / NAME, code=None)
    show("train", "1-write", "--out", tmp_path / NAME, "--set", NASTY, code=2)
    show("train", "1-write", "--out", tmp_path / NAME, "--set", f"{NASTY}=1", code=2)
    (tmp_path / "recipe.json").write_text(json.dumps({NASTY: NASTY}))
    show("train", tmp_path / "recipe.json", "--out", tmp_path / NAME, code=2)
    show("train", "--curves", tmp_path / NAME, code=None)
    for name, nats in ((NAME, 2.0), (f"{NAME}2", 3.0)):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        figures = "cpu cores threads device system mplus python torch transformers date"
        machine = dict.fromkeys(figures.split(), NASTY)
        card = {"format": 1, "experiment": "perplexity", "command": NASTY, "machine": machine}
        (folder / "run.json").write_text(json.dumps(card | {"settings": {"new tokens": NASTY}}))
        loss = {"arm": "mplus", "document": NASTY, "chunk": 0, "tokens": 8, "nats": nats}
        (folder / "losses.jsonl").write_text(json.dumps(loss) + "\n")
    show("eval", "report", tmp_path / "runs", code=None)
    show("eval", "report", tmp_path / "runs" / NAME / "none", code=1)
    show("eval", "compare", tmp_path / "runs" / NAME, tmp_path / "runs" / f"{NAME}2", code=None)
    show("eval", "qa", "--data", tmp_path / NAME / "none", "--out", tmp_path / "out", code=None)
    show("eval", "qa", "--arms", NASTY, "--out", tmp_path / "out", code=2)
    show(NASTY, code=2)
    show("memory", NASTY, code=2)
    show("ask", "who?", f"--{NASTY}", code=2)
    show("--debug", "memory", "show", "x", "--home", f"/proc/{NAME}", code=1)
    show("--help")
    config = tmp_path / f"{NAME}.toml"
    config.write_text('"\\u202e\\u001b[8;77m" = "x"')
    monkeypatch.setenv("MPLUS_CONFIG", str(config))
    show("memory", "list", code=2)
