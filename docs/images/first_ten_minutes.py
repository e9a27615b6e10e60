"""Draws the pictures of docs/first-ten-minutes.md, a group of its commands each, and writes them as text.

    python docs/images/first_ten_minutes.py [NUMBER ...]

Commands stand in the page as code, each group before its picture; a line that begins with `>` is typed into
the command above it. All run in one folder with one home. With numbers, only those pictures are drawn. Needs
what `record.py` needs.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from record import STORY, drawn, link_base, record, save

HERE = Path(__file__).parent
PAGE = HERE.parent / "first-ten-minutes.md"
Commands = list[tuple[str, list[str]]]
"""Command lines, each with the lines that are typed into it."""


def groups() -> Iterator[tuple[str, Commands]]:
    """The pictures of the page, each with its commands."""
    commands: Commands = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("    mplus"):
            commands.append((line.strip(), []))
        elif line.startswith("    > "):
            commands[-1][1].append(line.removeprefix("    > "))
        elif commands and (found := re.match(r"!\[.*\]\(images/(.+\.svg)\)", line)):
            yield found[1], commands
            commands = []


def main(wanted: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        home.mkdir()
        link_base(str(home))
        for book in ("story.epub", "story.pdf"):
            shutil.copy(STORY / book, folder)
        texts = []
        for picture, commands in groups():
            shown = drawn(record(str(home), commands, Path(folder)))
            texts.append("\n".join(line.rstrip() for line in shown.plain.splitlines()).rstrip())
            if not wanted or re.findall(r"\d+", picture)[0] in wanted:
                save(shown, str(HERE / picture))
    if not wanted:
        (HERE / "first-ten-minutes.txt").write_text("\n\n".join(texts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
