"""The author and date of an EPUB, from the Dublin Core elements of its package file.

EPUB 2 says by attributes what a creator or a date is; EPUB 3 by elements that refer to theirs.
"""

from typing import Any

from mplus_cli.documents.epub_contents import named

_AUTHOR = "aut"  # a MARC relator code
_EVENTS = ("original-publication", "publication", "issued", "creation", "")
"""Of dates, the ones that tell of the book before the ones that tell of the file; others are left out."""
_MAX_ELEMENTS = 100


def creators(package: Any) -> list[str]:
    """The names of the authors: creators with another role are left out."""
    roles = {
        (one.get("refines") or "").lstrip("#"): (one.text or "").strip().lower()
        for one in named(package, "meta")[:1000]
        if one.get("property") == "role"
    }
    found: list[str] = []
    for element in named(package, "creator")[:_MAX_ELEMENTS]:
        role = _attribute(element, "role") or roles.get(element.get("id") or "", "")
        if role in ("", _AUTHOR):
            found.append("".join(element.itertext()))
    return found


def publication_date(package: Any) -> str:
    """The publication date, "" if none is given."""
    dates: dict[str, str] = {}
    for element in named(package, "date")[:_MAX_ELEMENTS]:
        text = "".join(element.itertext()).strip()
        if text:
            dates.setdefault(_attribute(element, "event"), text)
    return next((dates[event] for event in _EVENTS if event in dates), "")


def _attribute(element: Any, name: str) -> str:
    """The value of an attribute of that local name, whatever its namespace; "" if there is none."""
    for key, value in element.attrib.items():
        if str(key).rpartition("}")[2] == name:
            return str(value).strip().lower()
    return ""
