"""Shows the progress of an experiment, and its tables at the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mplus_cli.evaluation.comparisons import findings
from mplus_cli.evaluation.figures import Table, figures_of, tables_of, timings_of
from mplus_cli.evaluation.report import read_runs
from mplus_cli.evaluation.values import Event, Loss, Notice, Progress
from mplus_cli.terminal import screen
from mplus_cli.terminal.meter import Meter


def follow(events: Iterator[Event], meter: Meter) -> None:
    """Show a run's events as they come."""
    detail = ""
    for event in events:
        if isinstance(event, Progress):
            meter.report(event.what, event.done, event.total or None, event.detail or detail)
        elif isinstance(event, Notice):
            (screen.warning if event.is_warning else screen.note)(event.line)
        elif isinstance(event, Loss):
            detail = f"{event.arm}: {event.nats:.3f} nats"
        else:
            detail = f"{event.arm}: {'hit' if event.hit else 'miss'}"


def show_tables(folder: Path, *, as_json: bool) -> None:
    """The tables of a run on stdout."""
    rows: list[dict[str, Any]] = []
    for run in read_runs(folder):
        figures, timings = figures_of(run), timings_of(run)
        shown = [*figures, *timings]
        if as_json:
            rows += [figure.to_json() for figure in shown]
            continue
        for table in tables_of(shown):
            screen.show(_drawn(table))
        for outcome, lines in findings(figures, timings).items():
            for line in lines:
                screen.out(f"{outcome}: {line}")
    if as_json:
        screen.json_out(rows)


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
