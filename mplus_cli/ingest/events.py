"""What happens while documents are read, as values. Independent of documents and memories."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class DocumentStarted:
    """A document is about to be read; `chunks_done` of it were read by an interrupted run.

    `index` counts the documents given from 0, here and in the other events.
    """

    index: int
    total: int
    path: str
    title: str
    pages: int | None
    chunks: int
    chunks_done: int
    tokens: int
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChunkRead:
    """A chunk was read into memory; `tokens_done` counts the document's, `page` is its last."""

    index: int
    chunks_done: int
    chunks_total: int
    tokens_done: int
    stm_tokens: int
    ltm_tokens: int
    page: int | None


@dataclass(frozen=True, slots=True)
class Committed:
    """What has been read of the document so far is on disk, and is safe whatever happens."""

    index: int
    chunks_done: int
    chunks_total: int
    stm_tokens: int
    ltm_tokens: int


@dataclass(frozen=True, slots=True)
class Reread:
    """How far the memory has been read again without a document that is being removed; `chunks_done` is 0
    before it begins. Until `Rebuilt` comes, the memory is as it was, whatever else is read meanwhile."""

    documents: int
    chunks_done: int
    chunks_total: int
    tokens: int
    """Text tokens of all these chunks."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The memory is now the one that was read again."""


@dataclass(frozen=True, slots=True)
class MergeStarted:
    """Documents of other memories are about to be read: these, those that are there already left out."""

    memory: str
    copied: str | None
    """The other memory that this one began as a copy of, so that its documents are not read again."""
    documents: int
    chunks: int
    tokens: int


@dataclass(frozen=True, slots=True)
class DocumentFinished:
    """A document is in memory to its end: read now, or earlier. Its values as stored."""

    index: int
    total: int
    path: str
    title: str
    sha256: str
    pages: int | None
    tokens: int
    chunks: int
    status: Literal["read", "already-read"]
    replaced: bool = False
    """Whether an earlier version of it left the memory for it."""


@dataclass(frozen=True, slots=True)
class DocumentFailed:
    """A document could not be read; `error` is one line. The others are still read."""

    index: int
    total: int
    path: str
    error: str


Event = (
    DocumentStarted
    | ChunkRead
    | Committed
    | Reread
    | Rebuilt
    | MergeStarted
    | DocumentFinished
    | DocumentFailed
)
_KINDS: dict[type, str] = {
    DocumentStarted: "started",
    ChunkRead: "chunk",
    Committed: "committed",
    Reread: "reread",
    Rebuilt: "rebuilt",
    MergeStarted: "merging",
    DocumentFinished: "finished",
    DocumentFailed: "failed",
}


def event_to_json(event: Event) -> dict[str, Any]:
    """An event as programs get it, its kind in `event`."""
    return {"event": _KINDS[type(event)], **asdict(event)}
