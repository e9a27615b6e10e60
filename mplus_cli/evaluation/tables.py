"""Figures as tables: an arm a row, a heading a column. Knows figures; no file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

from mplus_cli.evaluation.figures import LESS, Figure


class Table(NamedTuple):
    """The figures of one run under one title."""

    title: str
    figures: Sequence[Figure]

    @property
    def columns(self) -> list[str]:
        return list(dict.fromkeys(figure.column for figure in self.figures))

    def rows(self) -> list[list[str]]:
        """The rows as texts, the arm first; where an arm was asked fewer questions, with their number."""
        most: dict[str, int] = {}
        for one in self.figures:
            most[one.column] = max(most.get(one.column, 0), one.count)
        texts: dict[str, dict[str, str]] = {}
        for one in self.figures:
            is_fewer = 0 < one.count < most[one.column] or self.title.endswith(LESS)
            note = f" (n {one.count})" if is_fewer else ""
            texts.setdefault(one.arm, {})[one.column] = one.show() + note
        return [[arm, *(own.get(name, "–") for name in most)] for arm, own in texts.items()]


def tables_of(figures: Iterable[Figure]) -> list[Table]:
    """Figures table by table."""
    grouped = groupby(figures, lambda figure: (figure.run, figure.table))
    return [Table(title, list(own)) for (_, title), own in grouped]


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---", *(["---:"] * (len(head) - 1))], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
