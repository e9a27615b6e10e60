"""The commit before the newest document, as a text in `times`: what a document can be taken out with.

Memories do not depend on it: an mplus that does not know it deletes the file that it names, and what is
damaged is as good as none. So it has a digest of its own, and none of its values is trusted.
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
    """The record of a commit behind which a document is begun; empty where that is none to go back to."""
    if before.state is None or INTERIM in before.state.stm_file:
        return ""
    rows = [asdict(row) for row in before.segments]
    content = json.dumps([len(before.documents), asdict(before.state), rows])
    return f"{_digest(content)} {content}"


def loads(text: str) -> Earlier | None:
    """What `dumps` made; None of anything else."""
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
