"""The table of contents of an EPUB: the navigation document of version 3, or the NCX of version 2.

Works on XML elements; members are given as a function that reads one.
"""

import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from mplus_cli.documents.archive import Unreadable
from mplus_cli.documents.characters import clean_characters

_MAX_ENTRIES = 20_000
_OPS = "{http://www.idpf.org/2007/ops}type"
_NCX = "application/x-dtbncx+xml"


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry: its depth from 1, its title, the member it leads to and the id in there ("")."""

    level: int
    title: str
    member: str
    anchor: str


def contents(read: Callable[[str], Any], package: Any, folder: str) -> list[Entry]:
    """The entries, in their order; none where there is no table, or it cannot be read.

    `read` gives the root element of a member or raises Unreadable, `package` is the root of the
    package file, and `folder` is where that is.
    """
    items = named(package, "item")
    navigation = [one for one in items if "nav" in (one.get("properties") or "").split()]
    ncx = [one for one in items if (one.get("media-type") or "").strip().lower() == _NCX]
    for found, entries in ((navigation, _navigation), (ncx, _ncx)):
        for item in found[:1]:
            name = resolve(folder, item.get("href") or "")
            try:
                got = entries(read(name), posixpath.dirname(name))
            except Unreadable:
                continue
            if got:
                return got
    return []


def _navigation(root: Any, folder: str) -> list[Entry]:
    tables = [one for one in named(root, "nav") if "toc" in (one.get(_OPS) or "").split()]
    entries: list[Entry] = []
    waiting: list[tuple[int, str]] = []  # titles without a link: they lead where the next one does
    for table in tables[:1]:
        for one in table.iter("{*}a", "{*}span"):
            if len(entries) >= _MAX_ENTRIES:
                break
            parent = one.getparent()
            if not _is(parent, "li"):
                continue
            level = sum(1 for above in one.iterancestors("{*}ol"))
            if not _is(one, "a"):
                waiting.append((level, _title(one)))
                continue
            member, anchor = _target(folder, one.get("href") or "")
            for above, title in [*waiting, (level, _title(one))]:
                entries.append(Entry(above, title, member, anchor))
            waiting = []
    return entries


def _ncx(root: Any, folder: str) -> list[Entry]:
    entries: list[Entry] = []
    for point in named(root, "navPoint")[:_MAX_ENTRIES]:
        level = 1 + sum(1 for _ in point.iterancestors("{*}navPoint"))
        labels = point.findall("{*}navLabel")
        places = point.findall("{*}content")
        if labels and places:
            target = _target(folder, places[0].get("src") or "")
            entries.append(Entry(level, _title(labels[0]), *target))
    return entries


def _is(element: Any, name: str) -> bool:
    return element is not None and str(element.tag).rpartition("}")[2] == name


def _title(element: Any) -> str:
    return " ".join(clean_characters("".join(element.itertext())).split())


def _target(folder: str, reference: str) -> tuple[str, str]:
    return resolve(folder, reference), unquote(reference.partition("#")[2])


def resolve(folder: str, reference: str) -> str:
    """The member a reference means; it is looked up in the zip and nowhere else."""
    path = unquote(reference.split("#")[0].split("?")[0])
    return posixpath.normpath(posixpath.join("/", folder, path)).lstrip("/")


def named(root: Any, name: str) -> list[Any]:
    """All elements below `root` of that local name, whatever their namespace."""
    return list(root.iter("{*}" + name))
