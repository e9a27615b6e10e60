"""The record of the commit before the newest document, kept as text in the table `times`. With it, that
document can be taken out without reading the others again.

A memory works without the record: an older mplus, which does not know it, deletes the file that it names, and
a damaged record is ignored. So it has its own digest, and none of its values is trusted.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

from mplus_cli.library.schema import check_commit
from mplus_cli.library.values import INTERIM, Earlier, SegmentRow, State, View

EARLIER = "earlier"
"""The key in `times`."""


def dumps(before: View) -> str:
    """The record of the commit after which a document is begun; empty if it is not one to go back to."""
    if before.state is None or INTERIM in before.state.stm_file:
        return ""
    rows = [asdict(row) for row in before.segments]
    content = json.dumps([len(before.documents), asdict(before.state), rows])
    return f"{_digest(content)} {content}"


def loads(text: str) -> Earlier | None:
    """The commit that `dumps` recorded; None if the text is anything else."""
    digest, _, content = text.partition(" ")
    if digest != _digest(content):
        return None
    try:
        documents, state, rows = json.loads(content)
        found = Earlier(documents, State(**state), tuple(SegmentRow(**row) for row in rows))
    except (ValueError, TypeError, RecursionError):
        return None
    if type(documents) is not int or documents < 0:
        return None
    return None if any(check_commit(found.state, found.segments)) else found


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
