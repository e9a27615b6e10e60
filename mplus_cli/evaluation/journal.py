"""The output folder of an experiment: what it is a run of, and every finished part as a line of JSON.

    run.json         {"format", "experiment", "settings", "command", "machine"}
    answers.jsonl    a `Record` a line        costs.jsonl    a `Cost` a line
    losses.jsonl     a `Loss` a line          work/          memories that are being read

A line is on the disk before the next is begun; one that an interruption tore is dropped when the run
continues. Needs no model.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass, fields
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

from models.durable import new_file, sync_file
from mplus_cli.errors import MplusError, UsageError
from mplus_cli.evaluation.values import Cost, Loss, Record

FORMAT = 1
RUN, WORK = "run.json", "work"
_FILES: dict[type, str] = {Record: "answers.jsonl", Cost: "costs.jsonl", Loss: "losses.jsonl"}

Part = TypeVar("Part", Record, Cost, Loss)


@dataclass(frozen=True, slots=True)
class RunCard:
    """What a folder holds a run of."""

    experiment: str
    settings: dict[str, Any]
    """All that its figures depend on."""
    command: str
    """Without the arms: a run may be continued with more of them."""
    machine: dict[str, Any]


class Journal:
    """A run's folder, open for more."""

    def __init__(self, folder: Path, card: RunCard) -> None:
        """Begin a run, or continue one.

        Raises:
            UsageError: the folder holds a run of something else.
        """
        self.folder, self.work = folder, folder / WORK
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / RUN).exists():
            _check_same(folder, read_card(folder), card)
        else:
            text = json.dumps({"format": FORMAT} | asdict(card), indent=2, ensure_ascii=False)
            with new_file(folder / RUN) as file:
                file.write(f"{text}\n".encode())
        for name in _FILES.values():
            _drop_torn_line(folder / name)
        there: list[Record | Loss] = [*read_parts(folder, Record), *read_parts(folder, Loss)]
        self.done: set[object] = {part.key for part in there}
        """The keys of answers and losses that are there."""

    def add(self, part: Part) -> Part:
        """Keep an answer, a loss or a cost."""
        with (self.folder / _FILES[type(part)]).open("ab") as file:
            file.write((json.dumps(asdict(part), ensure_ascii=False) + "\n").encode())
            sync_file(file)
        if not isinstance(part, Cost):
            self.done.add(part.key)
        return part

    def clear_work(self) -> None:
        """Delete the memories that were read."""
        shutil.rmtree(self.work, ignore_errors=True)


def kept_bytes(folder: Path) -> int:
    """Bytes of the memories that an interrupted run left to continue with."""
    return sum(file.stat().st_size for file in (folder / WORK).rglob("*") if file.is_file())


def read_card(folder: Path) -> RunCard:
    """What a folder holds a run of; MplusError if that is not known."""
    try:
        values = json.loads((folder / RUN).read_text(encoding="utf-8"))
        if values.pop("format") != FORMAT:
            raise MplusError(f"another version of mplus wrote {folder / RUN}: give another --out")
        return RunCard(**values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise MplusError(f"{folder} holds no run of mplus eval: give another folder") from error


def read_parts(folder: Path, kind: type[Part]) -> list[Part]:
    """The parts of one kind: costs as they came, others in an order that interruptions do not change.

    Raises:
        MplusError: a line is damaged.
    """
    path = folder / _FILES[kind]
    parts: list[Part] = []
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1] if path.exists() else (), 1):
        try:
            values = json.loads(line)
            known = {field.name: values[field.name] for field in fields(kind)}
            frozen: Any = {k: tuple(v) if isinstance(v, list) else v for k, v in known.items()}
            parts.append(kind(**frozen))
        except (ValueError, TypeError, KeyError) as error:
            raise MplusError(f"{path}:{number} is damaged: delete the line, run again") from error
    return parts if kind is Cost else sorted(parts, key=attrgetter("key"))


def _check_same(folder: Path, old: RunCard, new: RunCard) -> None:
    ours = {"experiment": new.experiment, **json.loads(json.dumps(new.settings))}
    theirs = {"experiment": old.experiment, **old.settings}
    for name in dict.fromkeys([*ours, *theirs]):
        if ours.get(name) != theirs.get(name):
            raise UsageError(
                f"{folder} holds a run with {name} {_short(theirs.get(name))}, "
                f"not {_short(ours.get(name))}: give another --out, or the same options"
            )


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _drop_torn_line(path: Path) -> None:
    """Cut off what stands after the last whole line."""
    if path.exists():
        whole = path.read_bytes()
        kept = whole.rfind(b"\n") + 1
        if kept != len(whole):
            os.truncate(path, kept)
