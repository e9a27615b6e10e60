"""Reading a stretch once for every question that is to be asked of it, at whatever place.

A memory is a value, so asking never disturbs reading, and a memory that continues to be read is, bit for
bit, the one that a reading up to the same place alone would leave. It is kept in the library's
format while it is read: long-term memory is mapped from its files, and an interrupted reading continues
from its last commit. Yields typed events; prints nothing.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mplus_cli.errors import MplusError
from mplus_cli.evaluation.arms import WITHOUT_MEMORY, Arm, Reader, by_reader
from mplus_cli.evaluation.asking import Inquiry, Known
from mplus_cli.evaluation.bench import Bench
from mplus_cli.evaluation.bm25 import Index
from mplus_cli.evaluation.journal import Journal, kept_bytes
from mplus_cli.evaluation.values import Ask, Cost, Event, Noted, Question, Stretch, Working, score
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
    first_needed: int,
    folder: Path,
    spend: Callable[[Cost], object],
) -> Iterator[tuple[int, Memory]]:
    """Read chunks of ids, and yield the memory after every one, and the one that reading begins with.

    What is asked of a memory must be on the disk before the next is asked for: the reading is
    committed then, and not done again.

    Args:
        first_needed: the least number of chunks after which something is to be asked: a memory that
            was committed there or before can be continued.
        folder: where the memory is kept; one that was read in part there is continued.
        spend: told what each stretch up to a commit took.

    Raises:
        MplusError: the disk is full, or another process reads there.
    """
    from models.update import read_chunk

    network, library, identity = bench.network(reader), Library(folder), bench.identity(reader)
    what = json.dumps([identity.fingerprint, *(list(ids) for ids in chunks)])
    digest = hashlib.sha256(what.encode()).hexdigest()
    name = f"{reader}-{digest[:16]}"
    stored = library.open_or_create(name, identity)
    if stored.view().chunks > first_needed:
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
        for count, ids in enumerate(chunks[done:], start=done + 1):
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
            spend(Cost(reader, tokens, round(spent, 3), disk, peak - held))
            done, spent = count, 0.0


@dataclass
class Runner:
    """Asks every arm every question that is for it and has no answer in the journal yet."""

    bench: Bench
    journal: Journal
    arms: Sequence[Arm]
    places: dict[str, int]
    """Each question's place among those of its kind, from 0."""
    _known: Known = field(default_factory=dict)

    def due(self, question: Question, setting: str, arms: Sequence[Arm] | None = None) -> list[Arm]:
        """The arms that are to be asked a question, and have not been yet."""
        return [
            arm
            for arm in (self.arms if arms is None else arms)
            if arm.is_asked(question, setting)
            and (arm.limit is None or self.places[question.id] < arm.limit)
            and (question.id, arm.name, setting) not in self.journal.done
        ]

    def announce(self, stretches: Iterable[Stretch]) -> Iterator[Event]:
        """Say what is to be done; MplusError if the disk has no room for the memory."""
        from mplus_cli.evaluation.network import long_term_bytes

        read_tokens = disk = questions = 0
        for stretch in stretches:
            for reader, arms in by_reader(self.arms):
                due = [(ask, self.due(ask.question, ask.setting, arms)) for ask in stretch.asks]
                questions += sum(len(asked) for _, asked in due)
                last = max((ask.chunks for ask, asked in due if asked), default=0)
                if last and reader not in WITHOUT_MEMORY:
                    tokens = sum(map(len, stretch.chunks[:last]))
                    read_tokens += tokens
                    held = long_term_bytes(self.bench.network(reader)) * tokens
                    disk = max(disk, round(held))
        # What an interrupted run left there is continued.
        needed = disk - kept_bytes(self.journal.folder)
        free = shutil.disk_usage(self.journal.folder).free
        if needed > free:
            raise MplusError(
                f"reading takes {size(needed)} of disk for a while, and {size(free)} are free: "
                "free some, put --out on another disk, or give smaller --tokens"
            )
        if questions:
            room = f", and {size(disk)} of disk until it is done" if disk else ""
            line = f"to do: {read_tokens:,} tokens to read, {questions:,} questions{room}"
            yield Noted(line, is_warning=False)

    def run(self, stretch: Stretch) -> Iterator[Event]:
        """Ask about a stretch. A reader's memory is deleted when all is asked of it."""
        for reader, arms in by_reader(self.arms):
            due = [ask for ask in stretch.asks if self.due(ask.question, ask.setting, arms)]
            if due and reader in WITHOUT_MEMORY:
                yield from self._with_text(reader, arms, due, stretch)
            elif due:
                yield from self._from_memory(reader, arms, due, stretch)

    def _from_memory(
        self, reader: Reader, arms: Sequence[Arm], due: Sequence[Ask], stretch: Stretch
    ) -> Iterator[Event]:
        first, last = min(ask.chunks for ask in due), max(ask.chunks for ask in due)
        add, work = self.journal.add, self.journal.work
        for count, memory in read(self.bench, reader, stretch.chunks, first, work, add):
            yield Working(f"{stretch.title}: {reader} reads", count, last)
            for ask in due:
                if ask.chunks == count:
                    inquiry = Inquiry(self.bench, reader, stretch, ask, memory=memory)
                    yield from self._answers(arms, ask, inquiry)
            if count >= last and count < len(stretch.chunks):
                break  # at the very end it is committed, and its cost kept
        self.journal.clear_work()

    def _with_text(
        self, reader: Reader, arms: Sequence[Arm], due: Sequence[Ask], stretch: Stretch
    ) -> Iterator[Event]:
        index = None
        if any(arm.context == "bm25" for arm in arms):
            index = Index(stretch.texts)
            tokens = sum(map(len, stretch.chunks))
            self.journal.add(Cost("bm25", tokens, index.seconds, index.bytes, 0))
        for number, ask in enumerate(due):
            yield Working(f"{stretch.title}: {reader} is asked", number, len(due))
            inquiry = Inquiry(self.bench, reader, stretch, ask, index=index, known=self._known)
            yield from self._answers(arms, ask, inquiry)

    def _answers(self, arms: Sequence[Arm], ask: Ask, inquiry: Inquiry) -> Iterator[Event]:
        for arm in self.due(ask.question, ask.setting, arms):
            yield self.journal.add(score(arm.name, ask, inquiry.ask(arm)))


def places_of(questions: Iterable[Question]) -> dict[str, int]:
    """Each question's place among those of its kind, from 0."""
    count: Counter[str] = Counter()
    places: dict[str, int] = {}
    for question in questions:
        if question.id not in places:
            places[question.id] = count[question.kind]
            count[question.kind] += 1
    return places
