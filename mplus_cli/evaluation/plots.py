"""One plot for each claim, as PNG, by matplotlib. Knows figures; draws with a fixed style."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mplus_cli.evaluation.arms import ARMS, WITHOUT_MEMORY
from mplus_cli.evaluation.figures import OURS, Figure
from mplus_cli.extras import require
from mplus_cli.visible import one_line  # matplotlib warns of what it has no glyph for

_PANEL = (6.2, 4.2)
_DPI = 130
_ABLATION = "ablation"


def draw(figures: Sequence[Figure], folder: Path) -> dict[str, Path]:
    """Draw what the figures are enough for: what each plot shows, and its file."""
    found: dict[str, Path] = {}
    for name, (says, panels) in _plots(figures).items():
        if panels:
            path = folder / f"{name}.png"
            _save(panels, path)
            found[says] = path
    return found


Panel = tuple[str, Callable[[Any], None]]
"""A title, and what draws on axes."""


def _plots(figures: Sequence[Figure]) -> dict[str, tuple[str, list[Panel]]]:
    hits = [one for one in figures if one.table.endswith(": exact hit") and one.count]
    parts = {one.run for one in hits if ARMS[one.arm].about.startswith(_ABLATION)}
    f1 = [one for one in figures if one.experiment == "qa" and one.column == "F1"]
    nats = [one for one in figures if one.column.endswith("nats a token")]
    return {
        "retention": ("What was read stays, however much is read after it", _by_distance(hits)),
        "parts": (
            "What each part of M+ is worth",
            _bars([one for one in hits if one.run in parts], "exact hit"),
        ),
        "documents": ("Questions about documents", _bars(f1, "token F1")),
        "loss": ("Next-token loss, where less is better", _bars(nats, "nats a token")),
    }


def _by_distance(hits: Sequence[Figure]) -> list[Panel]:
    """Of each kind of question, every arm by how much was read after the passage; of several runs at one
    place the one that asked most."""
    panels: list[Panel] = []
    for table in dict.fromkeys(one.table for one in hits):
        best: dict[tuple[str, str], Figure] = {}
        for one in hits:
            key = (one.arm, one.column.partition(" (n ")[0])
            is_part = ARMS[one.arm].about.startswith(_ABLATION)
            if (
                one.table == table
                and not is_part
                and (key not in best or one.count > best[key].count)
            ):
                best[key] = one
        places = sorted({place for _, place in best}, key=_tokens)
        if len(places) > 1:
            panels.append((table, _lines(best, places)))
    return panels


def _tokens(place: str) -> int:
    digits = place.partition(" ")[0].replace(",", "")
    return int(digits) if digits.isdigit() else -1


def _lines(best: dict[tuple[str, str], Figure], places: Sequence[str]) -> Callable[[Any], None]:
    def on(axes: Any) -> None:
        arms = [name for name in ARMS if any(arm == name for arm, _ in best)]
        for number, arm in enumerate(arms):
            own = [(at, best[arm, name]) for at, name in enumerate(places) if (arm, name) in best]
            aside = (number - (len(arms) - 1) / 2) * 0.03  # so that intervals stand side by side
            axes.errorbar(
                [at + aside for at, _ in own],
                [one.value for _, one in own],
                yerr=_errors([one for _, one in own]),
                label=arm,
                linestyle="--" if ARMS[arm].reader in WITHOUT_MEMORY else "-",
                marker="o",
                markersize=3,
                capsize=2,
                linewidth=2.2 if arm == OURS else 1.1,
            )
        labels = [name.removesuffix(" tokens after") for name in places]
        axes.set_xticks(range(len(places)), labels)
        axes.set(xlabel="tokens read after the passage", ylabel="exact hit", ylim=(0, 1))
        axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))

    return on


def _bars(figures: Sequence[Figure], measure: str) -> list[Panel]:
    """A panel for each column of each table, a bar for each arm."""
    groups = dict.fromkeys((one.run, one.table, one.column) for one in figures)
    return [
        (
            f"{run}: {column if measure.startswith('nats') else table}",
            _bar(
                [
                    one
                    for one in figures
                    if (one.run, one.table, one.column) == (run, table, column)
                ],
                measure,
            ),
        )
        for run, table, column in groups
    ]


def _bar(figures: Sequence[Figure], measure: str) -> Callable[[Any], None]:
    def on(axes: Any) -> None:
        names = [one.arm for one in figures]
        colours = ["tab:blue" if ARMS[name].reader == "mplus" else "tab:grey" for name in names]
        values = [one.value for one in figures]
        axes.barh(names, values, xerr=_errors(figures), color=colours)
        axes.invert_yaxis()
        axes.set(xlabel=measure, xlim=(0, None if max(values) > 1 else 1))

    return on


def _save(panels: Sequence[Panel], path: Path) -> None:
    require("matplotlib").use("Agg")
    pyplot = require("matplotlib.pyplot")
    size = (_PANEL[0] * len(panels), _PANEL[1])
    figure, row = pyplot.subplots(1, len(panels), figsize=size, layout="constrained", squeeze=False)
    for axes, (title, on) in zip(row[0], panels, strict=True):
        on(axes)
        axes.set_title(one_line(title), fontsize="medium")
        axes.grid(visible=True, alpha=0.3)
        axes.set_axisbelow(True)
    # No date or version inside: the same run gives the same bytes.
    figure.savefig(path, dpi=_DPI, metadata={"Software": None})
    pyplot.close(figure)


def _errors(figures: Sequence[Figure]) -> list[list[float]]:
    low = [max(figure.value - figure.low, 0.0) for figure in figures]
    return [low, [max(figure.high - figure.value, 0.0) for figure in figures]]
