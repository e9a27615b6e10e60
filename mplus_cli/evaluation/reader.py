"""Reading a text once for every question that is to be asked of it, at whatever place.

A memory is a value, so asking never disturbs reading, and a memory that goes on to be read is, bit for
bit, the one that a reading up to the same place alone would leave. It is kept in the library's
format while it is read: long-term memory is mapped from its files, and an interrupted reading goes on
from its last commit. Knows nothing of questions.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mplus_cli.evaluation.bench import Bench
from mplus_cli.evaluation.machine import resident_bytes
from mplus_cli.evaluation.values import Cost
from mplus_cli.library import Library, NewChunk, NewDocument, StoredMemory, Writer

if TYPE_CHECKING:
    from models.memory import Memory
    from models.network import MPlusModel
    from mplus_cli.evaluation.arms import Reader

COMMIT_CHUNKS = 32


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be read."""

    reader: Reader
    chunks: Sequence[Sequence[int]]
    """Ids."""
    first_needed: int
    """The least number of chunks after which something is to be asked: a memory that was committed
    there or before can be gone on with."""


def read(
    bench: Bench, job: Job, folder: Path, spend: Callable[[Cost], None]
) -> Iterator[tuple[int, Memory]]:
    """Read chunks, and yield the memory after every one, and the one that reading begins with.

    What is asked of a memory must be on the disk before the next is asked for: the reading is
    committed then, and not done again.

    Args:
        folder: where the memory is kept; one that was read in part there is gone on with.
        spend: told what each stretch up to a commit took.

    Raises:
        MplusError: the disk is full, or another process reads there.
    """
    network = bench.network(job.reader)
    stored = _open(bench, job, Library(folder))
    with stored.writer() as writer:
        memory, done = _resume(bench, job, stored, writer)
        begun = writer.view.documents[-1].id if writer.view.documents else None
        document = begun or writer.begin_document(_describe(job))
        yield done, memory
        yield from _go_on(network, job, stored, writer, document, memory, done, spend)


def _go_on(
    network: MPlusModel,
    job: Job,
    stored: StoredMemory,
    writer: Writer,
    document: int,
    memory: Memory,
    done: int,
    spend: Callable[[Cost], None],
) -> Iterator[tuple[int, Memory]]:
    from models.update import read_chunk

    held = peak = resident_bytes()
    seconds, tokens, pending = 0.0, 0, 0
    for count, ids in enumerate(job.chunks[done:], start=done + 1):
        started = time.perf_counter()
        memory = read_chunk(network, memory, ids)
        seconds += time.perf_counter() - started
        tokens, pending, peak = tokens + len(ids), pending + 1, max(peak, resident_bytes())
        yield count, memory
        if count % COMMIT_CHUNKS and count < len(job.chunks):
            continue
        started = time.perf_counter()
        new = [NewChunk("", len(part), None, None) for part in job.chunks[count - pending : count]]
        memory = writer.commit(memory, document, new)
        seconds += time.perf_counter() - started
        spend(Cost(job.reader, tokens, round(seconds, 3), stored.summary().bytes, peak - held))
        seconds, tokens, pending = 0.0, 0, 0


def _open(bench: Bench, job: Job, library: Library) -> StoredMemory:
    """The job's memory; made anew where what is there is past what is to be asked."""
    name = f"{job.reader}-{_digest(job)[:16]}"
    identity = bench.identity(job.reader)
    stored = library.open_or_create(name, identity)
    view = stored.view()
    if view.chunks > job.first_needed:
        library.remove(name)
        stored = library.create(name, identity)
    return stored


def _resume(bench: Bench, job: Job, stored: StoredMemory, writer: Writer) -> tuple[Memory, int]:
    """The memory to go on with, and how many chunks it has read."""
    if writer.view.state is None:
        return bench.start(job.reader), 0
    return stored.load(bench.session.model.device), writer.view.chunks


def _describe(job: Job) -> NewDocument:
    digest = _digest(job)
    tokens = sum(len(chunk) for chunk in job.chunks)
    return NewDocument("-", "text", digest, "text", None, tokens, len(job.chunks), digest)


def _digest(job: Job) -> str:
    return hashlib.sha256(json.dumps([list(chunk) for chunk in job.chunks]).encode()).hexdigest()
