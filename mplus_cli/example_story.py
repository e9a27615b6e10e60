"""The example story of `mplus demo`: where it is, and what to ask about it. Needs no model."""

from __future__ import annotations

import json
from pathlib import Path

from mplus_cli.errors import MplusError

MEMORY = "demo"
ASKED = (3, 8, 35)
"""The ids of the questions that are asked."""
_HERE = Path(__file__).parent
_FOLDERS = (_HERE / "demo", _HERE.parent / "examples" / "story")


def story_file() -> Path:
    """The story's PDF; MplusError if it was not installed."""
    return _file("story.pdf")


def questions() -> list[str]:
    """Three questions about the story."""
    text = _file("questions.json").read_text(encoding="utf-8")
    known = {entry["id"]: entry["question"] for entry in json.loads(text)["questions"]}
    return [known[id] for id in ASKED]


def _file(name: str) -> Path:
    for folder in _FOLDERS:
        if (folder / name).is_file():
            return folder / name
    raise MplusError(f"the example story has no {name} here: install mplus again")
