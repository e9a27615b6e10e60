"""Checks that a second run reproduced the first: every answer, score and loss; times are ignored.

Works on runs that were read from their folders; needs no model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mplus_cli.errors import MplusError
from mplus_cli.evaluation.figures import Run

_TIMES = ("first_seconds", "seconds")


@dataclass(frozen=True, slots=True)
class Diff:
    """Two runs of one experiment."""

    name: str
    settings: tuple[str, ...]
    """The settings that differ, in words."""
    same: int
    """Answers and losses that both have, and alike."""
    changed: tuple[str, ...]
    """Those that differ, in words."""
    only_first: int
    only_second: int


def compare(first: Sequence[Run], second: Sequence[Run]) -> list[Diff]:
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


def _compare(first: Run, second: Run) -> Diff:
    ours, theirs = ({part.key: asdict(part) for part in run.parts} for run in (first, second))
    both = ours.keys() & theirs.keys()
    if not both:
        raise MplusError(f"{first.name} and {second.name} have no answer in common")
    found = {key: "; ".join(_differences(ours[key], theirs[key])) for key in ours if key in both}
    changed = tuple(f"{', '.join(map(str, key))}: {how}" for key, how in found.items() if how)
    settings = tuple(_differences(first.card.settings, second.card.settings))
    same = len(both) - len(changed)
    return Diff(first.name, settings, same, changed, len(ours) - len(both), len(theirs) - len(both))


def _differences(ours: dict[str, Any], theirs: dict[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys([*ours, *theirs]):
        if ours.get(name) != theirs.get(name) and name not in _TIMES:
            yield f"{name} {ours.get(name)!r}, then {theirs.get(name)!r}"
