"""From the parts of a run to figures with intervals, and to tables of them.

A figure is a line of `summary.jsonl`; whatever is shown or said of a run is made of its figures. Those
that depend on the questions alone are kept apart from those that depend on the machine, so that the same
seed gives the same summary. Does no I/O.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import median
from typing import Any, NamedTuple

from mplus_cli.evaluation.arms import ARMS
from mplus_cli.evaluation.journal import RunCard
from mplus_cli.evaluation.values import ANY, DOCUMENT, UNREAD, Cost, Loss, Record

OURS = "mplus"
HIT, F1, CONTEXT, REFUSED = "exact hit", "token F1", "right chunk in context", "refused"
AHEAD = f"{OURS} ahead by"
"""The mean of M+'s score less the arm's, question by question: what is hard for one is hard for both, so
differences say more than two figures with an interval each."""
NEVER_READ = "questions about passages that were never read"
NATS = "nats a token"
_MEASURES = {HIT: "hit", F1: "f1", "exact match": "exact", CONTEXT: "found", REFUSED: "refused"}
_Z = 1.959963984540054
"""Of 95 %, two-sided."""
_ROUNDS, _SEED = 2000, 0
_MIB = 1 << 20
_TITLE = re.compile(r"((.*?)(?: after ([\d,]+) tokens)?): \d+ questions")


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
        """Everything that was measured."""
        return [*self.records, *self.losses]


class Stat(NamedTuple):
    """A mean of `n` values with its 95 % interval; NaN for what is not known."""

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    n: int = 0


class Where(NamedTuple):
    """Which answers a table is of."""

    title: str
    """Without the number of questions."""
    kind: str
    """Of question."""
    tokens: int
    """Read after the passage; -1 where that is not told."""


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

    @property
    def where(self) -> Where:
        """What the title of its table says; for a table that is not about answers, the title alone."""
        match = _TITLE.fullmatch(self.table)
        title, kind, tokens = match.groups() if match else (self.table, "", None)
        return Where(title, kind, int(tokens.replace(",", "")) if tokens else -1)

    def show(self, *, full: bool = True) -> str:
        """The figure as text; `full`: with its interval."""
        if not self.count:
            return "–"
        has_interval = self.low == self.low
        digits = 3 if has_interval else 0 if self.value >= 100 or self.value % 1 == 0 else 2
        text = f"{self.value:,.{digits}f}"
        return f"{text} [{self.low:.3f}, {self.high:.3f}]" if full and has_interval else text


def share(values: Sequence[bool | float]) -> Stat:
    """The share of values that are true (or 1), with Wilson's interval (Wilson 1927)."""
    count = len(values)
    if not count:
        return Stat()
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
        return Stat()
    data = np.asarray(values, dtype=np.float64)
    drawn = np.random.default_rng(_SEED).integers(0, count, size=(_ROUNDS, count))
    low, high = np.percentile(data[drawn].mean(axis=1), [2.5, 97.5])
    return Stat(float(data.mean()), float(low), float(high), count)


Cell = tuple[str, str, str, Stat]
"""Title, arm, heading and figure."""


def figures_of(run: Run) -> list[Figure]:
    """The figures that the same seed reproduces, table by table."""
    return _figures(run, [*_answers(run.records, run.card.experiment), *_losses(run.losses)])


def timings_of(run: Run) -> list[Figure]:
    """The figures that change with the machine and from run to run."""
    return _figures(run, list(_timings(run.records, run.costs)))


def arms_in(parts: Iterable[Record | Loss | Figure]) -> list[str]:
    """The arms of parts or figures, in the order of `ARMS`."""
    present = {part.arm for part in parts}
    return [name for name in ARMS if name in present]


def _figures(run: Run, cells: Sequence[Cell]) -> list[Figure]:
    """Figures of cells; tables and columns without any are left out."""
    known = {(table, column) for table, _, column, stat in cells if stat.n}
    return [
        Figure(run.name, run.card.experiment, table, arm, column, *stat)
        for table, arm, column, stat in cells
        if (table, column) in known
    ]


