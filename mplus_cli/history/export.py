"""A conversation as Markdown or JSON, for a file of the user's own. Prints nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models.durable import new_file
from mplus_cli.errors import UsageError, disk_errors
from mplus_cli.history.passages import passages
from mplus_cli.visible import one_line
from mplus_cli.wording import BEGINNING, NEAREST, NOT_SURE, answer_text


def export(path: Path, memory: str, details: Sequence[Mapping[str, Any]]) -> None:
    """Write a conversation to a new file: JSON where its name ends so, else Markdown.

    Raises:
        UsageError: there is such a file.
        MplusError: it cannot be written.
    """
    if path.exists():
        raise UsageError(f"{path} is there already: choose another name")
    text = to_json(memory, details) if path.suffix.lower() == ".json" else markdown(memory, details)
    with disk_errors(), new_file(path, mode=0o600, replace=False) as file:
        file.write(text.encode("utf-8", "replace"))


def to_json(memory: str, details: Sequence[Mapping[str, Any]]) -> str:
    """A conversation as one JSON object."""
    return (
        json.dumps({"memory": memory, "turns": list(details)}, indent=2, ensure_ascii=False) + "\n"
    )


def markdown(memory: str, details: Sequence[Mapping[str, Any]]) -> str:
    """A conversation as Markdown: each question a heading, its answer, and the passages."""
    lines = [f"# Asked of {one_line(memory)}", ""]
    for turn in details:
        said = answer_text(turn["answer"], turn["reason"]).strip()
        lines += [f"## {one_line(turn['question'])}", "", said, ""]
        lines += [note, ""] if (note := standing(turn)) else []
        lines += [f"- {passage}" for passage in passages(turn)]
        lines += [""] if turn["sources"] else []
    return "\n".join(lines)


def standing(turn: Mapping[str, Any]) -> str:
    """What has to be said of an answer before its passages are read; nothing of one that was sure."""
    if turn.get("doubtful"):
        return f"{NOT_SURE}."
    if turn.get("reason") == "part":
        return BEGINNING
    return NEAREST if turn.get("refused") and turn["sources"] else ""
