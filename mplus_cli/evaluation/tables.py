"""From the records of a run to tables: figures with intervals, every arm in every table.

What depends on the questions alone is kept apart from what depends on the machine, so that the same
seed gives the same tables. Knows no file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mplus_cli.evaluation.arms import ARMS
from mplus_cli.evaluation.statistics import Figure, mean, median, share
from mplus_cli.evaluation.values import ANY, UNREAD, Cost, Loss, Record

_MIB = 1 << 20
_SHORT_ARMS = (
    "mplus",
    "quoted",
    "closed-book",
    "gold",
    "bm25-1",
    "bm25",
    "gold-reader",
    "gold-memory",
    "bm25-1-reader",
    "bm25-1-memory",
)
_SHORT_TABLES = (
    ": exact hit",
    ": the right chunk was at hand",
    ": wrongly refused",
    "that were never read",
    "the example story's questions",
)
_SHORT_COLUMNS = ("F1", "rouge-l")


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure of a table: an arm (row) under a heading (column)."""

    row: str
    column: str
    figure: Figure
    digits: int = 3
    note: str = ""
    """What is said after the figure."""
    in_full: bool = False
    """A share as "24 of 40"."""

    def __str__(self) -> str:
        found, digits = self.figure, self.digits
        if not found.count:
            return "–"
        value = f"{found.value:,.{digits}f}"
        if self.in_full:
            value = f"{round(found.value * found.count)} of {found.count}"
        if not math.isnan(found.low):
            value += f" [{found.low:.{digits}f}, {found.high:.{digits}f}]"
        return f"{value} {self.note}" if self.note else value


@dataclass(frozen=True, slots=True)
class Table:
    """Figures by arm and heading."""

    title: str
    cells: tuple[Cell, ...]
    rows_are: str = "arm"

    @property
    def columns(self) -> list[str]:
        return list(dict.fromkeys(cell.column for cell in self.cells))

    def rows(self) -> list[list[str]]:
        """The rows as texts, the arm first."""
        by_place = {(cell.row, cell.column): str(cell) for cell in self.cells}
        names = list(dict.fromkeys(cell.row for cell in self.cells))
        return [
            [name, *(by_place.get((name, column), "–") for column in self.columns)]
            for name in names
        ]

    def markdown(self) -> str:
        head = [self.rows_are, *self.columns]
        lines = [head, ["---", *(["---:"] * (len(head) - 1))], *self.rows()]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def retention_tables(records: Sequence[Record]) -> list[Table]:
    """Hits, F1, and what was there to answer from, by how much was read after the passage."""
    tables = []
    asked = [record for record in records if record.kind != UNREAD]
    for kind in dict.fromkeys(record.kind for record in asked):
        own = [record for record in asked if record.kind == kind]
        tables += [
            _by_setting(f"{kind}: exact hit", own, lambda r: share([x.hit for x in r])),
            _by_setting(f"{kind}: token F1", own, lambda r: mean([x.f1 for x in r])),
            _by_setting(f"{kind}: exact match", own, lambda r: share([x.exact for x in r])),
            _by_setting(f"{kind}: the right chunk was at hand", own, _found),
            _by_setting(f"{kind}: wrongly refused", own, lambda r: share([x.refused for x in r])),
        ]
    never = [record for record in records if record.kind == UNREAD]
    if never:
        cells = [
            Cell(arm, "refused", share([record.refused for record in never if record.arm == arm]))
            for arm in _arms(records)
        ]
        tables.append(Table("questions of passages that were never read", tuple(cells)))
    return [table for table in tables if any(cell.figure.count for cell in table.cells)]


def settings_of(records: Sequence[Record]) -> list[str]:
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


def paired(
    records: Sequence[Record], one: str, other: str, setting: str, *, by_f1: bool = False
) -> list[tuple[float, float]]:
    """The hits (or F1) of two arms, for every question that both were asked at a setting."""
    ours, theirs = (
        {r.id: r.f1 if by_f1 else r.hit for r in at_setting(records, name, setting)}
        for name in (one, other)
    )
    return [(ours[id], theirs[id]) for id in ours if id in theirs]


def difference(
    records: Sequence[Record], one: str, other: str, setting: str, *, by_f1: bool = False
) -> Figure:
    """How much more one arm hits (or its F1 is) than another's (paired bootstrap)."""
    pairs = paired(records, one, other, setting, by_f1=by_f1)
    return mean([ours - theirs for ours, theirs in pairs])


def qa_tables(records: Sequence[Record]) -> list[Table]:
    """All figures of each kind of question."""
    tables = []
    for kind in dict.fromkeys(record.kind for record in records):
        own = [record for record in records if record.kind == kind]
        cells: list[Cell] = []
        for arm in _arms(own):
            mine = [record for record in own if record.arm == arm]
            cells += _qa_cells(arm, mine)
        tables.append(
            Table(f"{kind} ({len({record.id for record in own})} questions)", tuple(cells))
        )
    return tables


