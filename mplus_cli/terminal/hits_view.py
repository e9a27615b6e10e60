"""Shows what was found for some words: numbered passages, each with its place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from mplus_cli.asking.events import Source
from mplus_cli.asking.lexical import match_words
from mplus_cli.terminal import capabilities, screen
from mplus_cli.terminal.answer_view import where
from mplus_cli.visible import one_line
from mplus_cli.wording import excerpt

LINES = 3
"""Of a passage on a terminal, at most."""
_CUT = "..."


def show_hits(sources: Sequence[Source], words: str, *, stderr: bool = False) -> None:
    """Passages, best first; on a terminal a few lines of each, else the whole of it.

    Args:
        words: that were looked for.
    """
    is_cut = capabilities.is_terminal() if stderr else capabilities.is_wrapped()
    indent = len(f"{len(sources)}. ")
    for number, source in enumerate(sources, start=1):
        label = f"{number}.".ljust(indent)
        quoted = excerpt(source.text, *(source.quote_span or (0, 0))).splitlines()
        passage = "\n".join(map(one_line, quoted))
        if is_cut:
            for line in _lines(label, _marked(passage, words), screen.width()):
                screen.show(line, stderr=stderr)
        else:
            for at, paragraph in enumerate(passage.split("\n")):
                told = (" " * indent if at else label) + paragraph
                screen.dim(told) if stderr else screen.out(told)
        screen.dim(" " * (indent - 2) + where(source), stderr=stderr)


def _marked(passage: str, words: str) -> Text:
    """A passage with the words that were looked for in bold."""
    marked = Text(passage)
    (match,) = match_words(words, [passage])
    for start, stop, _ in match.places:
        marked.stylize("bold", start, stop)
    return marked


def _lines(label: str, passage: Text, columns: int) -> Iterator[Text]:
    """The lines of a passage, `LINES` at most: those in a row with the most marks."""
    room = columns - len(label) - len(_CUT) - 1
    lines = list(passage.wrap(screen.console(), max(room, 10)))
    starts = range(max(len(lines) - LINES, 0) + 1)
    first = max(starts, key=lambda at: sum(len(line.spans) for line in lines[at : at + LINES]))
    shown = lines[first : first + LINES]
    for number, line in enumerate(shown):
        line.rstrip()
        before = f"{_CUT} " if first and not number else ""
        behind = f" {_CUT}" if number == len(shown) - 1 and first + LINES < len(lines) else ""
        yield Text.assemble(" " * len(label) if number else label, before, line, behind)
