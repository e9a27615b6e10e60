"""Draws what `soak` printed: `python -m benchmarks.reliability.soak_chart CHART.png TITLE=FILE...`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from matplotlib.figure import Figure

OWN, MAPPED, TIME = "#0b5394", "#9fc5e8", "#b45f06"


def main() -> None:
    """One column a run: memory above, the CPU time of each tenth below."""
    chart, *runs = sys.argv[1:]
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    panels = figure.subplots(2, len(runs), squeeze=False, sharex="col")
    for (above, below), run in zip(zip(*panels, strict=True), runs, strict=True):
        title, _, file = run.partition("=")
        tenths = json.loads(Path(file).read_text(encoding="utf-8"))["tenths"]
        tokens = [tenth["tokens"] / 1000 for tenth in tenths]
        own = [tenth["anonymous_mb"] for tenth in tenths]
        both = [tenth["anonymous_mb"] + tenth["mapped_mb"] for tenth in tenths]
        above.fill_between(tokens, own, both, color=MAPPED, label="pages of mapped files")
        above.fill_between(tokens, 0, own, color=OWN, label="the process's own")
        above.set(title=title, ylabel="memory, MB", ylim=(0, max(both) * 1.25))
        above.legend(loc="upper left", ncols=2, frameon=False, fontsize="small")
        seconds = [tenth["seconds"] for tenth in tenths]
        below.plot(tokens, seconds, color=TIME, marker="o", markersize=3)
        below.set(
            xlabel="thousand tokens read", ylabel="CPU s a tenth", ylim=(0, max(seconds) * 1.25)
        )
        for panel in (above, below):
            panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(chart, dpi=110)


if __name__ == "__main__":
    main()
