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
_MORE_IS_BETTER = {
    "tokens read a second": True,
    "MiB on disk": False,
    "median seconds to first token": False,
}


class Duel(NamedTuple):
    """M+ against a rival, over the same questions."""

    run: str
    kind: str
    place: str
    """When they were asked, as a column is headed."""
    measure: str
    rival: str
    less: Figure
    """M+'s figure less the rival's."""
    theirs: Figure
    ours: Figure

    @property
    def where(self) -> str:
        if self.place == DOCUMENT:
            return self.kind
        after = "with the chunk alone" if self.place == ALONE else f"after {self.place[:-6]}"
        return f"{self.kind}, {after}"

    @property
    def is_chance(self) -> bool:
        """Whether the questions do not tell the two apart."""
        return self.less.low <= 0 <= self.less.high

    def points(self) -> str:
        """The difference in points, with its interval."""
        less = self.less
        return f"{less.value * 100:+.1f} [{less.low * 100:+.1f}, {less.high * 100:+.1f}]"

    def sentence(self) -> str:
        """The duel in words."""
        less, rival = self.less, f"{self.rival} (`{self.less.arm}`)"
        interval = f"95 % interval {less.low * 100:+.1f} to {less.high * 100:+.1f}"
        if not less.value:
            return f"{self.where}: `{OURS}` and {rival} do equally well ({interval})."
        if self.is_chance:
            interval += f": {less.count} questions do not tell it from chance"
        measure = f"{abs(less.value) * 100:.1f} points of {self.measure}"
        if self.theirs.value and self.theirs.count == less.count:
            measure += f", {1 + less.value / self.theirs.value:.2f} times its figure"
        won = f"{rival} wins" if less.value < 0 else f"`{OURS}` is ahead of {rival}"
        return f"{self.where}: {won} by {measure} ({interval})."


def duels_of(figures: Sequence[Figure]) -> list[Duel]:
    """M+ against each of its rivals wherever they were asked, in the order of the figures."""
    found: dict[tuple[str, str, str, str], Duel] = {}
    places = {
        (less.run, less.table, less.column): None for less in figures if less.table.endswith(LESS)
    }
    for run, table, place in places:
        kind, _, measure = table.removesuffix(f" {LESS}").rpartition(": ")
        for rival, arms in RIVALS.items():
            for less in figures:
                if (less.run, less.table, less.column) != (
                    run,
                    table,
                    place,
                ) or less.arm not in arms:
                    continue
                own = {one.arm: one for one in _measured(figures, run, kind, measure, place)}
                key, duel = (run, kind, place, rival), None
                if less.count and less.arm in own:
                    duel = Duel(*key[:3], measure, rival, less, own[less.arm], own[OURS])
                if duel and (key not in found or less.value < found[key].less.value):
                    found[key] = duel
    return list(found.values())


def farthest(duels: Sequence[Duel]) -> list[Duel]:
    """Those of each kind of question where most was read in between."""
    last = {(duel.run, duel.kind): duel.place for duel in duels}
    return [duel for duel in duels if last[duel.run, duel.kind] == duel.place]


def sentences(figures: Sequence[Figure]) -> list[str]:
    """What is to be said of a run: every duel, and how much of its figure distance leaves M+."""
    return [duel.sentence() for duel in duels_of(figures)] + list(_kept(figures))


def judge(figures: Sequence[Figure], timings: Sequence[Figure]) -> dict[str, list[str]]:
    """What was won, lost and not decided, a line each."""
    found: dict[str, list[str]] = {"Won": [], "Lost": [], "Not told from chance": []}
    grouped: dict[tuple[str, str], list[str]] = {}
    for duel in farthest(duels_of(figures)):
        heap = (
            "Not told from chance" if duel.is_chance else "Lost" if duel.less.value < 0 else "Won"
        )
        where = f"`{duel.run}`, {duel.where} (points of {duel.measure})"
        line = f"{duel.points()} against {duel.rival} (`{duel.less.arm}`)"
        grouped.setdefault((heap, where), []).append(line)
    for (heap, where), lines in grouped.items():
        found[heap].append(f"{where}: {'; '.join(lines)}.")
    for heap, line in (*_losses(figures), *_never_read(figures), *_costs(timings)):
        found[heap].append(line)
    return {heap: lines for heap, lines in found.items() if lines}


def _measured(
    figures: Sequence[Figure], run: str, kind: str, measure: str, place: str
) -> Iterator[Figure]:
    """The figures that a paired difference is of."""
    for one in figures:
        is_retention = one.table == f"{kind}: {measure}" and one.column.startswith(f"{place} (n ")
        is_qa = one.table.startswith(f"{kind} (") and one.column == measure.removeprefix("token ")
        if one.run == run and (is_retention or is_qa):
            yield one


def _kept(figures: Sequence[Figure]) -> Iterator[str]:
    """The share of its first figure that is left to M+ where the same number of questions was asked."""
    tables = dict.fromkeys(one.table for one in figures if one.table.endswith(": exact hit"))
    for table in tables:
        own = [one for one in figures if one.table == table and one.arm == OURS]
        for first, one in zip(own[:1] * len(own), own[1:], strict=False):
            if first.value and one.count == first.count:
                now, then = (name.column.partition(" (n ")[0] for name in (one, first))
                where = {ALONE: "with the chunk alone"}.get(
                    then, f"after {then.removesuffix(' after')}"
                )
                yield (
                    f"{table.partition(':')[0]}, after {now.removesuffix(' after')}: `{OURS}` keeps "
                    f"{one.value / first.value:.2f} of its figure {where} ({one.count} questions)."
                )


def _losses(figures: Sequence[Figure]) -> Iterator[tuple[str, str]]:
    """Next-token loss against the base with text: less is better."""
    own = [one for one in figures if one.column.endswith("nats a token")]
    for ours in (one for one in own if one.arm == OURS):
        others = [one for one in own if (one.run, one.column) == (ours.run, ours.column)]
        shown = ", ".join(
            f"`{one.arm}` {one.show(full=False)}" for one in others if one.arm != OURS
        )
        best = min((one.value for one in others if one.arm != OURS), default=ours.value)
        heap = "Lost" if ours.low > best else "Won" if ours.high < best else "Not told from chance"
        yield heap, f"`{ours.run}`, {ours.column}: {ours.show()}; {shown}."


def _never_read(figures: Sequence[Figure]) -> Iterator[tuple[str, str]]:
    """Every answer to a question that nothing read can answer is a wrong one."""
    for one in figures:
        if one.table == NEVER_READ and one.arm == OURS and one.value < 1:
            wrong = f"answers {(1 - one.value) * 100:.0f} % of the {one.count} questions"
            yield (
                "Lost",
                f"`{one.run}`, passages that were never read: {wrong} instead of refusing.",
            )


def _costs(timings: Sequence[Figure]) -> Iterator[tuple[str, str]]:
    """What M+ takes beside BM25 with the base, in the first run that has both."""
    for column, more_is_better in _MORE_IS_BETTER.items():
        both: dict[str, dict[str, Figure]] = {}
        for one in timings:
            if one.column == column and one.count and one.arm in (OURS, "bm25-1"):
                both.setdefault(one.run, {})[one.arm] = one
        for run, pair in both.items():
            if len(pair) == 2:
                ours, theirs = pair[OURS], pair["bm25-1"]
                won = (ours.value > theirs.value) == more_is_better
                shown = f"{ours.show()}; BM25 with the base (`bm25-1`) {theirs.show()}"
                yield "Won" if won else "Lost", f"`{run}`, {column}: {shown}."
                break
