"""The report of one or several runs, in the folder that holds them.

    report.md        one table, a plot for each claim, what was won and what was lost
    tables.md        every figure of every run, with the command and the machine
    summary.jsonl    a figure a line, the same for the same seed
    timings.jsonl    the same, of what changes with the machine
    runs.jsonl       a run a line: its experiment, command and machine

All is made of the last three: where a folder holds them and no run, the report is written from them.
Needs no model.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from models.durable import new_file
from mplus_cli.errors import MplusError
from mplus_cli.evaluation import plots
from mplus_cli.evaluation.arms import ARMS
from mplus_cli.evaluation.comparisons import RIVALS, comparisons_of, findings
from mplus_cli.evaluation.figures import (
    Figure,
    Run,
    arms_in,
    figures_of,
    markdown,
    tables_of,
    timings_of,
)
from mplus_cli.evaluation.journal import RUN, read_card, read_parts
from mplus_cli.evaluation.values import Cost, Loss, Record

_TITLES = {
    "retention": "Knowledge retention",
    "qa": "Questions about documents",
    "story": "The example story through the command line",
    "perplexity": "Next-token loss",
}
_LINES = ("summary.jsonl", "timings.jsonl", "runs.jsonl")
_LEGEND = """\
Answers are greedy, of up to 32 tokens. In brackets: 95 % intervals (Wilson's for shares; bootstrap of \
2,000 samples, fixed seed, for means). `mplus ahead by`: the mean difference over the questions that both \
were asked; an interval that leaves out 0 is more than chance. Where an arm was asked fewer questions than \
the others, their number is in its cells.

Exact hit: a gold answer occurs in the answer. Right chunk in context: a token of a chunk that answers was \
recalled or in short-term memory (for BM25: the chunk was in the prompt, or what memory was made of; for \
the example story: a source of `mplus ask` touches a page that answers). Hit@k: such a chunk is among the k \
best. Distances are in whole chunks; each passage stands inside a chunk of other text.
"""


class ReportData(NamedTuple):
    """What a report is made of."""

    cards: Sequence[dict[str, Any]]
    """The lines of `runs.jsonl`."""
    figures: Sequence[Figure]
    timings: Sequence[Figure]


def read_runs(folder: Path) -> list[Run]:
    """The run in a folder, or those in its folders; MplusError if there is none."""
    places = [folder] if (folder / RUN).exists() else [at.parent for at in folder.glob(f"*/{RUN}")]
    if not places:
        raise MplusError(f"{folder} holds no run of mplus eval: give the folder of --out")
    runs = [
        Run(
            place.resolve().name,
            read_card(place),
            read_parts(place, Record),
            read_parts(place, Cost),
            read_parts(place, Loss),
        )
        for place in sorted(places)
    ]
    return sorted(runs, key=lambda run: list(_TITLES).index(run.card.experiment))


def write_report(folder: Path) -> list[Path]:
    """Write the report of a folder into it, and return the files.

    Raises:
        MplusError: there is neither a run nor a summary in it, or matplotlib is not installed.
    """
    has_runs = (folder / RUN).exists() or any(folder.glob(f"*/{RUN}"))
    if has_runs or not (folder / _LINES[0]).exists():
        runs = read_runs(folder)
        figures = [figure.to_json() for run in runs for figure in figures_of(run)]
        timings = [figure.to_json() for run in runs for figure in timings_of(run)]
        for name, values in zip(_LINES, (figures, timings, map(_card, runs)), strict=True):
            lines = (json.dumps(value, ensure_ascii=False) for value in values)
            _write(folder / name, "".join(f"{line}\n" for line in lines))
    summary, took, cards = (_read(folder / name) for name in _LINES)
    facts = ReportData(
        cards, list(map(Figure.from_json, summary)), list(map(Figure.from_json, took))
    )
    images = plots.draw(facts.figures, folder)
    tables = "\n".join([f"# Every table\n\n{_LEGEND}", *_sections(facts)])
    pages = {"report.md": _page(facts, images), "tables.md": tables}
    for name, text in pages.items():
        _write(folder / name, text)
    return [*(folder / name for name in (*pages, *_LINES)), *images.values()]


def _write(path: Path, text: str) -> None:
    with new_file(path) as file:
        file.write(text.encode())


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise MplusError(f"{path} is damaged: restore it, or report the runs again") from error


def _card(run: Run) -> dict[str, Any]:
    present = arms_in(run.parts)
    arms = ",".join(_with_limit(run, name) for name in present)
    return {
        "run": run.name,
        "experiment": run.card.experiment,
        "command": f"{run.card.command} --arms {arms} --out {run.name}",
        "machine": run.card.machine,
    }


def _with_limit(run: Run, name: str) -> str:
    """An arm as `--arms` takes it: with a number where it was asked fewer questions than another."""
    if run.card.experiment == "qa" and ARMS[name].context == "gold":
        return name  # it is asked what has a known passage, which may be less
    asked = {(one.kind, one.arm, one.id) for one in run.records}
    counts = Counter((kind, arm) for kind, arm, _ in asked)
    own = {kind: count for (kind, arm), count in counts.items() if arm == name}
    is_limited = any(counts[kind, arm] > own.get(kind, counts[kind, arm]) for kind, arm in counts)
    return f"{name}:{max(own.values())}" if is_limited else name


def _page(facts: ReportData, images: dict[str, Path]) -> str:
    parts = [
        "# Evaluation\n",
        "M+ beside what one would use instead of it, on the same questions and the same base weights. "
        "Every figure, command and machine is in [tables.md](tables.md).\n",
    ]
    if rows := list(_in_short(facts.figures)):
        head = ["M+ (`mplus`)", "its figure", *RIVALS]
        parts += [
            "## In short\n",
            "Of each kind of question, where most was read in between. Under each rival: the better of "
            "its arms, its figure, and by how many points M+ is ahead over the questions that both were "
            "asked, with the 95 % interval. In bold: more than chance, won (+) or lost (-).\n",
            markdown(head, rows) + "\n",
        ]
    for heap, lines in findings(facts.figures, facts.timings).items():
        parts += [f"## Also {heap.lower()}\n", *(f"- {line}" for line in lines), ""]
    for says, image in images.items():
        parts += [f"## {says}\n", f"![{says}]({image.name})\n"]
    return "\n".join(parts)


def _in_short(figures: Sequence[Figure]) -> Iterator[list[str]]:
    """A row for each kind of question of each run where M+ was compared with a rival, and what `mplus
    ask` says of the example story."""
    rows: dict[Figure, dict[str, str]] = {}
    for one in comparisons_of(figures):
        rows.setdefault(one.ours, {})[one.rival] = one.show()
    for ours, own in rows.items():
        cells = [own.get(rival, "–") for rival in RIVALS]
        figure = f"{ours.column} {ours.show()} (n {ours.count})"
        yield [f"`{ours.run}`: {ours.where.title}", figure, *cells]
    told = [one for one in figures if one.experiment == "story" and one.arm == "quoted"]
    for run in dict.fromkeys(one.run for one in told):
        shown = [
            f"{one.column} {round(one.value * one.count)} of {one.count}"
            for one in told
            if one.run == run and one.count
        ]
        yield [f"`{run}`: what `mplus ask` says", ", ".join(shown), *["–"] * len(RIVALS)]


def _sections(facts: ReportData) -> Iterator[str]:
    cards = {card["run"]: card for card in facts.cards}
    for name, experiment in dict.fromkeys((one.run, one.experiment) for one in facts.figures):
        figures = [figure for figure in facts.figures if figure.run == name]
        timings = [figure for figure in facts.timings if figure.run == name]
        yield f"## {_TITLES[experiment]}: {name}\n"
        if card := cards.get(name):
            yield f"    {card['command']}\n\n{_machine(card['machine'])}\n"
        arms = dict.fromkeys(figure.arm for figure in figures)
        yield from (f"- `{arm}`: {ARMS[arm].about}" for arm in arms)
        for table in tables_of([*figures, *timings]):
            note = " (changes from run to run)" if table.figures[0] in timings else ""
            rows = markdown(["arm", *table.columns], table.rows())
            yield f"\n### {table.title}{note}\n\n{rows}"
        yield ""


def _machine(machine: dict[str, Any]) -> str:
    where = f"{machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads"
    if machine.get("gpu"):
        where += f", {machine['gpu']}"
    versions = ", ".join(f"{name} {machine[name]}" for name in ("python", "torch", "transformers"))
    return (
        f"{where}, device {machine['device']}; {machine['system']}; mplus {machine['mplus']}, "
        f"{versions}; {machine['date']}"
    )
