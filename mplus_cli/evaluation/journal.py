"""The out folder of an experiment: what it is a run of, and every finished part as a line of JSON.

    run.json         {"format", "experiment", "settings", "command", "machine"}
    answers.jsonl    a `Record` a line        costs.jsonl    a `Cost` a line
    losses.jsonl     a `Loss` a line          work/          memories that are being read

A line is on the disk before the next is begun; one that an interruption tore is dropped when the run
goes on. Knows no model.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from models.durable import new_file
from mplus_cli.errors import MplusError, UsageError
from mplus_cli.evaluation.values import Cost, Loss, Record

FORMAT = 1
RUN, WORK = "run.json", "work"
_ANSWERS, _COSTS, _LOSSES = "answers.jsonl", "costs.jsonl", "losses.jsonl"


@dataclass(frozen=True, slots=True)
class RunCard:
    """What a folder holds a run of."""

    experiment: str
    settings: dict[str, Any]
    """All that its figures depend on."""
    command: str
    """Without the arms: a run may be gone on with for more of them."""
    machine: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT, **asdict(self)}


class Journal:
    """A run's folder, open for more."""

    def __init__(self, folder: Path, card: RunCard) -> None:
        """Begin a run, or go on with one.

        Raises:
            UsageError: the folder holds a run of something else.
        """
        self.folder, self.card = folder, card
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / RUN).exists():
            _check_same(folder, read_card(folder), card)
        else:
            text = json.dumps(card.to_json(), indent=2, ensure_ascii=False) + "\n"
            with new_file(folder / RUN) as file:
                file.write(text.encode())
        for name in (_ANSWERS, _COSTS, _LOSSES):
            _mend(folder / name)
        self.answered = {record.key: record for record in read_records(folder)}
        self.measured = {(loss.arm, loss.document, loss.chunk) for loss in read_losses(folder)}

    @property
    def work(self) -> Path:
        """Where memories are while they are read."""
        return self.folder / WORK

    def add(self, record: Record) -> Record:
        """Keep an answer."""
        _append(self.folder / _ANSWERS, record.to_json())
        self.answered[record.key] = record
        return record

    def add_cost(self, cost: Cost) -> None:
        """Keep what reading a stretch took."""
        _append(self.folder / _COSTS, asdict(cost))

    def has_cost(self, reader: str) -> bool:
        """Whether anything is kept of what a reader took."""
        return any(cost.reader == reader for cost in read_costs(self.folder))

    def add_loss(self, loss: Loss) -> Loss:
        """Keep the loss of a chunk."""
        _append(self.folder / _LOSSES, asdict(loss))
        self.measured.add((loss.arm, loss.document, loss.chunk))
        return loss

    def clear_work(self) -> None:
        """Delete the memories that were read."""
        shutil.rmtree(self.work, ignore_errors=True)


def kept_bytes(folder: Path) -> int:
    """Bytes of the memories that an interrupted run left to go on with."""
    return sum(file.stat().st_size for file in (folder / WORK).rglob("*") if file.is_file())


def read_card(folder: Path) -> RunCard:
    """What a folder holds a run of; MplusError if that cannot be told."""
    try:
        values = json.loads((folder / RUN).read_text(encoding="utf-8"))
        if values.pop("format") != FORMAT:
            raise MplusError(f"{folder / RUN} is of another mplus: give another --out")
        return RunCard(**values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise MplusError(f"{folder} holds no run of mplus eval: give another folder") from error


def read_records(folder: Path) -> list[Record]:
    """The answers of a run, in an order that does not depend on interruptions."""
    records = map(Record.from_json, _lines(folder / _ANSWERS))
    by_key = {record.key: record for record in records}
    return [by_key[key] for key in sorted(by_key)]


def read_costs(folder: Path) -> list[Cost]:
    """What reading took, stretch by stretch."""
    return [Cost(**line) for line in _lines(folder / _COSTS)]


def read_losses(folder: Path) -> list[Loss]:
    """The losses of a run, in the order of the texts."""
    losses = [Loss(**line) for line in _lines(folder / _LOSSES)]
    return sorted(losses, key=lambda loss: (loss.document, loss.chunk, loss.arm))


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


def _append(path: Path, values: dict[str, Any]) -> None:
    line = json.dumps(values, ensure_ascii=False) + "\n"
    with path.open("ab") as file:
        file.write(line.encode())
        file.flush()
        os.fsync(file.fileno())


def _mend(path: Path) -> None:
    """Cut off what stands after the last whole line."""
    if not path.exists():
        return
    whole = path.read_bytes()
    kept = whole[: whole.rfind(b"\n") + 1]
    if len(kept) != len(whole):
        with path.open("r+b") as file:
            file.truncate(len(kept))


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines, a torn last line left out."""
    if not path.exists():
        return
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
        try:
            values = json.loads(line)
        except ValueError as error:
            raise MplusError(
                f"{path}:{number} is damaged: delete the line and run again"
            ) from error
        yield values
