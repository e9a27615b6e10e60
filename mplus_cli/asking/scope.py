"""Which documents of a memory are asked, named as a user names them.

Works on a memory's records; needs no model.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import PurePath

from mplus_cli.errors import UsageError
from mplus_cli.library import DocumentRow, StoredMemory


def chunks_outside(stored: StoredMemory, names: Sequence[str], chunks: int) -> frozenset[int]:
    """The numbers below `chunks` of the chunks that are of none of the documents named.

    Raises:
        UsageError: a name means no document, or several.
    """
    if not names:
        return frozenset()
    documents = stored.documents()
    wanted = [find_document(documents, name).id for name in names]
    return frozenset(range(chunks)) - frozenset(stored.chunk_numbers(wanted))


def find_document(documents: Sequence[DocumentRow], name: str) -> DocumentRow:
    """The document of a title, path or file name, or of the number that `mplus memory show` gives it; else
    the only one whose title, path or file name begins so.

    Raises:
        UsageError: there is none, or there are several.
    """
    wanted = name.strip().casefold()
    known = {document.id: [part.casefold() for part in _names(document)] for document in documents}
    found = [row for row in documents if wanted in (str(row.id), *known[row.id])]
    if not found and wanted:
        found = [row for row in documents if any(part.startswith(wanted) for part in known[row.id])]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f'"{name}" matches {_told_apart(found)}')
    close = difflib.get_close_matches(name, [row.title for row in documents], n=1, cutoff=0.5)
    hint = (
        f'did you mean "{close[0]}"?' if close else f"there is {listed(r.title for r in documents)}"
    )
    raise UsageError(f'there is no document "{name}" in this memory: {hint}')


def _told_apart(found: Sequence[DocumentRow]) -> str:
    """Documents that a name may mean, and what to do: versions of one file share title and path."""
    titles = {row.title for row in found}
    paths = dict.fromkeys(row.path for row in found)
    if len(titles) == len(found) or len(paths) > 1:
        shown = (row.title for row in found) if len(titles) == len(found) else paths
        return f"{listed(shown)}: give more of the name, or the path"
    numbers = " and ".join(str(row.id) for row in found)
    return f"the documents {numbers} in `mplus memory show`: give the number"


def _names(document: DocumentRow) -> tuple[str, str, str]:
    path = PurePath(document.path)
    return document.title, document.path, path.name


def listed(titles: Iterable[str]) -> str:
    """Titles in quotation marks; of many only the first."""
    quoted = [f'"{title}"' for title in titles]
    shown = quoted if len(quoted) <= 5 else [*quoted[:4], f"{len(quoted) - 4} more"]
    return ", ".join(shown[:-1]) + (" and " if len(shown) > 1 else "") + shown[-1]
