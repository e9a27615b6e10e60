"""Inline text as paragraphs and lines, with the headings among them.

Independent of the elements of any format.
"""

import re

from mplus_cli.documents.characters import SOFT_HYPHEN, clean_characters
from mplus_cli.documents.model import Heading

_SPACES = re.compile(r"[^\S\n]+")


class Writer:
    """Collects inline text and breaks it into paragraphs and lines."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.length = 0  # of what is done
        self.current: list[str] = []
        self.separator = ""
        self.pre = 0
        self.headings: list[Heading] = []

    def inline(self, text: str) -> None:
        text = clean_characters(text).replace(SOFT_HYPHEN, "")
        self.current.append(text if self.pre else re.sub(r"\s+", " ", text))

    def line_break(self) -> None:
        self.current.append("\n")

    def end_block(self, separator: str) -> None:
        """End the paragraph, if there is one; the larger of the separators asked for counts."""
        text = "".join(self.current)
        self.current = []
        if self.pre:
            text = text.strip("\n").rstrip()
        else:
            text = "\n".join(line.strip() for line in _SPACES.sub(" ", text).split("\n"))
            text = re.sub(r"\n{2,}", "\n\n", text).strip()
        if text.strip(" |\n"):
            if self.done:
                self._put(self.separator)
            self._put(text.removesuffix(" |"))
            self.separator = separator
        elif len(separator) > len(self.separator):
            self.separator = separator

    def _put(self, text: str) -> None:
        self.done.append(text)
        self.length += len(text)

    def next_start(self) -> int:
        """The character at which the paragraph that is being written will begin."""
        return self.length + (len(self.separator) if self.done else 0)

    def end_heading(self, level: int, mark: int) -> None:
        """Make what was written since there were `mark` pieces a heading."""
        text = "".join(self.done[mark:]).lstrip()
        if text:
            self.headings.append(Heading(self.length - len(text), level, " ".join(text.split())))

    def text(self) -> str:
        self.end_block("\n\n")
        return "".join(self.done)
