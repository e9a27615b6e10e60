"""The embedded default, whole: real processes read a real PDF, answer from it and name the pages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from mplus_cli.wording import answer_text

STORY = Path(__file__).parents[1] / "examples" / "story" / "story.pdf"
MILES = "How many miles of water lie between Port Ambrel and Sallowhithe?"

pytestmark = pytest.mark.default_model


@pytest.fixture
def home(own_home: Path) -> Path:
    """A home with the embedded base in it, as `mplus model pull` left it for this user."""
    fetched = platformdirs.user_data_path("mplus") / "base"
    if not fetched.is_dir():
        pytest.skip("fetch the base once: mplus model pull")
    home = own_home / "mplus"
    home.mkdir(exist_ok=True)
    (home / "base").symlink_to(fetched)
    return home


def mplus(*words: str, home: Path) -> Any:
    """The JSON of a command that goes well."""
    command = [sys.executable, "-m", "mplus_cli", "--home", str(home), *words, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_its_memories_stay_its_own(home: Path) -> None:
    """With another fingerprint every memory that users have would be refused."""
    found = mplus("model", "show", home=home)["fingerprint"]
    assert found == "a284c4971722e22973ed6ef46ec4bb63353bb3f0ca69f315c71fe25f7cbfbb3e"


def test_it_reads_answers_and_names_the_page(home: Path, tmp_path: Path) -> None:
    read = mplus("ingest", str(STORY), "--pages", "1-12", home=home)
    assert read["documents"][0]["status"] == "read"
    assert read["ltm_tokens"] > 1000
    first, second = (mplus("ask", MILES, home=home) for _ in range(2))
    assert "thirty-eight" in first["answer"]
    pages = [source["pages"] for source in first["sources"]]
    assert any(low <= 3 <= high for low, high in pages), pages
    quoted = next(source for source in first["sources"] if source["answer_span"])
    assert "thirty-eight miles" in " ".join(quoted["quote"].split())
    start, stop = quoted["answer_span"]
    assert quoted["text"][start:stop] == "thirty-eight"
    short = mplus("ask", MILES, "--max-new-tokens", "2", home=home)
    assert first["answer"].startswith(short["answer"]) and short["reason"] == "length"
    chat = [sys.executable, "-m", "mplus_cli", "--home", str(home), "chat"]
    asked = (
        "How many marks did Mrs. Gadd pay for the harmonium?\nWhat does she carry in her belt?\n"
    )
    told = subprocess.run(chat, input=asked, capture_output=True, text=True, env=dict(os.environ))
    assert "Understood as: What does Mrs. Gadd carry in her belt?" in told.stderr
    alone = mplus("ask", "What does Mrs. Gadd carry in her belt?", home=home)
    assert told.stdout.splitlines()[-1] == answer_text(alone["answer"], alone["reason"])
    assert (short["usage"]["new_tokens"], short["confidence"]) == (2, first["confidence"])
    found = mplus("find", "grey cat with no tail", home=home)
    assert any("cat" in source["quote"] for source in found)
    for answer in (first, second):
        del answer["usage"]["seconds"], answer["usage"]["seconds_to_first_token"]
    assert first == second
    saved = str(tmp_path / "book.safetensors")
    for words in (("save", "default", saved), ("load", saved, "--as", "again")):
        command = [sys.executable, "-m", "mplus_cli", "--home", str(home), "memory", *words]
        subprocess.run(command, check=True, capture_output=True)
    third = mplus("ask", MILES, "-m", "again", home=home)
    assert (third["answer"], third["sources"]) == (first["answer"], first["sources"])
