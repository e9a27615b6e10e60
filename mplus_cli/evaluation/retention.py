"""The run of a retention plan: every arm asked at every place, the reading shared by what can share it.

All arms of one reader are asked of one reading. Yields typed events; prints nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import groupby
from typing import TYPE_CHECKING

from mplus_cli.evaluation.arms import Arm, Reader, readers
from mplus_cli.evaluation.asking import Text, ask_base, ask_memory
from mplus_cli.evaluation.bench import Bench
from mplus_cli.evaluation.bm25 import Index
from mplus_cli.evaluation.journal import Journal
from mplus_cli.evaluation.plan import ALONE, Ask, Plan
from mplus_cli.evaluation.reader import Job, read
from mplus_cli.evaluation.values import (
    ANY,
    UNREAD,
    Cost,
    Event,
    Noted,
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
    for reader in readers(arms):
        own = [arm for arm in arms if arm.reader == reader]
        if reader == "base":
            yield from experiment.base(own)
        else:
            yield from experiment.alone(reader, own)
            yield from experiment.stream(reader, own)


@dataclass
class _Experiment:
    bench: Bench
    plan: Plan
    journal: Journal

    def stream(self, reader: Reader, arms: Sequence[Arm]) -> Iterator[Event]:
        """Read the stream, and ask what falls due on the way."""
        due = [ask for ask in self.plan.asks if self._open(arms, ask.question.id, ask.setting)]
        if not due:
            return
        job = Job(reader, self.plan.chunks, min(ask.chunks for ask in due))
        last = max(ask.chunks for ask in due)
        at = {chunks: list(asks) for chunks, asks in groupby(due, lambda ask: ask.chunks)}
        total = last * self.bench.chunk_tokens
        for count, memory in read(self.bench, job, self.journal.work, self.journal.add_cost):
            yield Working(f"{reader}: reading", count * self.bench.chunk_tokens, total)
            for ask in at.get(count, ()):
                yield from self._ask(reader, arms, ask, self._with_rest(reader, memory, ask))
            if count >= last and count == len(self.plan.chunks):
                continue  # so that the end is committed, and its cost kept
            if count >= last:
                break
        self.journal.clear_work()

    def alone(self, reader: Reader, arms: Sequence[Arm]) -> Iterator[Event]:
        """Ask about each target when its chunk is all that was read."""
        from models.update import read_chunk

        for number, target in enumerate(self.plan.alone):
            if self._open(arms, target.question.id, ALONE):
                yield Working(f"{reader}: one chunk alone", number, len(self.plan.alone))
                ids = self.plan.chunks[target.chunk]
                memory = read_chunk(self.bench.network(reader), self.bench.start(reader), ids)
                ask = Ask(target.question, ALONE, target.chunk, 0, 0)
                yield from self._ask(reader, arms, ask, memory)

    def base(self, arms: Sequence[Arm]) -> Iterator[Event]:
        """Ask the base: once where nothing that was read matters, else at every place."""
        lone = [Ask(target.question, ALONE, target.chunk, 0, 0) for target in self.plan.alone]
        places = [*lone, *self.plan.asks]
        never = [ask for ask in self.plan.asks if ask.setting == UNREAD]
        known = {ask.question.id: ask.question for ask in places if ask.setting != UNREAD}
        once = [Ask(question, ANY, 0, 0, None) for question in known.values()]
        for arm in arms:
            asks = places if arm.depends_on_reading else once
            if arm.context == "none":
                asks = [*once, *never]
            for number, ask in enumerate(asks):
                if self._open([arm], ask.question.id, ask.setting):
                    yield Working(f"base: {arm.name}", number, len(asks))
                    text = self._text(arm, ask) if arm.depends_on_reading else None
                    yield self._keep(arm, ask, ask_base(self.bench, arm, ask.question, text))
        if any(arm.context == "bm25" for arm in arms):
            self._spend_index()

    def _ask(
        self, reader: Reader, arms: Sequence[Arm], ask: Ask, memory: Memory
    ) -> Iterator[Record]:
        for arm in self._open(arms, ask.question.id, ask.setting):
            gold: frozenset[int] = frozenset() if ask.gold is None else frozenset({ask.gold})
            said = ask_memory(
                self.bench,
                self.bench.network(reader),
                memory,
                arm,
                ask.question,
                gold,
                partial(self._chunk_text, ask),
            )
            yield self._keep(arm, ask, said)

    def _with_rest(self, reader: Reader, memory: Memory, ask: Ask) -> Memory:
        """The memory with the first part of the next chunk read, on a branch of its own."""
        from models.update import read_chunk

        if not ask.rest:
            return memory
        ids = self.plan.chunks[ask.chunks][: ask.rest]
        return read_chunk(self.bench.network(reader), memory, ids)

    def _keep(self, arm: Arm, ask: Ask, said: Said) -> Record:
        """Score and keep an answer."""
        size = self.bench.chunk_tokens
        before, after = ask.chunks * size + ask.rest, None
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

    def _open(self, arms: Sequence[Arm], id: str, setting: str) -> list[Arm]:
        """The arms that have not been asked this yet."""
        return [arm for arm in arms if (id, arm.name, setting) not in self.journal.answered]

    def _text(self, arm: Arm, ask: Ask) -> Text:
        """What was read when a question is asked, as the base's arms see it."""
        size, chunk = self.bench.chunk_tokens, self._texts.__getitem__
        if ask.setting == ALONE:
            text = chunk(ask.chunks)
            index = Index() if arm.context == "bm25" else None
            return Text(self.plan.chunks[ask.chunks], index, 0, text, chunk)
        last = self.bench.decode(self.plan.chunks[ask.chunks][: ask.rest]) if ask.rest else ""
        end = ask.chunks * size + ask.rest
        ids = self._ids[max(end - self.bench.budget, 0) : end]
        return Text(ids, self._index if arm.context == "bm25" else None, ask.chunks, last, chunk)

    def _chunk_text(self, ask: Ask, number: int) -> str:
        """The text of a chunk in the memory that is asked."""
        if ask.setting == ALONE:
            return self._texts[ask.chunks]
        if number < ask.chunks:
            return self._texts[number]
        return self.bench.decode(self.plan.chunks[number][: ask.rest])

    def _spend_index(self) -> None:
        """Keep what indexing the whole stream takes, once."""
        if self.journal.has_cost("bm25"):
            return
        seconds = round(self._index.time_whole(), 3)
        size = self._index.bytes + sum(len(text.encode()) for text in self._texts)
        self.journal.add_cost(Cost("bm25", len(self._ids), seconds, size, 0))

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
