"""What a run says of M+ in sentences: against readers that have the passage, and against retrieval
over text, question by question; and how much of an answer's chance distance leaves.

Says so where M+ loses, and by how much. Knows records; no file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mplus_cli.evaluation import tables
from mplus_cli.evaluation.plan import ALONE
from mplus_cli.evaluation.statistics import Figure, mean
from mplus_cli.evaluation.values import UNREAD, Record

_OURS = "mplus"
_RIVALS = {
    "the base with the passage in its prompt": ("gold",),
    "retrieval over text": ("bm25", "bm25-1"),
    "the trained reader with the passage": ("gold-reader", "gold-memory"),
    "the trained reader with what BM25 finds": ("bm25-1-reader", "bm25-1-memory"),
}
"""What M+ is measured by; of several arms the one that does best."""


def sentences(experiment: str, records: Sequence[Record]) -> list[str]:
    """The sentences about a run."""
    of_kind = {
        kind: [record for record in records if record.kind == kind]
        for kind in dict.fromkeys(record.kind for record in records if record.kind != UNREAD)
    }
    found: list[str] = []
    for kind, own in of_kind.items():
        if experiment == "retention":
            found += _compare(kind, own, by_f1=False)
            found += _kept(kind, own)
        elif experiment == "qa":
            found += _compare(kind, own, by_f1=True)
    return found


def _compare(kind: str, records: Sequence[Record], *, by_f1: bool) -> Iterator[str]:
    """M+ against each of its rivals."""
    for setting in tables.settings_of(records):
        for rival, arms in _RIVALS.items():
            found = [
                (tables.difference(records, _OURS, name, setting, by_f1=by_f1), name)
                for name in arms
            ]
            known = [pair for pair in found if pair[0].count]
            if known:
                figure, other = min(known, key=lambda pair: pair[0].value)
                where = f"{kind}, {_place(setting)}" if not by_f1 else kind
                pairs = tables.paired(records, _OURS, other, setting, by_f1=by_f1)
                measure = f"{'token F1' if by_f1 else 'exact hit'}{_times(pairs)}"
                yield _sentence(where, figure, f"{rival} (`{other}`)", measure)


def _times(pairs: Sequence[tuple[float, float]]) -> str:
    """How many times the other's figure M+'s is, where that can be said."""
    ours, theirs = (sum(values) for values in zip(*pairs, strict=True))
    return f", {ours / theirs:.2f} times its figure" if theirs else ""


def _sentence(where: str, figure: Figure, rival: str, measure: str) -> str:
    points = f"{abs(figure.value) * 100:.1f} points of {measure}"
    interval = f"95 % interval {figure.low * 100:+.1f} to {figure.high * 100:+.1f}"
    if figure.low <= 0 <= figure.high and figure.value:
        interval += f": {figure.count} questions do not tell it from chance"
    if figure.value < 0:
        return f"{where}: {rival} wins by {points} ({interval})."
    if figure.value == 0:
        return f"{where}: `mplus` and {rival} do equally well ({interval})."
    return f"{where}: `mplus` is ahead of {rival} by {points} ({interval})."


def _kept(kind: str, records: Sequence[Record]) -> Iterator[str]:
    """The share of the undistracted figure that is left, over the same questions."""
    settings = tables.settings_of(records)
    first = settings[0] if settings else ""
    start = {record.id: record.hit for record in tables.at_setting(records, _OURS, first)}
    for setting in settings[1:]:
        late = {record.id: record.hit for record in tables.at_setting(records, _OURS, setting)}
        both = [id for id in late if id in start]
        before = mean([start[id] for id in both])
        if before.count and before.value:
            share = mean([late[id] for id in both]).value / before.value
            yield (
                f"{kind}, {_place(setting)}: `mplus` keeps {share:.2f} of its figure "
                f"{_place(first)} ({before.count} questions)."
            )


def _place(setting: str) -> str:
    return "with the chunk alone" if setting == ALONE else f"after {int(setting):,} tokens"
