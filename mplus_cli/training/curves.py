"""The curves of a training run as a PNG, by matplotlib: losses above, and below them accuracy, where the
run measured it.

Reads the run's CSV files, and draws in a fixed style.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from models.durable import new_file
from mplus_cli.errors import UsageError, disk_errors
from mplus_cli.extras import require

_WIDTH, _PANEL = 8, 3.2
_DPI = 150
_LOSSES = ("answer", "continuation", "retriever")
_WINDOW = 50
"""Window of the running mean, in steps: single steps vary more than a run changes."""


def draw_curves(folder: Path) -> Path:
    """Draw log.csv and validation.csv of a run into curves.png in its folder.

    Raises:
        UsageError: there is no run in the folder, or a curve is damaged.
        MplusError: matplotlib is not installed.
    """
    from models.training.curves import LOG, VALIDATION, read_curves

    try:
        log, checks = read_curves(folder / LOG), read_curves(folder / VALIDATION)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if not log.get("step"):
        raise UsageError(f"there is no run in {folder} that made a step ({LOG})")
    require("matplotlib").use("Agg")
    pyplot = require("matplotlib.pyplot")
    shares = checks.keys() - {"step", *_LOSSES}
    measured = bool(shares) or any(log.get("recall_at_1", ()))
    panels = 2 if measured else 1
    size = (_WIDTH, panels * _PANEL)
    figure, axes = pyplot.subplots(
        panels, 1, figsize=size, sharex=True, layout="constrained", squeeze=False
    )
    _draw_losses(axes[0, 0], log, checks)
    if measured:
        _draw_shares(axes[1, 0], log, checks)
    axes[-1, 0].set_xlabel("step")
    path = folder / "curves.png"
    # No date or version inside: the same run gives the same bytes.
    with disk_errors(), new_file(path) as file:
        figure.savefig(file, format="png", dpi=_DPI, metadata={"Software": None})
    pyplot.close(figure)
    return path


def running_means(values: Sequence[float], window: int) -> list[float]:
    """The mean of each value and those before it, up to `window` in all."""
    sums = [0.0, *accumulate(values)]
    starts = [max(stop - window, 0) for stop in range(1, len(sums))]
    return [
        (sums[stop] - sums[start]) / (stop - start) for stop, start in enumerate(starts, start=1)
    ]


def _draw_losses(axes: Any, log: dict[str, list[float]], checks: dict[str, list[float]]) -> None:
    for number, name in enumerate(_LOSSES):
        if any(log.get(name, ())):  # a loss that the run does not have is 0 throughout
            colour = f"C{number}"
            axes.plot(log["step"], log[name], color=colour, alpha=0.2, linewidth=0.6)
            means = running_means(log[name], _WINDOW)
            axes.plot(log["step"], means, color=colour, label=name)
        if name in checks:
            held_out = {"marker": "o", "markersize": 4, "color": f"C{number + 3}"}
            axes.plot(checks["step"], checks[name], label=f"{name}, held out", **held_out)
    axes.set_ylabel("loss, nats")
    every = sorted(value for name in _LOSSES for value in log.get(name, ()))
    # A few steps lie far outside and are cut off, so that the means stay readable.
    axes.set_ylim(0, max(every[int(len(every) * 0.995)], 1e-3) if every else None)
    _finish(axes, f"Losses, means of {_WINDOW} steps")


def _draw_shares(axes: Any, log: dict[str, list[float]], checks: dict[str, list[float]]) -> None:
    if any(log.get("recall_at_1", ())):
        means = running_means(log["recall_at_1"], _WINDOW)
        axes.plot(log["step"], means, color="C2", alpha=0.5, label="recall_at_1, in training")
    names = [name for name in checks if name not in ("step", *_LOSSES)]
    for number, name in enumerate(names):
        style = {"marker": "o", "markersize": 4, "color": f"C{number + 3}"}
        axes.plot(checks["step"], checks[name], label=f"{name}, held out", **style)
    axes.set_ylabel("share")
    axes.set_ylim(0, 1)
    _finish(axes, "Accuracy")


def _finish(axes: Any, title: str) -> None:
    axes.set_title(title)
    axes.grid(visible=True, alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
