"""What figures say of M+: where it wins, where it loses, and what does not tell it from chance.

It is measured by readers that have the passage and by retrieval over text, question by question, and by
whichever arm of a kind does best. Knows figures; no record, no file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mplus_cli.evaluation.figures import LESS, NEVER_READ, OURS, Figure
from mplus_cli.evaluation.values import ALONE, DOCUMENT

RIVALS = {
    "the base with the passage in its prompt": ("gold",),
    "retrieval over text": ("bm25", "bm25-1"),
    "the trained reader with the passage": ("gold-reader", "gold-memory"),
    "the trained reader with what BM25 finds": ("bm25-1-reader", "bm25-1-memory"),
}
"""What M+ is measured by; of several arms the one that does best."""
WON, LOST, CHANCE = "Won", "Lost", "Not told from chance"
_COSTS = {
    "tokens read a second": 1,
    "MiB on disk": -1,
    "median seconds to first token": -1,
}
"""What is compared of the machine, and whether more (1) or less (-1) is better."""

Said = tuple[str, str]
"""`WON`, `LOST` or `CHANCE`, and a line."""


class Duel(NamedTuple):
    """M+ against a rival over the same questions, where most was read in between."""

    run: str
    where: str
    measure: str
    rival: str
    less: Figure
    """M+'s figure less the rival's."""
    theirs: Figure
    ours: Figure

    @property
    def outcome(self) -> str:
        if self.less.low <= 0 <= self.less.high:
            return CHANCE
        return WON if self.less.value > 0 else LOST


def duels_of(figures: Sequence[Figure]) -> Iterator[Duel]:
    """M+ against each of its rivals, for every kind of question of every run."""
    paired = [one for one in figures if one.table.endswith(LESS)]
    farthest = {(one.run, one.table): one.column for one in paired}
    for (run, table), place in farthest.items():
        kind, _, measure = table.removesuffix(f" {LESS}").rpartition(": ")
        less = {
            one.arm: one
            for one in paired
            if (one.run, one.table, one.column) == (run, table, place) and one.count
        }
        # Questions about documents have one table a kind; elsewhere each measure has its own.
        head = (f"{kind} (", measure[6:]) if place == DOCUMENT else (f"{kind}: {measure}", place)
        own = {
            one.arm: one
            for one in figures
            if one not in paired
            and one.run == run
            and one.table.startswith(head[0])
            and one.column.startswith(head[1])
        }
        after = (
            "with the chunk alone" if place == ALONE else f"after {place.removesuffix(' after')}"
        )
        where = kind if place == DOCUMENT else f"{kind}, {after}"
        for rival, arms in RIVALS.items():
            known = [less[arm] for arm in arms if arm in less]
            if known:
                best = min(known, key=lambda one: one.value)
                yield Duel(run, where, measure, rival, best, own[best.arm], own[OURS])


def judge(figures: Sequence[Figure], timings: Sequence[Figure]) -> dict[str, list[str]]:
    """What was won, lost and not decided, a line each."""
    grouped: dict[Said, list[str]] = {}
    for duel in duels_of(figures):
        less, where = duel.less, f"`{duel.run}`, {duel.where} (points of {duel.measure})"
        points = f"{less.value * 100:+.1f} [{less.low * 100:+.1f}, {less.high * 100:+.1f}]"
        line = f"{points} against {duel.rival} (`{less.arm}`, {less.count} questions)"
        grouped.setdefault((duel.outcome, where), []).append(line)
    said = [
        (outcome, f"{where}: {'; '.join(lines)}.") for (outcome, where), lines in grouped.items()
    ]
    said += [*_losses(figures), *_never_read(figures), *_costs(timings)]
    found = {
        heap: [line for outcome, line in said if outcome == heap] for heap in (WON, LOST, CHANCE)
    }
    return {heap: lines for heap, lines in found.items() if lines}


def _losses(figures: Sequence[Figure]) -> Iterator[Said]:
    """Next-token loss against the base with text: less is better."""
    own = [one for one in figures if one.column.endswith("nats a token")]
    for ours in (one for one in own if one.arm == OURS):
        others = [one for one in own if (one.run, one.column) == (ours.run, ours.column)]
        others.remove(ours)
        best = min((one.value for one in others), default=ours.value)
        outcome = LOST if ours.low > best else WON if ours.high < best else CHANCE
        shown = ", ".join(f"`{one.arm}` {one.show(full=False)}" for one in others)
        yield outcome, f"`{ours.run}`, {ours.column}: {ours.show()}; {shown}."


def _never_read(figures: Sequence[Figure]) -> Iterator[Said]:
    """Every answer to a question that nothing read can answer is a wrong one."""
    for one in figures:
        if one.table == NEVER_READ and one.arm == OURS and one.value < 1:
            wrong = f"answers {(1 - one.value) * 100:.0f} % of the {one.count} questions"
            yield LOST, f"`{one.run}`, passages that were never read: {wrong} instead of refusing."


def _costs(timings: Sequence[Figure]) -> Iterator[Said]:
    """What M+ takes beside BM25 with the base, in the first run that has both."""
    by_key = {(one.column, one.run, one.arm): one for one in timings if one.count}
    for column, sign in _COSTS.items():
        runs = dict.fromkeys(one.run for one in timings)
        pairs = [[by_key.get((column, run, arm)) for arm in (OURS, "bm25-1")] for run in runs]
        for ours, theirs in pairs:
            if ours and theirs:
                outcome = WON if (ours.value - theirs.value) * sign > 0 else LOST
                shown = f"{ours.show()}; BM25 with the base (`bm25-1`) {theirs.show()}"
                yield outcome, f"`{ours.run}`, {column}: {shown}."
                break
