"""The values of this package: identities, rows, summaries, the map of a memory, problems.

Plain values: no files, no database, no tensors. Tokens are text tokens unless a name says otherwise;
short-term (stm) and long-term (ltm) tokens are memory tokens per layer. Times are UTC, ISO 8601.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mplus_cli.place import Place

INTERIM = "interim"
"""Mark in the names of files that the next full commit replaces."""
Progress = Callable[[int, int], None]
"""Called with the bytes done so far and in all."""


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which model wrote a memory."""

    name: str
    fingerprint: str
    """Hexadecimal, over base weights, adapters, tokenizer and config."""
    geometry: dict[str, Any]
    """The config as JSON values."""
    earlier: tuple[str, ...] = ()
    """Fingerprints that earlier versions gave the same model."""

    def wrote(self, memory: ModelIdentity) -> bool:
        """Whether a memory that says so was written by this model, as far as fingerprints tell."""
        return memory.fingerprint in (self.fingerprint, *self.earlier)

    def __str__(self) -> str:
        return f"{self.name} ({self.fingerprint[:8]}…)"


@dataclass(frozen=True, slots=True)
class MemorySummary:
    """A line of `mplus memory list`. Counts are 0 and texts empty where `error` says why."""

    name: str
    model: str = ""
    documents: int = 0
    tokens: int = 0
    chunks: int = 0
    stm_tokens: int = 0
    ltm_tokens: int = 0
    bytes: int = 0
    """Size on disk of the files that the last commit names."""
    created: str = ""
    updated: str = ""
    error: str | None = None
    note: str | None = None
    """What the user wrote down about it."""


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document that is about to be read."""

    path: str
    title: str
    sha256: str
    kind: str
    pages: int | None
    tokens: int
    """Of the whole document, whether it was read to the end or not."""
    chunks: int
    digest: str
    """Hexadecimal, over the token ids of all chunks: only a document with the same chunks can be
    resumed."""
    author: str | None = None
    """None if the file names none, or if an older mplus read it."""
    date: str | None = None
    """As written in the file."""
    added: str | None = None
    """When it was first read; None or empty: now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentRow(NewDocument):
    """A document of a memory."""

    id: int
    chunks_read: int
    added: str

    @property
    def complete(self) -> bool:
        """Whether it was read to the end."""
        return self.chunks_read == self.chunks

    @property
    def tokens_read(self) -> int:
        """About how many of its tokens were read."""
        return self.tokens * self.chunks_read // max(self.chunks, 1)


@dataclass(frozen=True, slots=True)
class NewChunk:
    """A chunk that was read and is about to be committed."""

    text: str
    tokens: int
    first_page: int | None
    last_page: int | None
    place: Place | None = None
    """None if an older mplus read it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkRow(NewChunk):
    """A chunk of a memory: its number there, from 0, and its position in its document, from 0."""

    number: int
    document_id: int
    document_title: str
    document_path: str
    position: int


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """A file of long-term memory."""

    number: int
    file: str
    """Relative to the memory's folder."""
    tokens: int
    """Memory tokens per layer in the file."""
    skip: int
    """How many of the oldest were forgotten since (`ltm_capacity`)."""
    bytes: int
    sha256: str

    @property
    def is_interim(self) -> bool:
        """Whether the next full commit replaces it."""
        return INTERIM in self.file

    @property
    def kept(self) -> int:
        """Memory tokens per layer that the memory still uses."""
        return self.tokens - self.skip


@dataclass(frozen=True, slots=True)
class State:
    """The state after the last commit."""

    commit: int
    """How many full commits there were."""
    clock: int
    chunks: int
    tokens: int
    """Text tokens read so far."""
    stm_file: str
    stm_tokens: int
    stm_bytes: int
    stm_sha256: str
    chunks_sha256: str
    """A digest over the chunks' texts and pages."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """The commit behind which the newest document was begun. Its short-term memory stays in the folder, so
    that the document can be taken out again without reading the others."""

    documents: int
    """How many there were."""
    state: State
    segments: tuple[SegmentRow, ...]


@dataclass(frozen=True, slots=True)
class View:
    """Everything that the database says about one commit, except for the chunks' texts."""

    identity: ModelIdentity
    state: State | None
    """None: nothing was committed yet."""
    segments: tuple[SegmentRow, ...]
    documents: tuple[DocumentRow, ...]
    created: str
    updated: str
    checked: dict[str, str]
    """How each file was (`files.stamp`) when it was written, or last compared with its checksum."""
    rebuilt: str = ""
    """When a document left it last, so that its chunks were renumbered; empty if none did."""
    covered: bool = True
    """Whether every row has a digest of its own: False where an earlier mplus wrote it."""
    note: str | None = None
    """What the user wrote down about it."""
    earlier: Earlier | None = None
    """None too where that commit was no full one, or an older mplus read the newest document."""

    @property
    def interim(self) -> SegmentRow | None:
        """The file of long-term memory that the next full commit replaces, if there is one."""
        return next((row for row in self.segments[-1:] if row.is_interim), None)

    @property
    def ltm_tokens(self) -> int:
        """Memory tokens in long-term memory, per layer."""
        return sum(segment.kept for segment in self.segments)

    @property
    def chunks(self) -> int:
        """Chunks read so far."""
        return self.state.chunks if self.state else 0


@dataclass(frozen=True, slots=True)
class DocumentSpan:
    """Where a document's chunks are: (first, last) numbers, in runs (one, unless interrupted)."""

    document: DocumentRow
    runs: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class ChunkPlace:
    """Where a chunk's memory tokens are now: how many in each, per layer (the mean of layers)."""

    number: int
    document_id: int
    first_page: int | None
    last_page: int | None
    stm_tokens: float
    ltm_tokens: float
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class MemoryMap:
    """What `mplus memory map` draws."""

    documents: tuple[DocumentSpan, ...]
    chunks: tuple[ChunkPlace, ...]
    segments: tuple[SegmentRow, ...]
    stm_tokens: int
    ltm_tokens: int


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that `mplus memory verify` found."""

    file: str
    """Relative to the memory's folder."""
    message: str
    documents: tuple[str, ...] = ()
    """Titles of the documents that the file holds parts of, where that is known."""

    def __str__(self) -> str:
        held = ", ".join(f'"{title}"' for title in self.documents[:3])
        more = f" and {len(self.documents) - 3} more" if self.documents[3:] else ""
        return f"{self.file}: {self.message}" + (
            f" (it holds parts of {held}{more})" if held else ""
        )
