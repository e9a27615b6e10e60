"""Plots of a run as PNG, by matplotlib. Knows records and tables; draws with a fixed style."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mplus_cli.evaluation.arms import ABLATIONS, ARMS, WITHOUT_MEMORY
from mplus_cli.evaluation.statistics import Figure, mean, share
from mplus_cli.evaluation.tables import at_setting, settings_of
from mplus_cli.evaluation.values import UNREAD, Loss, Record
from mplus_cli.extras import require
from mplus_cli.visible import one_line

_SIZE = (7.2, 4.4)
_DPI = 150


def plot_retention(records: Sequence[Record], kind: str, path: Path) -> None:
    """Exact hit by how much was read after the passage, with 95 % intervals."""
    own = [record for record in records if record.kind == kind and record.kind != UNREAD]
    settings = settings_of(own)
    places = list(range(len(settings)))
    axes, save = _axes(path)
    arms = [name for name in ARMS if any(record.arm == name for record in own)]
    for number, arm in enumerate(arms):
        found = [share([r.hit for r in at_setting(own, arm, name)]) for name in settings]
        aside = (number - (len(arms) - 1) / 2) * 0.03  # so that intervals stand side by side
        _line(axes, [place + aside for place in places], found, arm)
    labels = [f"{int(name):,}" if name.isdigit() else name for name in settings]
    axes.set_xticks(places, labels)
    axes.set_xlim(-0.5, len(places) - 0.5)
    axes.set_xlabel("tokens read after it")
    axes.set_ylabel("exact hit")
    axes.set_ylim(0, 1)
    save(f"Retention: {kind}")


def plot_qa(records: Sequence[Record], kind: str, path: Path) -> None:
    """F1 by arm, with 95 % intervals."""
    own = [record for record in records if record.kind == kind]
    names = [name for name in ARMS if any(record.arm == name for record in own)]
    figures = [mean([record.f1 for record in own if record.arm == name]) for name in names]
    axes, save = _axes(path)
    colours = ["tab:blue" if ARMS[name].reader == "mplus" else "tab:grey" for name in names]
    axes.barh(names, [figure.value for figure in figures], xerr=_errors(figures), color=colours)
    axes.invert_yaxis()
    axes.set_xlabel("F1")
    axes.set_xlim(0, 1)
    save(f"Questions: {kind}")


def plot_losses(losses: Sequence[Loss], document: str, path: Path) -> None:
    """The mean loss up to each chunk, by tokens read."""
    axes, save = _axes(path)
    for arm in ARMS:
        mine = sorted(
            (x for x in losses if x.arm == arm and x.document == document), key=lambda x: x.chunk
        )
        if mine:
            read, nats, tokens = [], 0.0, 0
            heights = []
            for loss in mine:
                nats, tokens = nats + loss.nats * loss.tokens, tokens + loss.tokens
                read.append(tokens)
                heights.append(nats / tokens)
            axes.plot(read, heights, label=arm)
    axes.set_xlabel("tokens read")
    axes.set_ylabel("nats a token, mean so far")
    save(f"Next-token loss: {document}")


def _axes(path: Path) -> tuple[Any, Any]:
    """Axes to draw on, and what writes them to the file under a title."""
    require("matplotlib").use("Agg")
    pyplot = require("matplotlib.pyplot")
    figure, axes = pyplot.subplots(figsize=_SIZE, layout="constrained")

    def save(title: str) -> None:
        axes.set_title(one_line(title))  # matplotlib warns of what it has no glyph for
        axes.grid(visible=True, alpha=0.3)
        axes.set_axisbelow(True)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
        # No date or version inside: the same run gives the same bytes.
        figure.savefig(path, dpi=_DPI, metadata={"Software": None})
        pyplot.close(figure)

    return axes, save


def _line(axes: Any, places: Sequence[float], figures: Sequence[Figure], arm: str) -> None:
    style = "--" if ARMS[arm].reader in WITHOUT_MEMORY else ":" if arm in ABLATIONS else "-"
    axes.errorbar(
        places,
        [figure.value for figure in figures],
        yerr=_errors(figures),
        label=arm,
        linestyle=style,
        marker="o",
        markersize=3,
        capsize=2,
        linewidth=2.2 if arm == "mplus" else 1.1,
    )


def _errors(figures: Sequence[Figure]) -> list[list[float]]:
    low = [max(figure.value - figure.low, 0.0) for figure in figures]
    return [low, [max(figure.high - figure.value, 0.0) for figure in figures]]