def in_short(tables: Sequence[tuple[str, Table]]) -> Table:
    """The main figures of several tables, a figure a row, M+ beside what it is to be measured by.

    Args:
        tables: each with the name of its run, where that tells it from others.
    """
    cells = [
        Cell(
            f"{name}: {table.title}, {cell.column}" if name else f"{table.title}, {cell.column}",
            cell.row,
            cell.figure,
            3,
            cell.note,
            cell.in_full,
        )
        for name, table in tables
        for cell in table.cells
        if cell.row in _SHORT_ARMS
        and (table.title.endswith(_SHORT_TABLES) or cell.column in _SHORT_COLUMNS)
    ]
    known = {cell.row for cell in cells if cell.column == "mplus" and cell.figure.count}
    kept = [cell for cell in cells if cell.row in known]
    return Table("in short", tuple(sorted(kept, key=_by_arm)), rows_are="figure")


def _by_arm(cell: Cell) -> int:
    return _SHORT_ARMS.index(cell.column)


def story_tables(records: Sequence[Record]) -> list[Table]:
    """What the command line answers, and whether its sources are on the right pages."""
    cells: list[Cell] = []
    for arm in _arms(records):
        mine = [record for record in records if record.arm == arm]
        shares: dict[str, Sequence[bool | float]] = {
            "right": [record.hit for record in mine],
            "right page among the sources": [bool(record.found) for record in mine],
            "right page is the first source": [record.rank == 1 for record in mine],
            "refused": [record.refused for record in mine],
        }
        cells += [
            Cell(arm, name, share(values), in_full=True, digits=2)
            for name, values in shares.items()
        ]
    return [Table("the example story's questions", tuple(cells))] if cells else []


def loss_tables(losses: Sequence[Loss]) -> list[Table]:
    """Nats a token, the mean over chunks."""
    cells: list[Cell] = []
    for arm in [name for name in ARMS if any(loss.arm == name for loss in losses)]:
        for document in dict.fromkeys(loss.document for loss in losses):
            found = [x.nats for x in losses if x.arm == arm and x.document == document]
            figure = mean(found)
            cells.append(Cell(arm, f"{document}: nats a token", figure, 4))
            value = math.exp(figure.value) if figure.count else math.nan
            plain = Figure(value, math.nan, math.nan, figure.count)
            cells.append(Cell(arm, f"{document}: perplexity", plain, 2))
    return [Table("next-token loss", tuple(cells))] if cells else []


def cost_tables(records: Sequence[Record], costs: Sequence[Cost]) -> list[Table]:
    """What each arm takes on the machine: these figures change from run to run."""
    cells: list[Cell] = []
    for arm in _arms(records):
        mine = [record for record in records if record.arm == arm]
        reader = "bm25" if ARMS[arm].context == "bm25" else ARMS[arm].reader
        spent = [cost for cost in costs if cost.reader == reader]
        seconds = sum(cost.seconds for cost in spent)
        rate = sum(cost.tokens for cost in spent) / seconds if seconds else math.nan
        figures = {
            "tokens read a second": (rate, len(spent), 0),
            "median seconds to first token": (median([r.first_seconds for r in mine]), 1, 2),
            "median seconds an answer": (median([r.seconds for r in mine]), 1, 2),
            "median prompt tokens": (median([r.prompt_tokens for r in mine]), 1, 0),
            "MiB on disk": (_most([c.disk_bytes for c in spent]), len(spent), 1),
            "MiB of RAM while reading": (
                _most([c.ram_bytes for c in spent if reader != "bm25"]),
                len(spent) if reader != "bm25" else 0,
                0,
            ),
        }
        for column, (value, count, digits) in figures.items():
            cells.append(Cell(arm, column, Figure(value, math.nan, math.nan, count), digits))
    return [Table("what it takes", tuple(cells))] if cells else []


def _by_setting(
    title: str, records: Sequence[Record], figure: Callable[[list[Record]], Figure]
) -> Table:
    cells: list[Cell] = []
    for arm in _arms(records):
        for setting in settings_of(records):
            asked = len({record.id for record in records if record.setting == setting})
            own = figure(at_setting(records, arm, setting))
            note = f"(n {own.count})" if own.count < asked else ""
            cells.append(Cell(arm, f"{heading(setting)} (n {asked})", own, note=note))
    return Table(title, tuple(cells))


def _qa_cells(arm: str, records: Sequence[Record]) -> list[Cell]:
    count = Figure(len(records), math.nan, math.nan, len(records))
    ranked = [record for record in records if record.found is not None]
    metric = records[0].metric
    cells = [
        Cell(arm, "questions", count, 0),
        Cell(arm, "exact match", share([record.exact for record in records])),
        Cell(arm, "F1", mean([record.f1 for record in records])),
        Cell(arm, "hit", share([record.hit for record in records])),
        Cell(arm, "refused", share([record.refused for record in records])),
    ]
    if metric not in ("exact", "f1", "hit"):
        cells.append(Cell(arm, metric, mean([record.score for record in records])))
    for best in (1, 3, 5):
        hits = [record.rank is not None and record.rank <= best for record in ranked]
        cells.append(Cell(arm, f"page hit@{best}", share(hits)))
    return cells


def _found(records: Sequence[Record]) -> Figure:
    return share([record.found for record in records if record.found is not None])


def _arms(records: Sequence[Record]) -> list[str]:
    return [name for name in ARMS if any(record.arm == name for record in records)]


def _most(sizes: Sequence[int]) -> float:
    return max(sizes) / _MIB if sizes else math.nan
