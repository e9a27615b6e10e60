"""The run of a retention plan: every arm asked at every place, the reading shared by what can share it.

All arms of one reader are asked of one reading. Yields typed events; prints nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import groupby
from typing import TYPE_CHECKING

from mplus_cli.evaluation import estimate
from mplus_cli.evaluation.arms import WITHOUT_MEMORY, Arm, Reader, readers
from mplus_cli.evaluation.asking import Inquiry
from mplus_cli.evaluation.bench import Bench
from mplus_cli.evaluation.bm25 import Index
from mplus_cli.evaluation.journal import Journal
from mplus_cli.evaluation.plan import ALONE, Ask, Plan
from mplus_cli.evaluation.reader import Job, read
from mplus_cli.evaluation.texts import Known, Text, TextInquiry
from mplus_cli.evaluation.values import (
    ANY,
    UNREAD,
    Cost,
    Event,
    Noted,
    Planned,
    Question,
    Record,
    Said,
    Working,
    score,
)

if TYPE_CHECKING:
    from models.memory import Memory


def run(bench: Bench, plan: Plan, arms: Sequence[Arm], journal: Journal) -> Iterator[Event]:
    """Ask what is not in the journal yet. A reader's memory is deleted when all is asked of it."""
    if plan.missing:
        yield Noted(f"{plan.missing} passages fewer than asked for: the others do not fit a chunk")
    experiment = _Experiment(bench, plan, journal)
    work = experiment.work(arms)
    if work.questions:
        estimate.check_room(work, journal.folder)
        yield Working("timing this machine", 0, 0)
        units = estimate.measure(bench, list(plan.chunks[0]))
        yield Planned(estimate.describe(work, units))
    for reader in readers(arms):
        own = [arm for arm in arms if arm.reader == reader]
        if reader in WITHOUT_MEMORY:
            yield from experiment.texts(reader, own)
        else:
            yield from experiment.alone(reader, own)
            yield from experiment.stream(reader, own)
    journal.clear_work()  # also what a run left that was interrupted after its last question


