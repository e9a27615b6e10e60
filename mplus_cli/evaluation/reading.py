"""Reading a stream once for every question that is asked along it.

A memory is a value, so asking never disturbs reading, and a memory that continues to be read is, bit for
bit, the one that a reading up to the same place alone would leave. It is kept in the library's format
while it is read: long-term memory is mapped from its files, and an interrupted reading continues from its
last commit. Yields typed events; prints nothing.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from mplus_cli.errors import MplusError
from mplus_cli.evaluation.arms import WITHOUT_MEMORY, Arm, Reader, by_reader
from mplus_cli.evaluation.bench import Bench
from mplus_cli.evaluation.bm25 import Index
from mplus_cli.evaluation.journal import Journal, kept_bytes
from mplus_cli.evaluation.trial import Timed, Trial
from mplus_cli.evaluation.values import (
    Cost,
    Event,
    Notice,
    Probe,
    Progress,
    Question,
    Stream,
    score,
)
from mplus_cli.extras import require
from mplus_cli.library import Library, NewChunk, NewDocument
from mplus_cli.wording import size

if TYPE_CHECKING:
    from models.memory import Memory

COMMIT_CHUNKS = 32


def read(
    bench: Bench,
    reader: Reader,
    chunks: Sequence[Sequence[int]],
    wanted: Collection[int],
    journal: Journal,
) -> Iterator[tuple[int, Memory | None]]:
    """Read up to the largest wanted number of chunks of ids; yield the number and the memory after each one,
    and those that reading begins with. For a reader without memory: the wanted numbers, and None.

    What is asked of a memory must be on the disk before the next is asked for: the reading is committed
    then, and not done again. Costs go to the journal. The memory is deleted at the end.

    Raises:
        MplusError: the disk is full, or another process reads there.
    """
    from models.update import read_chunk

    if reader in WITHOUT_MEMORY:
        yield from ((count, None) for count in sorted(wanted))
        return
    network, identity = bench.network(reader), bench.identity(reader)
    what = json.dumps([identity.fingerprint, *(list(ids) for ids in chunks)])
    digest = hashlib.sha256(what.encode()).hexdigest()
    library, name = Library(journal.work), f"{reader}-{digest[:16]}"
    stored = library.open_or_create(name, identity)
    if stored.view().chunks > min(wanted):
        library.remove(name)
        stored = library.create(name, identity)
    with stored.writer() as writer:
        done, memory = writer.view.chunks, bench.start(reader)
        if writer.view.state is not None:
            memory = stored.load(bench.session.model.device)
        tokens = sum(map(len, chunks))
        described = NewDocument("-", "text", digest, "text", None, tokens, len(chunks), digest)
        known = writer.view.documents
        document = known[-1].id if known else writer.begin_document(described)
        yield done, memory
        process = require("psutil").Process()
        held = peak = process.memory_info().rss
        spent = 0.0
        for count, ids in enumerate(chunks[done : max(wanted)], start=done + 1):
            started = time.perf_counter()
            memory = read_chunk(network, memory, ids)
            spent += time.perf_counter() - started
            peak = max(peak, process.memory_info().rss)
            yield count, memory
            if count % COMMIT_CHUNKS and count < len(chunks):
                continue
            started = time.perf_counter()
            new = [NewChunk("", len(part), None, None) for part in chunks[done:count]]
            memory = writer.commit(memory, document, new)
            spent += time.perf_counter() - started
            tokens, disk = sum(map(len, chunks[done:count])), stored.summary().bytes
            journal.add(Cost(reader, tokens, round(spent, 3), disk, peak - held))
            done, spent = count, 0.0
    journal.clear_work()


@dataclass
class Runner:
    """Asks every arm the questions that are for it and have no answer in the journal yet."""

    bench: Bench
    journal: Journal
    arms: Sequence[Arm]
    questions: Sequence[Question]
    """All of the run."""

    def __post_init__(self) -> None:
        count: Counter[str] = Counter()
        self._places: dict[str, int] = {}  # among the questions of a kind
        for question in dict.fromkeys(self.questions):
            self._places.setdefault(question.id, count[question.kind])
            count[question.kind] += 1

    def due(self, question: Question, setting: str, arms: Sequence[Arm] | None = None) -> list[Arm]:
        """The arms that are to be asked a question, and have not been yet."""
        return [
            arm
            for arm in (self.arms if arms is None else arms)
            if arm.is_asked(question, setting)
            and (arm.limit is None or self._places[question.id] < arm.limit)
            and (question.id, arm.name, setting) not in self.journal.done
        ]

    def announce(self, stream: Stream) -> Iterator[Event]:
        """Say what is to be done; MplusError if the disk has no room for the memory."""
        from mplus_cli.evaluation.network import long_term_bytes

        tokens = disk = questions = 0
        for reader, arms in by_reader(self.arms).items():
            due = self._probes_due(stream, arms)
            questions += sum(
                len(self.due(probe.question, probe.setting, arms))
                for probe in chain.from_iterable(due.values())
            )
            if due and reader not in WITHOUT_MEMORY:
                own = sum(map(len, stream.chunks[: max(due)]))
                tokens += own
                disk = max(disk, round(long_term_bytes(self.bench.network(reader)) * own))
        free = shutil.disk_usage(self.journal.folder).free
        # An interrupted run continues what it left there.
        if disk - kept_bytes(self.journal.folder) > free:
            raise MplusError(
                f"reading takes {size(disk)} of disk space for a while, but only {size(free)} is free: "
                "free some, put --out on another disk, or give smaller --tokens"
            )
        if questions:
            room = f", and {size(disk)} of disk until it is done" if disk else ""
            line = f"to do: {tokens:,} tokens to read, {questions:,} questions{room}"
            yield Notice(line, is_warning=False)

    def run(self, stream: Stream) -> Iterator[Event]:
        """Ask what is due along a stream. A reader's memory is deleted when all is asked of it."""
        known = dict[bytes, Timed]()
        for reader, arms in by_reader(self.arms).items():
            due = self._probes_due(stream, arms)
            if not due:
                continue
            index = None
            if any(arm.context == "bm25" for arm in arms):
                index = Index(stream.texts)
                tokens = sum(map(len, stream.chunks))
                self.journal.add(Cost("bm25", tokens, index.seconds, index.bytes, 0))
            for count, memory in read(self.bench, reader, stream.chunks, due, self.journal):
                yield Progress(f"{stream.title}: {reader} reads", count, max(due))
                asked = due.get(count, [])
                for number, probe in enumerate(asked):
                    if memory is None:
                        yield Progress(f"{stream.title}: {reader} is asked", number, len(asked))
                    trial = Trial(self.bench, reader, stream, probe, memory, index, known)
                    for arm in self.due(probe.question, probe.setting, arms):
                        yield self.journal.add(score(arm.name, probe, trial.ask(arm)))

    def _probes_due(self, stream: Stream, arms: Sequence[Arm]) -> dict[int, list[Probe]]:
        """The probes for which an arm has no answer yet, by the chunks read before them."""
        due: dict[int, list[Probe]] = {}
        for probe in stream.probes:
            if self.due(probe.question, probe.setting, arms):
                due.setdefault(probe.chunks, []).append(probe)
        return due
