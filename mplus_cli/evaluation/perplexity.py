"""Next-token loss over a long text, with memory and without, in nats a token.

Every chunk is predicted from its first token on, before it is read. `mplus`, `stm-only` and `identity`:
by the generate pass behind [BOS][recalled][short-term memory]; the last tokens before the chunk are
what memory is searched for. `window`: by the base behind [BOS] and as many tokens of text as memory
takes positions. `closed-book`: by the base behind [BOS] alone.

Yields typed events; prints nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mplus_cli.evaluation.arms import WITHOUT_MEMORY, Arm, Reader, readers
from mplus_cli.evaluation.bench import Bench
from mplus_cli.evaluation.journal import Journal
from mplus_cli.evaluation.reader import Job, read
from mplus_cli.evaluation.values import Event, Loss, Working

if TYPE_CHECKING:
    from models.memory import Memory

QUERY = 64
"""Tokens before a chunk that memory is searched for."""


@dataclass(frozen=True, slots=True)
class Book:
    """A long text, cut into chunks of ids."""

    title: str
    chunks: tuple[tuple[int, ...], ...]


def make_book(title: str, ids: Sequence[int], chunk_tokens: int, tokens: int | None) -> Book:
    """The first `tokens` ids of a text in full chunks."""
    length = len(ids) if tokens is None else min(tokens, len(ids))
    starts = range(0, length - 1, chunk_tokens)  # a last token by itself is left out
    return Book(title, tuple(tuple(ids[at : min(at + chunk_tokens, length)]) for at in starts))


def run(
    bench: Bench, books: Sequence[Book], arms: Sequence[Arm], journal: Journal
) -> Iterator[Event]:
    """Measure what is not in the journal yet; a text's first chunk has nothing before it."""
    for book in books:
        for reader in readers(arms):
            own = [arm for arm in arms if arm.reader == reader]
            if reader in WITHOUT_MEMORY:
                yield from _windows(bench, book, own, journal)
            else:
                yield from _memories(bench, book, reader, own, journal)
    journal.clear_work()  # also what a run left that was interrupted after its last chunk


def _memories(
    bench: Bench, book: Book, reader: Reader, arms: Sequence[Arm], journal: Journal
) -> Iterator[Event]:
    todo = [n for n in range(1, len(book.chunks)) if _open(book, n, arms, journal)]
    if not todo:
        return
    job = Job(reader, book.chunks, todo[0])
    for count, memory in read(bench, job, journal.work, journal.add_cost):
        yield Working(f"{book.title}: {reader}", count, len(book.chunks))
        for arm in _open(book, count, arms, journal) if 0 < count < len(book.chunks) else ():
            yield journal.add_loss(_memory_loss(bench, book, count, reader, arm, memory))
    journal.clear_work()


def _memory_loss(
    bench: Bench, book: Book, number: int, reader: Reader, arm: Arm, memory: Memory
) -> Loss:
    from models.evaluation import memory_loss, recall_as

    network = bench.network(reader)
    query, chunk = book.chunks[number - 1][-QUERY:], book.chunks[number]
    _, recall = recall_as(network, memory, query, arm.how)
    nats = memory_loss(network, memory, recall, chunk[:1], chunk[1:])
    return Loss(arm.name, book.title, number, len(nats), float(nats.mean()))


def _windows(bench: Bench, book: Book, arms: Sequence[Arm], journal: Journal) -> Iterator[Event]:
    from models.evaluation import window_loss

    ids = [token for chunk in book.chunks for token in chunk]
    positions = bench.base.llama.config.max_position_embeddings
    for number in range(1, len(book.chunks)):
        start = sum(len(chunk) for chunk in book.chunks[:number])
        for arm in _open(book, number, arms, journal):
            chunk = book.chunks[number]
            window = min(bench.budget, positions - 1 - len(chunk)) if arm.context == "window" else 0
            before = [bench.base.bos_id, *ids[max(start - window, 0) : start], chunk[0]]
            nats = window_loss(bench.base.llama, before, chunk[1:])
            mean = float(nats.mean())
            yield journal.add_loss(Loss(arm.name, book.title, number, len(nats), mean))
        yield Working(f"{book.title}: base", number, len(book.chunks))


def _open(book: Book, number: int, arms: Sequence[Arm], journal: Journal) -> list[Arm]:
    """The arms a chunk was not measured for yet."""
    return [arm for arm in arms if (arm.name, book.title, number) not in journal.measured]
