"""Whether a second run says what the first one said: every answer, score and loss, but no times.

Knows the runs that were read from their folders; no model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mplus_cli.errors import MplusError
from mplus_cli.evaluation.report import Run

_TIMES = ("first_seconds", "seconds")

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs of one experiment."""

    name: str
    settings: tuple[str, ...]
    """What the two were not asked for alike, in words."""
    same: int
    """Answers and losses that both have, and alike."""
    changed: tuple[str, ...]
    """Those that differ, in words."""
    only_first: int
    only_second: int

    @property
    def in_both(self) -> int:
        return self.same + len(self.changed)


def compare(first: Sequence[Run], second: Sequence[Run]) -> list[Comparison]:
    """Compare runs: a single one with a single one, or several by the names of their folders.

    Raises:
        MplusError: a run has no counterpart, or has nothing in common with it.
    """
    if len(first) == len(second) == 1:
        return [_compare(first[0], second[0])]
    others = {run.name: run for run in second}
    for run in first:
        if run.name not in others:
            raise MplusError(f"the second folder holds no run {run.name}: give folders of the same")
    return [_compare(run, others[run.name]) for run in first]


def _compare(first: Run, second: Run) -> Comparison:
    ours, theirs = _said(first), _said(second)
    both = [key for key in ours if key in theirs]
    if not both:
        raise MplusError(f"{first.name} and {second.name} have no answer in common")
    changed = [key for key in both if ours[key] != theirs[key]]
    return Comparison(
        first.name,
        tuple(_differences(first.card.settings, second.card.settings)),
        len(both) - len(changed),
        tuple(
            f"{', '.join(key)}: {'; '.join(_differences(ours[key], theirs[key]))}"
            for key in changed
        ),
        len(ours) - len(both),
        len(theirs) - len(both),
    )


def _said(run: Run) -> dict[Key, dict[str, Any]]:
    """All that a run found out, without what changes from run to run."""
    found: dict[Key, dict[str, Any]] = {}
    for record in run.records:
        values = record.to_json()
        found[record.key] = {name: values[name] for name in values if name not in _TIMES}
    for loss in run.losses:
        found[loss.document, loss.arm, str(loss.chunk)] = asdict(loss)
    return found


def _differences(ours: dict[str, Any], theirs: dict[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys([*ours, *theirs]):
        if ours.get(name) != theirs.get(name):
            yield f"{name} {ours.get(name)!r}, then {theirs.get(name)!r}"
