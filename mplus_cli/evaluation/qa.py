"""Questions about long documents: each document is read once by each reader, then asked about.

Yields typed events; prints nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from mplus_cli.documents import Chunk, Document, split_chunks
from mplus_cli.errors import MplusError
from mplus_cli.evaluation.arms import WITHOUT_MEMORY, Arm, Reader, readers
from mplus_cli.evaluation.asking import Inquiry
from mplus_cli.evaluation.bench import Bench
from mplus_cli.evaluation.bm25 import Index
from mplus_cli.evaluation.journal import Journal
from mplus_cli.evaluation.layouts import Reading
from mplus_cli.evaluation.reader import Job, read
from mplus_cli.evaluation.texts import Text, TextInquiry
from mplus_cli.evaluation.values import (
    Cost,
    Event,
    Noted,
    Question,
    Record,
    Said,
    Working,
    score,
)

SETTING = "document"


def run(
    bench: Bench, readings: Sequence[Reading], arms: Sequence[Arm], journal: Journal
) -> Iterator[Event]:
    """Ask what is not in the journal yet; a document that cannot be read is noted and left out.

    Raises:
        MplusError: none of the documents can be read.
    """
    unknown = sum(not _has_passage(asked) for reading in readings for asked in reading.questions)
    if unknown and any(arm.context == "gold" for arm in arms):
        yield Noted(f"{unknown} questions without a known passage or pages are not in arm gold")
    places = _places(readings)
    failed = 0
    for number, reading in enumerate(readings):
        subject = _Subject(bench, journal, reading, places)
        if not subject.open(arms):
            continue
        yield Working("documents", number, len(readings), reading.title)
        try:
            document = reading.load()
            chunks = split_chunks(document, bench.session.plain_tokenizer, bench.chunk_tokens)
            if not chunks:
                raise MplusError(f"{reading.title} has no text in it")
        except MplusError as error:
            failed += 1
            yield Noted(str(error))
            continue
        yield from subject.run(document, chunks, arms)
    journal.clear_work()  # also what a run left that was interrupted after its last question
    if failed and failed == len(readings):
        raise MplusError("none of the documents could be read: check the paths in --data")


def _places(readings: Sequence[Reading]) -> dict[str, int]:
    """Each question's place among those of its kind, from 0."""
    count: Counter[str] = Counter()
    places: dict[str, int] = {}
    for question in [question for reading in readings for question in reading.questions]:
        places[question.id] = count[question.kind]
        count[question.kind] += 1
    return places


def _has_passage(question: Question) -> bool:
    return bool(question.passage) or question.pages is not None


@dataclass
class _Subject:
    """One document and its questions."""

    bench: Bench
    journal: Journal
    reading: Reading
    places: Mapping[str, int]

    def open(self, arms: Sequence[Arm]) -> list[tuple[Question, list[Arm]]]:
        """The questions with the arms that are to be asked them and have not been."""
        due = [
            (question, [arm for arm in arms if self._is_open(arm, question)])
            for question in self.reading.questions
        ]
        return [(question, to_ask) for question, to_ask in due if to_ask]

    def run(
        self, document: Document, chunks: Sequence[Chunk], arms: Sequence[Arm]
    ) -> Iterator[Event]:
        asked = _Asked(self.bench, self.journal, self.reading.title, document, chunks)
        for reader in readers(arms):
            due = self.open([arm for arm in arms if arm.reader == reader])
            if due:
                ask = asked.texts if reader in WITHOUT_MEMORY else asked.memory
                yield from ask(reader, due)

    def _is_open(self, arm: Arm, question: Question) -> bool:
        return (
            (question.id, arm.name, SETTING) not in self.journal.answered
            and (arm.limit is None or self.places[question.id] < arm.limit)
            and (arm.context != "gold" or _has_passage(question))
        )


@dataclass
class _Asked:
    """A document that was opened."""

    bench: Bench
    journal: Journal
    title: str
    document: Document
    chunks: Sequence[Chunk]

    def memory(self, reader: Reader, due: Sequence[tuple[Question, list[Arm]]]) -> Iterator[Event]:
        total = len(self.chunks)
        job = Job(reader, [chunk.ids for chunk in self.chunks], total)
        network, work = self.bench.network(reader), self.journal.work
        for count, memory in read(self.bench, job, work, self.journal.add_cost):
            yield Working(f"{self.title}: {reader} reads", count, total)
            for question, arms in due if count == total else ():
                gold = self._gold(question)
                inquiry = Inquiry(
                    self.bench,
                    network,
                    memory,
                    question,
                    gold=gold or frozenset(),
                    chunk=lambda number: self.chunks[number].text,
                )
                for arm in arms:
                    yield self._keep(arm, question, inquiry.ask(arm), gold)
        self.journal.clear_work()

    def texts(self, reader: Reader, due: Sequence[tuple[Question, list[Arm]]]) -> Iterator[Event]:
        text = self._text(any(arm.context == "bm25" for _, arms in due for arm in arms))
        for number, (question, arms) in enumerate(due):
            yield Working(f"{self.title}: {reader}", number, len(due))
            asked = replace(question, passage=self._passage(question))
            inquiry = TextInquiry(self.bench, reader, asked, text)
            for arm in arms:
                yield self._keep(arm, question, inquiry.ask(arm), self._gold(question))

    def _text(self, searched: bool) -> Text:
        """The document as arms without a memory see it."""
        ids = [token for chunk in self.chunks for token in chunk.ids]
        index = self._index if searched else None
        return Text(
            ids[-self.bench.budget :],
            index,
            len(self.chunks),
            lambda number: self.chunks[number].text,
        )

    @cached_property
    def _index(self) -> Index:
        """The document, indexed; what that takes is kept."""
        index, texts = Index(), [chunk.text for chunk in self.chunks]
        index.add(texts)
        seconds = round(index.time_whole(), 3)
        size = index.bytes + sum(len(text.encode()) for text in texts)
        tokens = sum(len(chunk.ids) for chunk in self.chunks)
        self.journal.add_cost(Cost("bm25", tokens, seconds, size, 0))
        return index

    def _keep(
        self, arm: Arm, question: Question, said: Said, gold: frozenset[int] | None
    ) -> Record:
        tokens = sum(len(chunk.ids) for chunk in self.chunks)
        record = score(
            question, said, arm=arm.name, setting=SETTING, gold=gold, before=tokens, after=None
        )
        return self.journal.add(record)

    def _gold(self, question: Question) -> frozenset[int] | None:
        """The chunks on the pages, or with the passage, that answer a question; None: not known."""
        if question.pages is not None:
            first, last = question.pages
            on = [c.index for c in self.chunks if c.pages and c.pages[0] <= last]
            return frozenset(n for n in on if (self.chunks[n].pages or (0, 0))[1] >= first)
        if question.passage:
            return frozenset(c.index for c in self.chunks if question.passage in c.text) or None
        return None

    def _passage(self, question: Question) -> str | None:
        """What answers a question: its passage, or the text of its pages."""
        if question.passage or question.pages is None:
            return question.passage
        first, last = question.pages
        pages = [p.text for p in self.document.pages if first <= (p.number or 0) <= last]
        return "".join(pages) or None