@dataclass
class _Experiment:
    bench: Bench
    plan: Plan
    journal: Journal

    def work(self, arms: Sequence[Arm]) -> estimate.Work:
        """What is still to be done, if nothing of it was begun."""
        total = estimate.Work()
        for reader in readers(arms):
            own = [arm for arm in arms if arm.reader == reader]
            lone, due = self._lone(own), self._due(reader, own)
            asks = [*lone, *due]
            asked = [(arm, ask.question) for ask in asks for arm in self._open(own, ask)]
            total += estimate.asking(self.bench, asked)
            if reader not in WITHOUT_MEMORY:
                last = max((ask.chunks for ask in due), default=0)
                total += estimate.reading(self.bench, reader, stream=last, alone=len(lone))
        return total

    def stream(self, reader: Reader, arms: Sequence[Arm]) -> Iterator[Event]:
        """Read the stream, and ask what falls due on the way."""
        due = self._due(reader, arms)
        if not due:
            return
        job = Job(reader, self.plan.chunks, min(ask.chunks for ask in due))
        last = max(ask.chunks for ask in due)
        at = {chunks: list(asks) for chunks, asks in groupby(due, lambda ask: ask.chunks)}
        total = last * self.bench.chunk_tokens
        for count, memory in read(self.bench, job, self.journal.work, self.journal.add_cost):
            yield Working(f"{reader}: reading", count * self.bench.chunk_tokens, total)
            for ask in at.get(count, ()):
                yield from self._ask(reader, arms, ask, memory)
            if count >= last and count == len(self.plan.chunks):
                continue  # so that the end is committed, and its cost kept
            if count >= last:
                break
        self.journal.clear_work()

    def alone(self, reader: Reader, arms: Sequence[Arm]) -> Iterator[Event]:
        """Ask about each target when its chunk is all that was read."""
        from models.update import read_chunk

        lone = self._lone(arms)
        for number, ask in enumerate(lone):
            yield Working(f"{reader}: one chunk alone", number, len(lone))
            ids = self.plan.chunks[ask.chunks]
            memory = read_chunk(self.bench.network(reader), self.bench.start(reader), ids)
            yield from self._ask(reader, arms, ask, memory)

    def texts(self, reader: Reader, arms: Sequence[Arm]) -> Iterator[Event]:
        """Ask with a text: once where nothing that was read matters, else at every place."""
        asks = [*self._lone(arms), *self._due(reader, arms)]
        searches = any(arm.context == "bm25" for arm in arms)
        known: Known = {}
        for number, ask in enumerate(asks):
            due = self._open(arms, ask)
            yield Working(f"{reader}: asking", number, len(asks))
            reads = any(arm.depends_on_reading for arm in due)
            text = self._text(ask, searches) if reads else None
            inquiry = TextInquiry(self.bench, reader, ask.question, text, known)
            for arm in due:
                yield self._keep(arm, ask, inquiry.ask(arm))
        if searches:
            self._spend_index()

    def _ask(
        self, reader: Reader, arms: Sequence[Arm], ask: Ask, memory: Memory
    ) -> Iterator[Record]:
        inquiry = Inquiry(
            self.bench,
            self.bench.network(reader),
            memory,
            ask.question,
            gold=frozenset() if ask.gold is None else frozenset({ask.gold}),
            chunk=partial(self._chunk_text, ask),
        )
        for arm in self._open(arms, ask):
            yield self._keep(arm, ask, inquiry.ask(arm))

    def _lone(self, arms: Sequence[Arm]) -> list[Ask]:
        """What is to be asked when the target's chunk is all that was read."""
        asks = [Ask(target.question, ALONE, target.chunk, 0) for target in self.plan.alone]
        return [ask for ask in asks if self._open(arms, ask)]

    def _due(self, reader: Reader, arms: Sequence[Arm]) -> list[Ask]:
        """What is to be asked along the stream; without a memory, also what no reading changes."""
        asks = list(self.plan.asks)
        if reader in WITHOUT_MEMORY:
            asks = [Ask(question, ANY, 0, None) for question in self._targets] + asks
        return [ask for ask in asks if self._open(arms, ask)]

    def _keep(self, arm: Arm, ask: Ask, said: Said) -> Record:
        """Score and keep an answer."""
        size = self.bench.chunk_tokens
        before, after = ask.chunks * size, None
        gold = None if ask.gold is None else frozenset({ask.gold})
        if ask.setting == ALONE:
            before, after = 0, 0
        elif ask.gold is not None:
            before, after = ask.gold * size, before - (ask.gold + 1) * size
        record = score(
            ask.question,
            said,
            arm=arm.name,
            setting=ask.setting,
            gold=gold,
            before=before,
            after=after,
        )
        return self.journal.add(record)

    def _open(self, arms: Sequence[Arm], ask: Ask) -> list[Arm]:
        """The arms that are to be asked this, and have not been yet."""
        return [
            arm
            for arm in arms
            if _concerns(arm, ask.setting)
            and (arm.limit is None or self._places[ask.question.id] < arm.limit)
            and (ask.question.id, arm.name, ask.setting) not in self.journal.answered
        ]

    def _text(self, ask: Ask, searches: bool) -> Text:
        """What was read when a question is asked, as arms without a memory see it."""
        if ask.setting == ALONE:
            text = self._texts[ask.chunks]
            index = Index() if searches else None
            if index is not None:
                index.add([text])
            return Text(self.plan.chunks[ask.chunks], index, 1, lambda _: text)
        end = ask.chunks * self.bench.chunk_tokens
        ids = self._ids[max(end - self.bench.budget, 0) : end]
        index = self._index if searches else None
        return Text(ids, index, ask.chunks, self._texts.__getitem__)

    def _chunk_text(self, ask: Ask, number: int) -> str:
        """The text of a chunk in the memory that is asked."""
        return self._texts[ask.chunks if ask.setting == ALONE else number]

    def _spend_index(self) -> None:
        """Keep what indexing the whole stream takes, once."""
        if self.journal.has_cost("bm25"):
            return
        seconds = round(self._index.time_whole(), 3)
        size = self._index.bytes + sum(len(text.encode()) for text in self._texts)
        self.journal.add_cost(Cost("bm25", len(self._ids), seconds, size, 0))

    @cached_property
    def _targets(self) -> list[Question]:
        """The questions of what is in the stream, each once."""
        asked = [target.question for target in self.plan.alone]
        asked += [ask.question for ask in self.plan.asks if ask.setting != UNREAD]
        return list({question.id: question for question in asked}.values())

    @cached_property
    def _places(self) -> dict[str, int]:
        """Each question's place among those of its kind, from 0."""
        never = [ask.question for ask in self.plan.asks if ask.setting == UNREAD]
        count: dict[str, int] = {}
        places: dict[str, int] = {}
        for question in (*self._targets, *never):
            places[question.id] = count.get(question.kind, 0)
            count[question.kind] = places[question.id] + 1
        return places

    @cached_property
    def _ids(self) -> list[int]:
        return [token for ids in self.plan.chunks for token in ids]

    @cached_property
    def _texts(self) -> list[str]:
        return [self.bench.decode(ids) for ids in self.plan.chunks]

    @cached_property
    def _index(self) -> Index:
        index = Index()
        index.add(self._texts)
        return index


def _concerns(arm: Arm, setting: str) -> bool:
    """Whether an arm is asked at a setting: where no reading changes its answers, once."""
    if arm.depends_on_reading:
        return setting != ANY
    return setting == ANY or (setting == UNREAD and arm.context == "none")
