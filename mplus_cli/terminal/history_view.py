"""Shows the questions and answers that were kept: a table, and a conversation on stdout."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from mplus_cli.history.export import standing
from mplus_cli.history.passages import passages
from mplus_cli.history.store import KeptConversation, Turn
from mplus_cli.terminal import screen
from mplus_cli.terminal.memory_view import plain_table
from mplus_cli.visible import one_line
from mplus_cli.wording import answer_text, count, moment

_NARROW, _WIDE = 72, 100
"""Columns of a terminal below which the table shows less."""


def listed_table(found: Iterable[KeptConversation], width: int) -> Table:
    """The table of `mplus log`: a line for each, with as many columns as leave room for the question."""
    shown = {
        "no.": True,
        "last asked": width >= _NARROW,
        "memory": True,
        "questions": width >= _WIDE,
        "first question": True,
    }
    names = [name for name, is_shown in shown.items() if is_shown]
    table = plain_table(*((name, name in ("no.", "questions")) for name in names))
    for kept in found:
        named = f"[{kept.name}] " if kept.name else ""
        cells: dict[str, str | Text] = {
            "no.": str(kept.id),
            "last asked": moment(kept.updated),
            "memory": Text(one_line(kept.memory)),
            "questions": f"{kept.turns:,}",
            "first question": Text(
                one_line(named + kept.question), overflow="ellipsis", no_wrap=True
            ),
        }
        table.add_row(*(cells[name] for name in names))
    return table


def show_conversation(kept: KeptConversation, turns: Sequence[Turn]) -> None:
    """A conversation on stdout: each question, its answer, and the passages."""
    named = f" {kept.name}" if kept.name else ""
    screen.out(
        f"{kept.id}{named}: {count(kept.turns, 'answer')} of {kept.memory}, {moment(kept.started)}"
    )
    for turn in turns:
        screen.out("")
        screen.out(f"> {one_line(turn.question)}")
        screen.piece(f"{answer_text(turn.answer, turn.details['reason'])}\n")
        if note := standing(turn.details):
            screen.dim(note, stderr=False)
        for passage in passages(turn.details):
            screen.dim(passage, stderr=False)
