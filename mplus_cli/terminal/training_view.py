"""Shows the progress of a training run: losses, speed, and the figures of each validation."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from models.training.config import LAST
from models.training.loop import Event, Step, Validated
from mplus_cli.terminal import screen
from mplus_cli.terminal.meter import Meter

_RECENT = 20
"""Number of steps that the losses shown are averaged over."""


class TrainingView:
    """Shows a run's events on a meter."""

    def __init__(self, meter: Meter, total: int) -> None:
        self._meter, self._total = meter, total
        self._recent: deque[Step] = deque(maxlen=_RECENT)

    def show(self, event: Event) -> None:
        if isinstance(event, Step):
            self._recent.append(event)
            self._meter.report("training", event.step, self._total, self._detail())
        elif isinstance(event, Validated):
            figures = ", ".join(f"{name} {value:.3f}" for name, value in event.figures.items())
            screen.note(f"step {event.step}: {figures}")

    def summary(self, out: Path, export: Path | None) -> None:
        """The last line."""
        if self._recent:
            screen.note(f"step {self._recent[-1].step}: {self._detail()}")
        screen.note(f"the run is in {out}")
        if export is not None:
            screen.note(f"the checkpoint is in {export}: use it with --model {export}")

    def kept(self, out: Path) -> str:
        """What is kept of a run that is interrupted now; empty if it has saved nothing yet."""
        if not (out / LAST).is_dir():
            return ""
        return (
            f"the run is kept in {out} as it was last saved; run the same command again to continue"
        )

    def _detail(self) -> str:
        def mean(name: str) -> float:
            return float(sum(getattr(step, name) for step in self._recent)) / len(self._recent)

        return (
            f"answer {mean('answer'):.2f}, continuation {mean('continuation'):.2f}, "
            f"recall {mean('recall_at_1'):.0%}, {mean('seconds'):.1f} s a step"
        )
