"""One plot for each claim, as PNG, by matplotlib. Takes figures only, and draws in a fixed style."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from mplus_cli.evaluation.arms import ARMS, WITHOUT_MEMORY
from mplus_cli.evaluation.figures import F1, HIT, NATS, OURS, Figure, arms_in
from mplus_cli.extras import require
from mplus_cli.visible import one_line

_PANEL = (6.2, 4.2)
_DPI = 130

Panel = tuple[str, list[Figure]]
"""A title, and the figures under it."""


def draw(figures: Sequence[Figure], folder: Path) -> dict[str, Path]:
    """Draw what the figures are enough for: what each plot shows, and its file."""
    hits = [one for one in figures if one.column == HIT and one.where.tokens >= 0]
    ablated = {one.run for one in hits if _is_ablation(one)}
    parts = [one for one in hits if one.run in ablated]
    f1 = [one for one in figures if one.experiment == "qa" and one.column == F1]
    nats = [one for one in figures if one.column.endswith(NATS)]
    plots = {
        "retention": ("Exact hit by the tokens read after the passage", _lines, _by_kind(hits)),
        "parts": ("What each part of M+ is worth: exact hit without it", _bars, _by_table(parts)),
        "documents": ("Questions about documents: token F1", _bars, _by_table(f1)),
        "loss": ("Next-token loss in nats a token: less is better", _bars, _by_table(nats)),
    }
    shown = {name: plot for name, plot in plots.items() if plot[2]}
    for name, (_, plot, panels) in shown.items():
        _save(plot, panels, folder / f"{name}.png")
    return {says: folder / f"{name}.png" for name, (says, _, _) in shown.items()}


def _is_ablation(figure: Figure) -> bool:
    return ARMS[figure.arm].about.startswith("ablation")


def _by_table(figures: Sequence[Figure]) -> list[Panel]:
    grouped = groupby(figures, lambda one: f"{one.run}: {one.table}, {one.column}")
    return [(title, list(own)) for title, own in grouped]


def _by_kind(hits: Sequence[Figure]) -> list[Panel]:
    """For each kind of question the arms that were asked it at several distances; of several runs at one
    distance the one that asked most."""
    panels: list[Panel] = []
    for kind in dict.fromkeys(one.where.kind for one in hits):
        own = [one for one in hits if one.where.kind == kind and not _is_ablation(one)]
        most = {(one.arm, one.where.tokens): one for one in sorted(own, key=lambda one: one.count)}
        arms = [arm for arm, _ in most]
        kept = [one for (arm, _), one in most.items() if arms.count(arm) > 1]
        panels += [(f"{kind}: {HIT}", kept)] if kept else []
    return panels


def _lines(axes: Any, figures: Sequence[Figure]) -> None:
    places = sorted({one.where.tokens for one in figures})
    arms = arms_in(figures)
    for number, arm in enumerate(arms):
        own = sorted((one for one in figures if one.arm == arm), key=lambda one: one.where.tokens)
        aside = (number - (len(arms) - 1) / 2) * 0.03  # so that intervals stand side by side
        axes.errorbar(
            [places.index(one.where.tokens) + aside for one in own],
            [one.value for one in own],
            yerr=_errors(own),
            label=arm,
            linestyle="--" if ARMS[arm].reader in WITHOUT_MEMORY else "-",
            marker="o",
            markersize=3,
            capsize=2,
            linewidth=2.2 if arm == OURS else 1.1,
        )
    axes.set_xticks(range(len(places)), [f"{at:,}" for at in places])
    axes.set_ylim(0, 1)
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))


def _bars(axes: Any, figures: Sequence[Figure]) -> None:
    names, values = [one.arm for one in figures], [one.value for one in figures]
    colours = ["tab:blue" if ARMS[name].reader == "mplus" else "tab:grey" for name in names]
    axes.barh(names, values, xerr=_errors(figures), color=colours)
    axes.invert_yaxis()
    axes.set_xlim(0, None if max(values) > 1 else 1)


def _save(plot: Any, panels: Sequence[Panel], path: Path) -> None:
    require("matplotlib").use("Agg")
    pyplot = require("matplotlib.pyplot")
    size = (_PANEL[0] * len(panels), _PANEL[1])
    figure, row = pyplot.subplots(1, len(panels), figsize=size, layout="constrained", squeeze=False)
    for axes, (title, figures) in zip(row[0], panels, strict=True):
        plot(axes, figures)
        axes.set_title(one_line(title), fontsize="medium")  # matplotlib warns of missing glyphs
        axes.grid(visible=True, alpha=0.3)
        axes.set_axisbelow(True)
    # No date or version inside: the same run gives the same bytes.
    figure.savefig(path, dpi=_DPI, metadata={"Software": None})
    pyplot.close(figure)


def _errors(figures: Sequence[Figure]) -> list[list[float]]:
    low = [max(figure.value - figure.low, 0.0) for figure in figures]
    return [low, [max(figure.high - figure.value, 0.0) for figure in figures]]
