"""The report of one or several runs: Markdown with tables and plots, and every figure as JSON lines.

    report.md    summary.jsonl    NAME-*.png

Says where text retrieval wins over memory, and by how much. Knows no model.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from models.durable import new_file
from mplus_cli.errors import MplusError
from mplus_cli.evaluation import plots, tables, verdicts
from mplus_cli.evaluation.arms import ARMS
from mplus_cli.evaluation.journal import (
    RUN,
    RunCard,
    read_card,
    read_costs,
    read_losses,
    read_records,
)
from mplus_cli.evaluation.paired import paired_tables
from mplus_cli.evaluation.tables import Table
from mplus_cli.evaluation.values import UNREAD, Cost, Loss, Record

_TITLES = {
    "retention": "Knowledge retention",
    "qa": "Questions about documents",
    "story": "The example story through the command line",
    "perplexity": "Next-token loss",
}


@dataclass(frozen=True, slots=True)
class Run:
    """A run as its folder holds it."""

    name: str
    card: RunCard
    records: tuple[Record, ...]
    costs: tuple[Cost, ...]
    losses: tuple[Loss, ...]

    def tables(self) -> list[Table]:
        """The tables that the same seed reproduces."""
        if self.card.experiment == "retention":
            return tables.retention_tables(self.records) + paired_tables(self.records, by_f1=False)
        if self.card.experiment == "qa":
            return tables.qa_tables(self.records) + paired_tables(self.records, by_f1=True)
        if self.card.experiment == "story":
            return tables.story_tables(self.records)
        return tables.loss_tables(self.losses)

    def cost_tables(self) -> list[Table]:
        """The tables that change with the machine."""
        return tables.cost_tables(self.records, self.costs)

    def verdicts(self) -> list[str]:
        """How M+ compares with the base and with retrieval over text, in sentences."""
        return verdicts.sentences(self.card.experiment, self.records)


def read_runs(folder: Path) -> list[Run]:
    """The run in a folder, or those in its folders; MplusError if there is none."""
    places = [folder] if (folder / RUN).exists() else sorted(folder.glob(f"*/{RUN}"))
    folders = [place if place.is_dir() else place.parent for place in places]
    if not folders:
        raise MplusError(f"{folder} holds no run of mplus eval: give the folder of --out")
    runs = [
        Run(
            place.resolve().name,
            read_card(place),
            tuple(read_records(place)),
            tuple(read_costs(place)),
            tuple(read_losses(place)),
        )
        for place in folders
    ]
    return sorted(runs, key=lambda run: list(_TITLES).index(run.card.experiment))


def write_report(folder: Path) -> list[Path]:
    """Write the report of a folder into it, and return the files.

    Raises:
        MplusError: there is no run in it, or matplotlib is not installed.
    """
    runs = read_runs(folder)
    short = tables.in_short([(_name(run, runs), table) for run in runs for table in run.tables()])
    parts, files, summary = ["# Evaluation\n"], [], []
    if short.cells:
        parts.append(f"## In short\n\n{short.markdown()}\n")
    for run in runs:
        images = _draw(run, folder)
        files += images
        parts.append(_section(run, images))
        summary += [line for table in run.tables() for line in _summary(run, table)]
    text, lines = "\n".join(parts), "".join(json.dumps(line) + "\n" for line in summary)
    for name, content in (("report.md", text), ("summary.jsonl", lines)):
        with new_file(folder / name) as file:
            file.write(content.encode())
        files.insert(0, folder / name)
    return files


def _name(run: Run, runs: Sequence[Run]) -> str:
    """What a run is called beside others of its experiment; nothing if it is the only one."""
    alike = [one for one in runs if one.card.experiment == run.card.experiment]
    return run.name if len(alike) > 1 else ""


def _section(run: Run, images: Sequence[Path]) -> str:
    card = run.card
    present = {record.arm for record in run.records} | {loss.arm for loss in run.losses}
    arms = [name for name in ARMS if name in present]
    asked = ",".join(_with_limit(run, name) for name in arms)
    command = f"{card.command} --arms {asked} --out {run.name}"
    lines = [f"## {_TITLES[card.experiment]}: {run.name}\n", f"    {command}\n"]
    lines += [_machine(card.machine), ""]
    lines += [f"- `{name}`: {ARMS[name].about}" for name in arms] + [""]
    lines.append(_legend(card) + "\n")
    for table in run.tables():
        lines += [f"### {table.title}\n", table.markdown(), ""]
    for sentence in run.verdicts():
        lines.append(f"- {sentence}")
    lines += ["", *(f"![{image.stem}]({image.name})\n" for image in images)]
    for table in run.cost_tables():
        lines += [f"### {table.title} (changes from run to run)\n", table.markdown(), ""]
    return "\n".join(lines)


def _with_limit(run: Run, name: str) -> str:
    """An arm as `--arms` takes it: with a number where it was asked fewer questions than another."""
    if run.card.experiment == "qa" and ARMS[name].context == "gold":
        return name  # it is asked what has a known passage, which may be less
    asked: dict[str, dict[str, set[str]]] = {}
    for record in run.records:
        asked.setdefault(record.kind, {}).setdefault(record.arm, set()).add(record.id)
    counts = [
        (len(by_arm.get(name, ())), max(map(len, by_arm.values()))) for by_arm in asked.values()
    ]
    own = max((count for count, _ in counts), default=0)
    return f"{name}:{own}" if any(0 < count < most for count, most in counts) else name


def _legend(card: RunCard) -> str:
    length = f" of up to {card.settings['new tokens']} tokens" if card.experiment != "story" else ""
    common = (
        f"Greedy answers{length}. In brackets: 95 % intervals "
        "(Wilson's for shares; bootstrap of 2,000 samples, fixed seed, for means and for paired "
        "differences: one whose interval leaves out 0 is more than chance)."
    )
    own = {
        "retention": (
            " A passage stands inside a full chunk of other text. `alone`: that chunk is all that "
            "was read; otherwise the stream before it is in memory too. Exact hit: a gold answer "
            "occurs in the answer. At hand: a token of the right chunk was recalled or in "
            "short-term memory (for BM25: the chunk was in the prompt, or what memory was made of). "
            "Distances are in whole chunks. An arm that was asked fewer questions has their number in "
            "its cells."
        ),
        "story": (
            " Right: an answer of the question's occurs in what `mplus ask` says. A source is right "
            "if it touches a page that answers the question; `mplus ask` names three."
        ),
        "qa": " Page hit@k: one of the k best chunks touches a page that answers the question.",
        "perplexity": " Each chunk is predicted before it is read; all arms see the same chunks.",
    }
    return common + own[card.experiment]


def _machine(machine: dict[str, Any]) -> str:
    where = f"{machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads"
    if machine.get("gpu"):
        where += f", {machine['gpu']}"
    versions = ", ".join(f"{name} {machine[name]}" for name in ("python", "torch", "transformers"))
    return (
        f"{where}, device {machine['device']}; {machine['system']}; mplus {machine['mplus']}, "
        f"{versions}; {machine['date']}"
    )


def _draw(run: Run, folder: Path) -> list[Path]:
    """The run's plots."""
    images: list[Path] = []
    experiment = run.card.experiment
    if experiment == "story":
        return images
    names = (
        dict.fromkeys(loss.document for loss in run.losses)
        if experiment == "perplexity"
        else _kinds(run.records)
    )
    for number, name in enumerate(names, start=1):
        image = folder / f"{run.name}-{number}.png"
        if experiment == "retention":
            plots.plot_retention(run.records, name, image)
        elif experiment == "qa":
            plots.plot_qa(run.records, name, image)
        else:
            plots.plot_losses(run.losses, name, image)
        images.append(image)
    return images


def _kinds(records: Sequence[Record]) -> list[str]:
    return list(dict.fromkeys(record.kind for record in records if record.kind != UNREAD))


def _summary(run: Run, table: Table) -> Iterator[dict[str, Any]]:
    """The figures of a table, one an object; what is not known is null."""
    for cell in table.cells:
        known = {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in asdict(cell.figure).items()
        }
        yield {
            "run": run.name,
            "experiment": run.card.experiment,
            "table": table.title,
            "arm": cell.row,
            "column": cell.column,
            **known,
        }
