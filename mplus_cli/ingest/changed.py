"""Finds which of the given documents are in memory in another version.

A document is known again by the path it was read from, standard input by its title, an upload by its
file's name. Works on the rows of a memory, not on its tensors.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from mplus_cli.documents import Document, DocumentError, Source, file_digest
from mplus_cli.documents.model import UPLOAD
from mplus_cli.library import DocumentRow

_UNTITLED = "stdin"


Loader = tuple[Source, Callable[[], Document]]
"""A source, and what reads it (raising DocumentError where it cannot)."""


@dataclass(frozen=True, slots=True)
class Change:
    """A document given of which the memory holds other versions."""

    index: int
    """Its index among the given documents."""
    title: str
    earlier: tuple[DocumentRow, ...]


@dataclass(frozen=True, slots=True)
class Replacement:
    """Documents of which the memory holds other versions, and what it costs that these leave."""

    changes: tuple[Change, ...]
    known: tuple[DocumentRow, ...]
    """All documents of the memory."""
    rewinds: bool = False
    """Whether the memory can go back to where it had read none of these, so that no other is read again."""

    @property
    def titles(self) -> tuple[str, ...]:
        """Of the documents that changed."""
        return tuple(change.title for change in self.changes)

    @property
    def indices(self) -> frozenset[int]:
        """Of these documents among those given."""
        return frozenset(change.index for change in self.changes)

    @property
    def earlier(self) -> tuple[DocumentRow, ...]:
        """Their other versions in the memory."""
        return tuple({row: None for change in self.changes for row in change.earlier})

    @property
    def others(self) -> int:
        """How many documents are read again."""
        return len(self._read_again)

    @property
    def chunks(self) -> int:
        """How many chunks these have."""
        return sum(row.chunks_read for row in self._read_again)

    @property
    def tokens(self) -> int:
        """About how many tokens these have."""
        return sum(row.tokens_read for row in self._read_again)

    @property
    def _read_again(self) -> list[DocumentRow]:
        if self.rewinds:
            return []
        earlier = set(self.earlier)
        return [row for row in self.known if row not in earlier]

    def without(self, indices: Collection[int]) -> Replacement:
        """The replacement of the others only."""
        left = (change for change in self.changes if change.index not in indices)
        return replace(self, changes=tuple(left))

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
    given: Sequence[Loader], known: Sequence[DocumentRow], *, ocr: bool = False
) -> tuple[tuple[Loader, ...], Replacement | None]:
    """What may be replaced, opening only documents whose path the memory knows with other bytes. Of those
    that changed, and of what cannot be read twice, the documents are returned with what was found.

    Args:
        ocr: whether scanned pages are recognised: then bytes alone say that a document is as it was only
            where some of it was recognised before.
    """
    opened: list[Loader] = []
    changes: list[Change] = []
    for index, (source, load) in enumerate(given):
        same = list(_of_this_path(source, known))
        digest = file_digest(source, ocr=ocr) if same else None
        if any(row.sha256 != digest for row in same):
            try:
                document = load()
            except DocumentError as error:
                load = _failing(error)  # reported when its turn comes
            else:
                others = tuple(row for row in same if _is_other_version(row, document))
                if others:
                    changes.append(Change(index, document.title, others))
                if others or digest is None:
                    load = _opened(document)
        opened.append((source, load))
    return tuple(opened), Replacement(tuple(changes), tuple(known)) if changes else None


def _of_this_path(source: Source, known: Sequence[DocumentRow]) -> Iterator[DocumentRow]:
    """The documents that were read from what is called so now."""
    for row in known:
        files = not (source.path is None or source.uploaded or row.path == "-")
        if row.path == source.address or (
            files
            and not row.path.startswith(UPLOAD)
            and os.path.abspath(row.path) == os.path.abspath(source.name)
        ):
            yield row


def _is_other_version(row: DocumentRow, document: Document) -> bool:
    if document.path == "-" and (document.title == _UNTITLED or document.title != row.title):
        return False  # other content from the same place
    return row.sha256 != document.sha256


def _opened(document: Document) -> Callable[[], Document]:
    return lambda: document


def _failing(error: DocumentError) -> Callable[[], Document]:
    def fail() -> Document:
        raise error

    return fail
