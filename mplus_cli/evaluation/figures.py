"""From the parts of a run to figures with intervals.

A figure is a line of `summary.jsonl`; whatever is shown or said of a run is made of its figures. Those
that depend on the questions alone are kept apart from those that depend on the machine, so that the
same seed gives the same summary. Knows no file.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

from mplus_cli.evaluation.arms import ARMS
from mplus_cli.evaluation.journal import RunCard
from mplus_cli.evaluation.values import ANY, UNREAD, Cost, Loss, Record

OURS = "mplus"
LESS = f"of `{OURS}` less that of the arm, over the same questions"
"""How the titles of paired differences end."""
STORY, NEVER_READ = "the example story's questions", "questions of passages that were never read"
_Z = 1.959963984540054
"""Of 95 %, two-sided."""
_ROUNDS, _SEED = 2000, 0
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Run:
    """A run as its folder holds it."""

    name: str
    card: RunCard
    records: Sequence[Record]
    costs: Sequence[Cost]
    losses: Sequence[Loss]

    @property
    def parts(self) -> list[Record | Loss]:
        """All that it found out."""
        return [*self.records, *self.losses]


class Stat(NamedTuple):
    """A mean of `n` values with its 95 % interval; NaN for what is not known."""

    value: float
    low: float = math.nan
    high: float = math.nan
    n: int = 1


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of a table: an arm (row) under a heading (column)."""

    run: str
    experiment: str
    table: str
    arm: str
    column: str
    value: float
    low: float
    high: float
    count: int

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Figure:
        known: Any = {name: math.nan if one is None else one for name, one in values.items()}
        return cls(**known)

    def to_json(self) -> dict[str, Any]:
        """Its JSON values; what is not known is null."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {name: None if value != value else value for name, value in values.items()}

    def show(self, *, full: bool = True) -> str:
        """It as text; `full`: with its interval."""
        if not self.count:
            return "–"
        has_interval = self.low == self.low
        digits = 3 if has_interval else 0 if self.value >= 100 or self.value % 1 == 0 else 2
        text = f"{self.value:,.{digits}f}"
        if self.table == STORY:
            text = f"{round(self.value * self.count)} of {self.count}"
        return f"{text} [{self.low:.3f}, {self.high:.3f}]" if full and has_interval else text


def share(values: Sequence[bool | float]) -> Stat:
    """The share of values that are true (or 1), with Wilson's interval (Wilson 1927)."""
    count = len(values)
    if not count:
        return Stat(math.nan, n=0)
    part = sum(map(float, values)) / count
    square = _Z**2 / count
    middle = (part + square / 2) / (1 + square)
    half = _Z * math.sqrt(part * (1 - part) / count + square / (4 * count)) / (1 + square)
    return Stat(part, max(middle - half, 0.0), min(middle + half, 1.0), count)


def mean(values: Sequence[float]) -> Stat:
    """The mean of values, with the percentile interval of 2,000 bootstrap samples of a fixed seed."""
    import numpy as np

    count = len(values)
    if not count:
        return Stat(math.nan, n=0)
    data = np.asarray(values, dtype=np.float64)
    drawn = np.random.default_rng(_SEED).integers(0, count, size=(_ROUNDS, count))
    low, high = np.percentile(data[drawn].mean(axis=1), [2.5, 97.5])
    return Stat(float(data.mean()), float(low), float(high), count)


Cell = tuple[str, str, str, Stat]
"""Title, arm, heading and figure."""
MEASURES = {
    "exact hit": "hit",
    "token F1": "f1",
    "exact match": "exact",
    "the right chunk was at hand": "found",
    "wrongly refused": "refused",
}
"""What is measured, and the field of a record that says it."""


def measured(records: Iterable[Record], field: str) -> Stat:
    """The share, or of scores the mean, of a field where it is known."""
    values = [value for one in records if (value := getattr(one, field)) is not None]
    return mean(values) if field in ("f1", "score") else share(values)


def figures_of(run: Run) -> list[Figure]:
    """The figures that the same seed reproduces, table by table; tables without any are left out."""
    by_experiment = {"retention": _retention, "qa": _qa, "story": _story}
    make = by_experiment.get(run.card.experiment)
    return _figures(run, _loss(run.losses) if make is None else make(run.records))


def timings_of(run: Run) -> list[Figure]:
    """The figures that change with the machine and from run to run."""
    return _figures(run, _timings(run.records, run.costs))


def _figures(run: Run, cells: Iterable[Cell]) -> list[Figure]:
    experiment = run.card.experiment
    found = [
        Figure(run.name, experiment, table, arm, column, stat.value, stat.low, stat.high, stat.n)
        for table, arm, column, stat in cells
    ]
    known = {figure.table for figure in found if figure.count}
    return [figure for figure in found if figure.table in known]


def _retention(records: Sequence[Record]) -> Iterator[Cell]:
    """Hits, F1, and what was there to answer from, by how much was read after the passage."""
    for kind, own in _kinds(records):
        for measure, field in MEASURES.items():
            for arm in _arms(own):
                for setting in settings_of(own):
                    asked = len({one.id for one in own if one.setting == setting})
                    column = f"{heading(setting)} (n {asked})"
                    stat = measured(at_setting(own, arm, setting), field)
                    yield f"{kind}: {measure}", arm, column, stat
    never = [record for record in records if record.kind == UNREAD]
    for arm in _arms(records) if never else ():
        mine = [one for one in never if one.arm == arm]
        yield NEVER_READ, arm, "refused", measured(mine, "refused")
    yield from _paired(records, "exact hit")


