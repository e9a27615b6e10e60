"""Shows the questions and answers that were kept: a table, and a conversation on stdout."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from mplus_cli.history.export import places, standing
from mplus_cli.history.store import KeptConversation, Turn
from mplus_cli.terminal import screen
from mplus_cli.terminal.memory_view import plain_table
from mplus_cli.visible import one_line
from mplus_cli.wording import answer_text, count, moment

_NARROW = 72


def listed_table(found: Iterable[KeptConversation], width: int) -> Table:
    """The table of `mplus log`."""
    wide = width >= _NARROW
    when = [("updated", False)] if wide else []
    table = plain_table(
        ("", True), *when, ("memory", False), ("answers", True), ("first question", False)
    )
    for kept in found:
        name = f"[{kept.name}] " if kept.name else ""
        table.add_row(
            str(kept.id),
            *([moment(kept.updated)] if wide else []),
            Text(one_line(kept.memory)),
            f"{kept.turns:,}",
            Text(one_line(name + kept.question)),
        )
    return table


def show_conversation(kept: KeptConversation, turns: Sequence[Turn]) -> None:
    """A conversation on stdout: each question, its answer, and where that stands."""
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
        for where in places(turn.details):
            screen.dim(where, stderr=False)
