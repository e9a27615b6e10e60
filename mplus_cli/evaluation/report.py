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

from mplus_cli.errors import MplusError
from mplus_cli.evaluation import plots, tables
from mplus_cli.evaluation.arms import ARMS
from mplus_cli.evaluation.journal import (
    RUN,
    RunCard,
    read_card,
    read_costs,
    read_losses,
    read_records,
)
from mplus_cli.evaluation.statistics import Figure
from mplus_cli.evaluation.tables import Table
from mplus_cli.evaluation.values import UNREAD, Cost, Loss, Record
from mplus_cli.library.durable import new_file

_TITLES = {
    "retention": "Knowledge retention",
    "qa": "Questions about documents",
    "perplexity": "Next-token loss",
}
_RETRIEVAL = ("bm25", "bm25-1")


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
            return tables.retention_tables(self.records)
        if self.card.experiment == "qa":
            return tables.qa_tables(self.records)
        return tables.loss_tables(self.losses)

    def cost_tables(self) -> list[Table]:
        """The tables that change with the machine."""
        return tables.cost_tables(self.records, self.costs)

    def verdicts(self) -> list[str]:
        """How M+ compares with retrieval over text, in sentences."""
        if self.card.experiment == "retention":
            return [line for kind in _kinds(self.records) for line in self._compare(kind)]
        return []

    def _compare(self, kind: str) -> Iterator[str]:
        own = [record for record in self.records if record.kind == kind]
        present = [name for name in _RETRIEVAL if any(r.arm == name for r in own)]
        if not present or not any(record.arm == "mplus" for record in own):
            return
        for setting in tables.settings_of(own):
            found = [tables.difference(own, "mplus", name, setting) for name in present]
            known = [(f, name) for f, name in zip(found, present, strict=True) if f.count]
            if known:
                yield _sentence(kind, setting, *min(known, key=lambda pair: pair[0].value))


def read_runs(folder: Path) -> list[Run]:
    """The run in a folder, or those in its folders; MplusError if there is none."""
    places = [folder] if (folder / RUN).exists() else sorted(folder.glob(f"*/{RUN}"))
    folders = [place if place.is_dir() else place.parent for place in places]
    if not folders:
        raise MplusError(f"{folder} holds no run of mplus eval: give the folder of --out")
    return [
        Run(
            place.resolve().name,
            read_card(place),
            tuple(read_records(place)),
            tuple(read_costs(place)),
            tuple(read_losses(place)),
        )
        for place in folders
    ]


def write_report(folder: Path) -> list[Path]:
    """Write the report of a folder into it, and return the files.

    Raises:
        MplusError: there is no run in it, or matplotlib is not installed.
    """
    runs = read_runs(folder)
    parts, files, summary = ["# Evaluation\n"], [], []
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


def _section(run: Run, images: Sequence[Path]) -> str:
    card = run.card
    present = {record.arm for record in run.records} | {loss.arm for loss in run.losses}
    arms = [name for name in ARMS if name in present]
    command = f"{card.command} --arms {','.join(arms)} --out {run.name}"
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


def _legend(card: RunCard) -> str:
    common = (
        f"Greedy answers of up to {card.settings['new tokens']} tokens. In brackets: 95 % intervals "
        "(Wilson's for shares; bootstrap of 2,000 samples, fixed seed, for means)."
    )
    own = {
        "retention": (
            " A passage stands inside a full chunk of other text. `alone`: that chunk is all that "
            "was read; otherwise the stream before it is in memory too. Exact hit: a gold answer "
            "occurs in the answer. At hand: a token of the right chunk was recalled or in "
            "short-term memory (for BM25: the chunk was in the prompt)."
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


def _sentence(kind: str, setting: str, figure: Figure, other: str) -> str:
    """A comparison of M+ with the arm that does best against it."""
    where = f"after {int(setting):,} tokens" if setting.isdigit() else "with the chunk alone"
    points = f"{abs(figure.value) * 100:.1f} points of exact hit"
    interval = f"95 % interval {figure.low * 100:+.1f} to {figure.high * 100:+.1f}"
    if figure.low <= 0 <= figure.high and figure.value:
        interval += f": {figure.count} questions do not tell it from chance"
    if figure.value < 0:
        return f"{kind}, {where}: retrieval over text (`{other}`) wins by {points} ({interval})."
    if figure.value == 0:
        return f"{kind}, {where}: `mplus` and `{other}` hit equally often ({interval})."
    return f"{kind}, {where}: `mplus` is ahead of `{other}` by {points} ({interval})."


def _draw(run: Run, folder: Path) -> list[Path]:
    """The run's plots."""
    images: list[Path] = []
    experiment = run.card.experiment
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
