"""How far M+ is from each other arm, question by question: only what both were asked counts.

A question that is hard is hard for both arms, so the differences say more than two figures with an
interval each. Knows records; no file.
"""

from __future__ import annotations

from collections.abc import Sequence

from mplus_cli.evaluation import tables
from mplus_cli.evaluation.arms import ARMS
from mplus_cli.evaluation.tables import Cell, Table
from mplus_cli.evaluation.values import UNREAD, Record

OURS = "mplus"


def paired_tables(records: Sequence[Record], *, by_f1: bool) -> list[Table]:
    """M+'s hits (or F1) less those of each arm, a table a kind of question."""
    found = []
    measure = "token F1" if by_f1 else "exact hit"
    for kind in dict.fromkeys(record.kind for record in records if record.kind != UNREAD):
        own = [record for record in records if record.kind == kind]
        cells = [
            cell
            for arm in ARMS
            if arm != OURS and any(record.arm == arm for record in own)
            for cell in _row(own, arm, by_f1=by_f1)
        ]
        if any(cell.figure.count for cell in cells):
            title = f"{kind}: {measure} of `{OURS}` less that of the arm, over the same questions"
            found.append(Table(title, tuple(cells)))
    return found


def _row(records: Sequence[Record], arm: str, *, by_f1: bool) -> list[Cell]:
    cells = []
    for setting in tables.settings_of(records):
        figure = tables.difference(records, OURS, arm, setting, by_f1=by_f1)
        cells.append(Cell(arm, tables.heading(setting), figure, note=f"(n {figure.count})"))
    return cells