def _qa(records: Sequence[Record]) -> Iterator[Cell]:
    for kind, own in _kinds(records):
        title = f"{kind} ({len({one.id for one in own})} questions)"
        for arm in _arms(own):
            mine = [one for one in own if one.arm == arm]
            yield title, arm, "questions", Stat(len(mine), n=len(mine))
            columns = {"exact match": "exact", "F1": "f1", "hit": "hit", "refused": "refused"}
            if mine[0].metric not in ("exact", "f1", "hit"):
                columns[mine[0].metric] = "score"
            for column, field in columns.items():
                yield title, arm, column, measured(mine, field)
            ranks = [one.rank or math.inf for one in mine if one.found is not None]
            for best in (1, 3, 5):
                yield title, arm, f"page hit@{best}", share([rank <= best for rank in ranks])
    yield from _paired(records, "token F1")


def _paired(records: Sequence[Record], measure: str) -> Iterator[Cell]:
    """How far M+ is from each other arm, question by question: only what both were asked counts.

    A question that is hard is hard for both arms, so the differences say more than two figures with an
    interval each.
    """
    for kind, own in _kinds(records):
        for arm in _arms(own):
            for setting in settings_of(own) if arm != OURS else ():
                stat = difference(own, arm, setting, measure)
                yield f"{kind}: {measure} {LESS}", arm, heading(setting), stat


def difference(records: Sequence[Record], arm: str, setting: str, measure: str) -> Stat:
    """How much more M+ hits (or its F1 is) than an arm's at a setting (paired bootstrap)."""
    ours, theirs = (
        {one.id: getattr(one, MEASURES[measure]) for one in at_setting(records, name, setting)}
        for name in (OURS, arm)
    )
    return mean([ours[id] - theirs[id] for id in ours if id in theirs])


def _story(records: Sequence[Record]) -> Iterator[Cell]:
    """What the command line answers, and whether its sources are on the right pages."""
    for arm in _arms(records):
        mine = [record for record in records if record.arm == arm]
        yield STORY, arm, "right", measured(mine, "hit")
        yield STORY, arm, "right page among the sources", measured(mine, "found")
        yield STORY, arm, "right page is the first source", share([one.rank == 1 for one in mine])
        yield STORY, arm, "refused", measured(mine, "refused")


def _loss(losses: Sequence[Loss]) -> Iterator[Cell]:
    """Nats a token, the mean over chunks."""
    for arm in (name for name in ARMS if any(loss.arm == name for loss in losses)):
        for document in dict.fromkeys(loss.document for loss in losses):
            stat = mean([x.nats for x in losses if x.arm == arm and x.document == document])
            plain = Stat(math.exp(stat.value), n=stat.n)
            yield "next-token loss", arm, f"{document}: nats a token", stat
            yield "next-token loss", arm, f"{document}: perplexity", plain


def _timings(records: Sequence[Record], costs: Sequence[Cost]) -> Iterator[Cell]:
    """What each arm takes on the machine."""
    for arm in _arms(records):
        mine = [record for record in records if record.arm == arm]
        reader = "bm25" if ARMS[arm].context == "bm25" else ARMS[arm].reader
        spent = [cost for cost in costs if cost.reader == reader]
        seconds, known = sum(cost.seconds for cost in spent), len(spent)
        tokens = sum(cost.tokens for cost in spent)
        disk = max((cost.disk_bytes for cost in spent), default=0) / _MIB
        ram = max((cost.ram_bytes for cost in spent), default=0) / _MIB
        for column, value, count in (
            ("tokens read a second", tokens / seconds if seconds else math.nan, known),
            ("median seconds to first token", median(one.first_seconds for one in mine), 1),
            ("median seconds an answer", median(one.seconds for one in mine), 1),
            ("median prompt tokens", median(one.prompt_tokens for one in mine), 1),
            ("MiB on disk", disk, known),
            ("MiB of RAM while reading", ram, 0 if reader == "bm25" else known),
        ):
            yield "what it takes", arm, column, Stat(float(value), n=count)


def settings_of(records: Iterable[Record]) -> list[str]:
    """The settings of records in order: `alone`, then by tokens."""
    found = {record.setting for record in records} - {ANY, UNREAD}
    return sorted(found, key=lambda name: int(name) if name.isdigit() else -1)


def heading(setting: str) -> str:
    """A setting as the head of a column."""
    return f"{int(setting):,} tokens after" if setting.isdigit() else setting


def at_setting(records: Sequence[Record], arm: str, setting: str) -> list[Record]:
    """An arm's answers at a setting; those that no reading changes, to the questions asked there."""
    asked = {record.id for record in records if record.setting == setting}
    return [
        record
        for record in records
        if record.arm == arm
        and (record.setting == setting or (record.setting == ANY and record.id in asked))
    ]


def _kinds(records: Sequence[Record]) -> Iterator[tuple[str, list[Record]]]:
    """The records of each kind of question that was read about."""
    for kind in dict.fromkeys(record.kind for record in records if record.kind != UNREAD):
        yield kind, [record for record in records if record.kind == kind]


def _arms(records: Sequence[Record]) -> list[str]:
    present = {record.arm for record in records}
    return [name for name in ARMS if name in present]