def _answers(records: Sequence[Record], experiment: str) -> Iterator[Cell]:
    """A table for each kind of question at each setting, and one of what was never read."""
    main = F1 if experiment == "qa" else HIT
    arms = arms_in(records)
    for kind in dict.fromkeys(one.kind for one in records if one.kind != UNREAD):
        own = [one for one in records if one.kind == kind]
        for setting in settings_of(own):
            by_arm = {arm: at_setting(own, arm, setting) for arm in arms}
            asked = len({one.id for mine in by_arm.values() for one in mine})
            after = "" if setting == DOCUMENT else f" after {int(setting):,} tokens"
            title = f"{kind}{after}: {asked} questions"
            for arm, mine in by_arm.items():
                yield from ((title, arm, *cell) for cell in _measured(mine))
                if arm != OURS and OURS in by_arm:
                    yield title, arm, AHEAD, difference(by_arm[OURS], mine, main)
    never = [one for one in records if one.kind == UNREAD]
    for arm in arms if never else ():
        yield NEVER_READ, arm, REFUSED, share([one.refused for one in never if one.arm == arm])


def _measured(records: Sequence[Record]) -> Iterator[tuple[str, Stat]]:
    """What is measured of answers: the share, or of F1 the mean, where it is known."""
    for column, field in _MEASURES.items():
        values = [value for one in records if (value := getattr(one, field)) is not None]
        yield column, mean(values) if column == F1 else share(values)
    ranks = [one.rank or math.inf for one in records if one.found is not None]
    for best in (1, 3, 5):
        yield f"hit@{best}", share([rank <= best for rank in ranks])


def difference(ours: Sequence[Record], theirs: Sequence[Record], measure: str) -> Stat:
    """How much higher our scores are, over the questions that both answered (paired bootstrap)."""
    field = _MEASURES[measure]
    scores = {one.id: getattr(one, field) for one in ours}
    return mean([scores[one.id] - getattr(one, field) for one in theirs if one.id in scores])


def settings_of(records: Iterable[Record]) -> list[str]:
    """The settings of records, by tokens."""
    found = {record.setting for record in records} - {ANY, UNREAD}
    return sorted(found, key=lambda name: int(name) if name.isdigit() else -1)


def at_setting(records: Sequence[Record], arm: str, setting: str) -> list[Record]:
    """An arm's answers at a setting; those that no reading changes, to the questions asked there."""
    asked = {record.id for record in records if record.setting == setting}
    return [
        record
        for record in records
        if record.arm == arm
        and (record.setting == setting or (record.setting == ANY and record.id in asked))
    ]


def _losses(losses: Sequence[Loss]) -> Iterator[Cell]:
    """Nats a token, the mean over chunks."""
    for arm in arms_in(losses):
        for document in dict.fromkeys(loss.document for loss in losses):
            stat = mean([x.nats for x in losses if x.arm == arm and x.document == document])
            plain = Stat(math.exp(stat.value), n=stat.n)
            yield "next-token loss", arm, f"{document}: {NATS}", stat
            yield "next-token loss", arm, f"{document}: perplexity", plain


def _timings(records: Sequence[Record], costs: Sequence[Cost]) -> Iterator[Cell]:
    """What each arm takes on the machine."""
    for arm in arms_in(records):
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


class Table(NamedTuple):
    """The figures of one run under one title."""

    title: str
    figures: Sequence[Figure]

    @property
    def columns(self) -> list[str]:
        """The headings, in the order in which they first occur."""
        return list(dict.fromkeys(figure.column for figure in self.figures))

    def rows(self) -> list[list[str]]:
        """The rows as texts, the arm first; where an arm was asked fewer questions, with their number."""
        columns = self.columns
        most = {
            name: max(one.count for one in self.figures if one.column == name) for name in columns
        }
        texts: dict[str, dict[str, str]] = {}
        for one in self.figures:
            is_fewer = 0 < one.count < most[one.column] or (one.count and one.column == AHEAD)
            note = f" (n {one.count})" if is_fewer else ""
            texts.setdefault(one.arm, {})[one.column] = one.show() + note
        return [[arm, *(own.get(name, "–") for name in columns)] for arm, own in texts.items()]


def tables_of(figures: Iterable[Figure]) -> list[Table]:
    """Figures table by table."""
    grouped = groupby(figures, lambda figure: (figure.run, figure.table))
    return [Table(title, list(own)) for (_, title), own in grouped]


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---", *(["---:"] * (len(head) - 1))], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
