"""What `mplus` alone shows: what there is, and what to do next. At most 60 columns wide."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from mplus_cli.library import MemorySummary
from mplus_cli.terminal import screen
from mplus_cli.visible import one_line
from mplus_cli.wording import count, size

_COLUMNS = 60
_MOST = 5
"""Memories that are named."""


def show_start(summaries: Sequence[MemorySummary], memory: str, download: int | None) -> None:
    """Show what to do next.

    Args:
        memory: the one that is asked where none is named.
        download: bytes of the model that is not here yet; None: it is here.
    """
    _paragraph(
        "mplus reads whole books into a memory and answers questions from it, on this machine."
    )
    screen.out("")
    if summaries:
        shown = [_named(summary) for summary in summaries[:_MOST]]
        shown += [f"{len(summaries) - _MOST} more"] if len(summaries) > _MOST else []
        _paragraph(f"Memories: {', '.join(shown)}.")
        names = [summary.name for summary in summaries]
        which = "" if memory in names else f" -m {names[0]}"
        steps = {
            f'mplus ask{which} "..."': "ask a question",
            f"mplus chat{which}": "have a conversation",
            "mplus ingest book.pdf": "read more",
        }
    else:
        _paragraph("Nothing has been read yet. Start with one of these:")
        steps = {
            "mplus ingest book.pdf": "read a book, page or folder",
            "mplus demo": "read a story and ask about it",
        }
    screen.out("")
    for command, what in steps.items():
        screen.out(f"  {command:<26} {what}")
    screen.out("")
    if download is not None:
        _paragraph(f"The first one you run downloads the model once: {size(download)}.")
    _paragraph("All commands: mplus --help. Problems? mplus doctor")


def _named(summary: MemorySummary) -> str:
    held = "damaged" if summary.error else count(summary.documents, "document")
    return f"{one_line(summary.name)} ({held})"


def _paragraph(text: str) -> None:
    for line in textwrap.wrap(text, _COLUMNS, break_long_words=False, break_on_hyphens=False):
        screen.out(line)
