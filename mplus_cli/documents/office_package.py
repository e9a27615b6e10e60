"""The parts of an Office Open XML package (DOCX, PPTX), and the metadata in them.

Parts name each other by relations; what a part is called is left to the program that wrote it.
"""

import posixpath
from collections.abc import Sequence
from typing import Any

from mplus_cli.documents.archive import Archive, Unreadable
from mplus_cli.documents.epub_contents import named, resolve
from mplus_cli.documents.metadata import author_of, sane_title, year_of

_DEFAULT_DATE = "2013-12-23T23:15:00Z"  # of the template of a well-known library


class Package:
    """An archive whose parts are found by what they are."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self._roots = self.related("")

    def main(self, usual: str) -> str:
        """The name of the document's main part."""
        return self._roots.get("officeDocument", usual)

    def related(self, part: str) -> dict[str, str]:
        """The parts that a part refers to, by the last word of what they are to it."""
        return {kind: target for kind, _, target in reversed(self.relations(part))}

    def relations(self, part: str) -> list[tuple[str, str, str]]:
        """(kind, id, part) of each relation of a part."""
        folder, name = posixpath.split(part)
        found = self.tree(posixpath.join(folder, "_rels", f"{name}.rels"))
        if found is None:
            return []
        return [
            (
                (one.get("Type") or "").rpartition("/")[2],
                one.get("Id") or "",
                resolve(folder, one.get("Target") or ""),
            )
            for one in named(found, "Relationship")
            if (one.get("TargetMode") or "") != "External"
        ]

    def tree(self, part: str | None) -> Any:
        """The root element of a part, None if it is missing or damaged."""
        try:
            return self.archive.xml(part) if part else None
        except Unreadable:
            return None

    def feed(self, part: str | None, target: Any) -> bool:
        """Give the events of a part to `target`; False if it is missing or damaged."""
        try:
            if part:
                self.archive.feed(part, target)
        except Unreadable:
            return False
        return bool(part)

    def core(self) -> Any:
        """The root of what the package says of itself: title, creator and so on."""
        return self.tree(self._roots.get("core-properties", "docProps/core.xml"))

    def page_count(self) -> int | None:
        """The page count that the program which wrote it recorded."""
        found = self.tree(self._roots.get("extended-properties", "docProps/app.xml"))
        texts = [] if found is None else [one.text or "" for one in named(found, "Pages")]
        return int(texts[0]) if texts and texts[0].isdecimal() and len(texts[0]) < 7 else None


def stated(root: Any, titles: Sequence[str]) -> tuple[str, str | None, str | None]:
    """Title ("" if none), author and year; `titles` are what the text itself has for one."""
    title = sane_title(_text(root, "title")) or (titles[0] if titles else "")
    created = _text(root, "created") or _text(root, "creation-date")
    names = _text(root, "initial-creator") or _text(root, "creator")
    date = None if created == _DEFAULT_DATE else year_of(created)
    return title, author_of(names.split(";")), date


def _text(root: Any, name: str) -> str:
    found = [] if root is None else named(root, name)
    return "".join(found[0].itertext()).strip() if found else ""
