"""Which of the documents given are in memory in another version.

A document is known again by the path it was read from, standard input by its title. Knows rows of a memory,
not the memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mplus_cli.documents import Document, DocumentError
from mplus_cli.ingest.pipeline import Given
from mplus_cli.library import DocumentRow

_UNTITLED = "stdin"


@dataclass(frozen=True, slots=True)
class Replacement:
    """Documents of which the memory holds other versions, and what it costs that these leave."""

    titles: tuple[str, ...]
    indices: frozenset[int]
    """Of these documents among those given."""
    earlier: tuple[DocumentRow, ...]
    """Their other versions in the memory."""
    others: int
    """How many documents are read again."""
    chunks: int
    """How many chunks these have."""

    def __str__(self) -> str:
        if len(self.titles) == 1:
            return f'the memory has another version of "{self.titles[0]}"'
        return f"the memory has other versions of {len(self.titles)} of these documents"

    @property
    def kept(self) -> str:
        """What to say where both versions are kept."""
        them = "the new one" if len(self.titles) == 1 else "the new ones"
        return f"{self} and keeps both: --replace keeps {them} only"


def find_replacement(
    given: Sequence[Given], known: Sequence[DocumentRow]
) -> tuple[tuple[Given, ...], Replacement | None]:
    """What may be replaced, opening only documents whose path the memory knows. They are not opened again:
    the documents are returned with what was found in them."""
    opened: list[Given] = []
    changed: dict[int, Document] = {}
    earlier: set[DocumentRow] = set()
    for index, (source, load) in enumerate(given):
        same = list(_of_this_path(source.name, known))
        if same:
            try:
                document = load()
            except DocumentError as error:
                load = _failing(error)  # it is told when its turn comes
            else:
                load = _opened(document)
                others = {row for row in same if _is_other_version(row, document)}
                if others:
                    changed[index] = document
                    earlier |= others
        opened.append((source, load))
    if not changed:
        return tuple(opened), None
    left = [row for row in known if row not in earlier]
    titles = tuple(document.title for document in changed.values())
    chunks = sum(row.chunks_read for row in left)
    found = Replacement(titles, frozenset(changed), tuple(earlier), len(left), chunks)
    return tuple(opened), found


def _of_this_path(name: str, known: Sequence[DocumentRow]) -> Iterator[DocumentRow]:
    """The documents that were read from what is called so now."""
    for row in known:
        stdin = "-" in (row.path, name)
        if row.path == name or (not stdin and os.path.abspath(row.path) == os.path.abspath(name)):
            yield row


def _is_other_version(row: DocumentRow, document: Document) -> bool:
    if document.path == "-" and (document.title == _UNTITLED or document.title != row.title):
        return False  # something else came through the same door
    return row.sha256 != document.sha256


def _opened(document: Document) -> Callable[[], Document]:
    return lambda: document


def _failing(error: DocumentError) -> Callable[[], Document]:
    def fail() -> Document:
        raise error

    return fail
