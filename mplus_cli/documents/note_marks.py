"""Removes note marks from running text: "lamp1" was "lamp" with a superscript 1.

The notes themselves stay where they are. Works on the names of elements, independent of how they are
parsed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

_PLAIN_MARK = re.compile(r"\s*[\[(]?(?:\d{1,3}|[*†‡§¶]{1,3})[\])]?\s*")
_LINKED_MARK = re.compile(r"\s*[\[(]?(?:\d{1,3}|[a-z]|[ivxl]{1,5}|[*†‡§¶]{1,3})[\])]?\s*")
_WORD = re.compile(r"[^\W\d_]{4,}\Z|[.,;:!?…\"'”’»)\]]\Z")  # no unit and no variable: km, x
_ROLES = ("noteref", "doc-noteref")
_LOOK_BACK = 24  # characters


class TextSink(Protocol):
    """What a mark is taken out of: the pieces of the paragraph, how many paragraphs came before."""

    current: list[str]
    done: list[str]


@dataclass(slots=True)
class _OpenElement:
    """An element that may be a mark: where its text begins, and whether it leads to a note."""

    name: str
    paragraph: int
    piece: int
    linked: bool
    sure: bool


class NoteMarks:
    """Watches elements, and removes the text of those that turn out to be note marks."""

    def __init__(self, written: TextSink) -> None:
        self._written = written
        self._open: list[_OpenElement] = []
        self._links = 0  # local ones that are open

    def enter(self, name: str, attributes: Mapping[str, str]) -> None:
        """An element begins."""
        if name not in ("a", "sup"):
            return
        local = name == "a" and "#" in attributes.get("href", "")
        self._links += local
        kind = attributes.get("epub:type", "") + " " + attributes.get("role", "")
        sure = local and any(role in kind.split() for role in _ROLES)
        place = len(self._written.done), len(self._written.current)
        self._open.append(_OpenElement(name, *place, local, sure))

    def leave(self, name: str) -> None:
        """An element ends."""
        if not self._open or self._open[-1].name != name:
            return
        one = self._open.pop()
        self._links -= one.linked
        if name == "a" and not one.sure:
            if one.linked and self._open and self._open[-1].name == "sup":
                self._open[-1].sure = True
            return
        current = self._written.current
        if one.paragraph != len(self._written.done) or one.piece > len(current):
            return
        text = "".join(current[one.piece :])
        before = "".join(current[max(0, one.piece - 8) : one.piece])[-_LOOK_BACK:]
        if not before.strip():  # a mark before its note, as "1 See page 3", stays
            return
        if one.sure or self._links:
            is_mark = _LINKED_MARK.fullmatch(text)
        else:
            is_mark = _PLAIN_MARK.fullmatch(text) and _WORD.search(before)
        if is_mark:
            del current[one.piece :]
