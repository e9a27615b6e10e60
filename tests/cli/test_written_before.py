"""What earlier versions wrote: a checkpoint, a memory and a snapshot of format 1 and 2, kept as files.

They were written by the code of the commit before the settings were divided, with a random Llama.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

KEPT = Path(__file__).resolve().parents[1] / "fixtures" / "format1"


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the kept files, its checkpoint in use and its library at home."""
    folder = tmp_path / "kept"
    shutil.copytree(KEPT, folder)
    monkeypatch.setenv("MPLUS_MODEL", str(folder / "checkpoint"))
    monkeypatch.setenv("MPLUS_HOME", str(folder / "home"))
    return folder


def test_a_checkpoint_keeps_its_fingerprint(mplus: Any, kept: Path) -> None:
    expected = json.loads((kept / "expected.json").read_text())
    shown = mplus("model", "show", "--json", "--dtype", "float32").json
    assert shown["fingerprint"] == expected["fingerprint"]
    before = {name: at for name, at in expected["config"].items() if name != "least_coverage"}
    assert shown["config"] == before | {"best_chunks": 0, "together_weight": 0.0}


def test_a_memory_and_a_snapshot_open_and_answer(mplus: Any, kept: Path) -> None:
    expected = json.loads((kept / "expected.json").read_text())
    assert mplus("memory", "verify", "story").code == 0
    assert mplus("memory", "load", kept / "story.safetensors", "--as", "again").code == 0
    for name in ("story", "again"):
        asked = mplus(
            "ask", "Who kept a goat?", "-m", name, "--json", "--no-quote", "--max-new-tokens", "8"
        )
        assert asked.code == 0, asked.err
        assert asked.json["answer"] == expected["answer"]
        assert [source["chunk"] for source in asked.json["sources"]] == expected["chunks"]


def test_a_memory_is_read_on(mplus: Any, kept: Path) -> None:
    read = mplus("ingest", "-", "-m", "story", "--dtype", "float32", stdin="The lamp went out.")
    assert read.code == 0, read.err
    assert len(mplus("memory", "show", "story", "--json").json["documents"]) == 2
