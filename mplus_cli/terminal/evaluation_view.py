"""How an experiment looks while it goes, and its tables at the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mplus_cli.evaluation.report import read_runs
from mplus_cli.evaluation.tables import Table
from mplus_cli.evaluation.values import Event, Loss, Noted, Planned, Record, Working
from mplus_cli.terminal import screen


def follow(events: Iterator[Event], meter: screen.Meter) -> None:
    """Show a run's events as they come."""
    detail = ""
    for event in events:
        if isinstance(event, Working):
            meter.report(event.what, event.done, event.total or None, event.detail or detail)
        elif isinstance(event, Noted):
            screen.warning(event.line)
        elif isinstance(event, Planned):
            screen.note(event.line)
        else:
            detail = _detail(event)


def show_tables(folder: Path, *, as_json: bool) -> None:
    """The tables of a run on stdout."""
    runs = read_runs(folder)
    if as_json:
        screen.json_out([row for run in runs for row in _as_json(run.tables() + run.cost_tables())])
        return
    for run in runs:
        for table in run.tables() + run.cost_tables():
            screen.show(_drawn(table))
        for sentence in run.verdicts():
            screen.out(sentence)


def _detail(event: Record | Loss) -> str:
    if isinstance(event, Loss):
        return f"{event.arm}: {event.nats:.3f} nats"
    return f"{event.arm}: {'hit' if event.hit else 'miss'}"


def _drawn(table: Table) -> Any:
    from rich import box
    from rich.table import Table as Drawn

    drawn = Drawn(title=table.title, box=box.SIMPLE, title_justify="left")
    drawn.add_column("arm", no_wrap=True)
    for column in table.columns:
        drawn.add_column(column, justify="right")
    for row in table.rows():
        drawn.add_row(*row)
    return drawn


def _as_json(tables: list[Table]) -> list[dict[str, Any]]:
    """Tables as JSON values; a figure that is not known is null."""
    return [
        {
            "table": table.title,
            "arm": cell.row,
            "column": cell.column,
            "value": cell.figure.value if cell.figure.count else None,
            "low": cell.figure.low if cell.figure.low == cell.figure.low else None,
            "high": cell.figure.high if cell.figure.high == cell.figure.high else None,
            "count": cell.figure.count,
        }
        for table in tables
        for cell in table.cells
    ]
