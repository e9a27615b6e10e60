"""Draws README's picture: real commands on a real terminal, as an SVG.

    python docs/images/record.py docs/images/terminal.svg

Reads the example story into a memory in a temporary home (the embedded base has to be here already:
`mplus model pull`), and needs `pip install 'mplus[docs,dev]'`.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import tempfile
from collections.abc import Sequence
from io import StringIO
from itertools import groupby
from pathlib import Path

import pexpect
import platformdirs
import pyte
from rich.console import Console
from rich.style import Style
from rich.text import Text

COLUMNS, LINES = 92, 60
HOME = "~/.local/share/mplus"
PROMPT = re.compile(r">\x08\x1b\[2C")
"""The prompt of a chat, as it is drawn."""
SHOWN = (
    "mplus ingest story.pdf",
    'mplus ask "How many miles of water lie between Port Ambrel and Sallowhithe?"',
    'mplus ask "What is the name of the yacht that ran on to the Harrow in the fog?"',
)
STORY = Path(__file__).parents[2] / "examples" / "story"


def record(
    home: str, shown: Sequence[str | tuple[str, list[str]]] = SHOWN, folder: Path = STORY
) -> pyte.Screen:
    """The terminal after all commands, run in a folder; with a command may come what is typed into it, each
    line at a prompt of its own. The temporary home is shown as the usual one."""
    terminal = pyte.Screen(COLUMNS, LINES)
    stream = pyte.Stream(terminal)
    for given in shown:
        line, typed = (given, []) if isinstance(given, str) else given
        stream.feed(f"\x1b[1;32m$\x1b[0m \x1b[1m{line}\x1b[0m\r\n")
        words = [sys.executable, "-m", "mplus_cli", "--home", home, *shlex.split(line)[1:]]
        child = pexpect.spawn(
            words[0],
            words[1:],
            cwd=str(folder),
            encoding="utf-8",
            timeout=3600,
            env={**os.environ, "PROMPT_TOOLKIT_NO_CPR": "1"},
            dimensions=(LINES, COLUMNS),
        )
        for text in typed:
            child.expect(PROMPT)
            stream.feed(child.before.replace(home, HOME) + child.after)
            child.send(f"{text}\r")
        child.expect(pexpect.EOF)
        stream.feed(child.before.replace(home, HOME))
        stream.feed("\r\n")
    return terminal


def drawn(terminal: pyte.Screen) -> Text:
    """What the terminal shows, with its styles."""
    rows = []
    for number in range(terminal.cursor.y + 1):
        row = Text()
        cells = [terminal.buffer[number][column] for column in range(COLUMNS)]
        for style, run in groupby(cells, _style):  # a character at a time makes a large picture
            row.append("".join(cell.data for cell in run), style)
        row.rstrip()
        rows.append(row)
    return Text("\n").join(rows)


def _style(cell: pyte.screens.Char) -> Style:
    known = cell.fg if cell.fg in ("red", "green", "yellow", "blue", "cyan") else None
    return Style(color=known, bold=cell.bold, dim=cell.fg == "brightblack")


def save(shown: Text, target: str) -> None:
    """Write what a terminal shows as an SVG."""
    console = Console(record=True, width=COLUMNS, file=StringIO())
    console.print(shown)
    console.save_svg(target, title="mplus")


def link_base(home: str) -> None:
    """Let a temporary home use the base that is here."""
    (Path(home) / "base").symlink_to(platformdirs.user_data_path("mplus") / "base")


def main(target: str) -> None:
    with tempfile.TemporaryDirectory() as home:
        link_base(home)
        shown = drawn(record(home))
    save(shown, target)


if __name__ == "__main__":
    main(sys.argv[1])
