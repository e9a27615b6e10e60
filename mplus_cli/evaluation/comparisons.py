"""M+ beside its rivals: readers that are given the passage, and retrieval over text.

It is compared question by question with whichever arm of a kind does best. Works on figures, not on
single answers, and does no I/O.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mplus_cli.evaluation.figures import AHEAD, F1, HIT, NATS, NEVER_READ, OURS, Figure

RIVALS = {
    "the base with the passage in its prompt": ("gold",),
    "retrieval over text": ("bm25", "bm25-1"),
    "the trained reader with the passage": ("gold-reader", "gold-memory"),
    "the trained reader with what BM25 finds": ("bm25-1-reader", "bm25-1-memory"),
}
WON, LOST, CHANCE = "Won", "Lost", "Within chance"
_COSTS = {"tokens read a second": 1, "MiB on disk": -1, "median seconds to first token": -1}
"""What is compared of the machine, and whether more (1) or less (-1) is better."""

Finding = tuple[str, str]
"""`WON`, `LOST` or `CHANCE`, and a line."""


class Comparison(NamedTuple):
    """M+ against the best arm of a rival over the same questions."""

    rival: str
    ahead: Figure
    """M+'s figure less the rival's."""
    theirs: Figure
    ours: Figure

    def show(self) -> str:
        """The rival's arm and figure, and M+'s lead in points, bold where it is more than chance."""
        low, points, high = (
            f"{value * 100:+.0f}" for value in (self.ahead.low, self.ahead.value, self.ahead.high)
        )
        if not self.ahead.low <= 0 <= self.ahead.high:
            points = f"**{points}**"
        shown = f"`{self.ahead.arm}` {self.theirs.show(full=False)}: {points} [{low}, {high}]"
        fewer = self.ahead.count < self.ours.count
        return shown + (f" (n {self.ahead.count})" if fewer else "")


def comparisons_of(figures: Sequence[Figure]) -> Iterator[Comparison]:
    """M+ against each of its rivals, for every kind of question of every run, where most was read in
    between."""
    cells = {(one.run, one.table, one.arm, one.column): one for one in figures if one.count}
    farthest = {(one.run, one.where.kind): one for one in figures if one.column == AHEAD}
    for last in farthest.values():
        measure = F1 if last.experiment == "qa" else HIT
        for rival, arms in RIVALS.items():
            table = last.run, last.table
            known = [cells[*table, arm, AHEAD] for arm in arms if (*table, arm, AHEAD) in cells]
            if known:
                best = min(known, key=lambda one: one.value)
                theirs, ours = cells[*table, best.arm, measure], cells[*table, OURS, measure]
                yield Comparison(rival, best, theirs, ours)


def findings(figures: Sequence[Figure], timings: Sequence[Figure]) -> dict[str, list[str]]:
    """What was won, lost and within chance besides the comparisons, a line each."""
    found = [*_losses(figures), *_never_read(figures), *_costs(timings)]
    heaps = {
        heap: [line for outcome, line in found if outcome == heap] for heap in (WON, LOST, CHANCE)
    }
    return {heap: lines for heap, lines in heaps.items() if lines}


def _losses(figures: Sequence[Figure]) -> Iterator[Finding]:
    """Next-token loss against the base with text: less is better."""
    own = [one for one in figures if one.column.endswith(NATS)]
    for ours in (one for one in own if one.arm == OURS):
        others = [one for one in own if (one.run, one.column) == (ours.run, ours.column)]
        others.remove(ours)
        best = min((one.value for one in others), default=ours.value)
        outcome = LOST if ours.low > best else WON if ours.high < best else CHANCE
        shown = ", ".join(f"`{one.arm}` {one.show(full=False)}" for one in others)
        yield outcome, f"`{ours.run}`, {ours.column}: {ours.show()}; {shown}."


def _never_read(figures: Sequence[Figure]) -> Iterator[Finding]:
    """Every answer to a question that nothing read can answer is a wrong one."""
    for one in figures:
        if one.table == NEVER_READ and one.arm == OURS and one.value < 1:
            wrong = f"answers {(1 - one.value) * 100:.0f} % of the {one.count} questions"
            yield LOST, f"`{one.run}`, passages that were never read: {wrong} instead of refusing."


def _costs(timings: Sequence[Figure]) -> Iterator[Finding]:
    """What M+ takes beside BM25 with the base, in the first run that has both."""
    cells = {(one.column, one.run, one.arm): one for one in timings if one.count}
    for column, sign in _COSTS.items():
        for run in dict.fromkeys(one.run for one in timings):
            ours, theirs = (cells.get((column, run, arm)) for arm in (OURS, "bm25-1"))
            if ours and theirs:
                outcome = WON if (ours.value - theirs.value) * sign > 0 else LOST
                shown = f"{ours.show()}; BM25 with the base (`bm25-1`) {theirs.show()}"
                yield outcome, f"`{run}`, {column}: {shown}."
                break
