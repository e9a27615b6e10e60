"""Next-token loss over a long text, with memory and without, in nats a token.

Every chunk is predicted from its first token on, before it is read. `mplus`, `stm-only` and `identity`:
by the generate pass behind [BOS][recalled][short-term memory]; the last tokens before the chunk are
what memory is searched for. `window`: by the base behind [BOS] and as many tokens of text as memory
takes positions. `closed-book`: by the base behind [BOS] alone.

Yields typed events; prints nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, product
from typing import TYPE_CHECKING

from mplus_cli.evaluation.arms import Arm, Reader, by_reader
from mplus_cli.evaluation.bench import Bench
from mplus_cli.evaluation.journal import Journal
from mplus_cli.evaluation.reading import read
from mplus_cli.evaluation.values import Event, Loss, Progress

if TYPE_CHECKING:
    from torch import Tensor

    from models.memory import Memory

QUERY = 64
"""Tokens before a chunk that memory is searched for."""

Book = tuple[str, Sequence[Sequence[int]]]
"""A title, and the text in chunks of ids."""


def make_book(title: str, ids: Sequence[int], chunk_tokens: int, tokens: int | None) -> Book:
    """The first `tokens` ids of a text in chunks."""
    length = len(ids) if tokens is None else min(tokens, len(ids))
    starts = range(0, length - 1, chunk_tokens)  # a last token by itself is left out
    return title, [tuple(ids[at : min(at + chunk_tokens, length)]) for at in starts]


def run(
    bench: Bench, books: Sequence[Book], arms: Sequence[Arm], journal: Journal
) -> Iterator[Event]:
    """Measure what is not in the journal yet; a text's first chunk has nothing before it."""
    for title, chunks in books:
        for reader, own in by_reader(arms).items():
            due: dict[int, list[Arm]] = {}
            for number, arm in product(range(1, len(chunks)), own):
                if (title, arm.name, number) not in journal.done:
                    due.setdefault(number, []).append(arm)
            for number, memory in read(bench, reader, chunks, due, journal) if due else ():
                yield Progress(f"{title}: {reader}", number, len(chunks))
                for arm in due.get(number, ()):
                    nats = _losses(bench, reader, arm, chunks, number, memory)
                    yield journal.add(Loss(arm.name, title, number, len(nats), float(nats.mean())))
    journal.clear_work()  # also what a run left that was interrupted after its last chunk


def _losses(
    bench: Bench,
    reader: Reader,
    arm: Arm,
    chunks: Sequence[Sequence[int]],
    number: int,
    memory: Memory | None,
) -> Tensor:
    """Nats of the tokens of a chunk but its first."""
    from models.recall import look_up
    from mplus_cli.evaluation.network import memory_loss, recall_as, window_loss

    chunk = chunks[number]
    if memory is not None:
        network = bench.network(reader)
        found = look_up(network, memory, chunks[number - 1][-QUERY:])
        found = recall_as(network, memory, found, arm.recall)
        return memory_loss(network, memory, found.recall, chunk[:1], chunk[1:])
    positions = bench.base.stack.architecture.positions
    window = min(bench.budget, positions - 1 - len(chunk)) if arm.context == "window" else 0
    before = list(chain(*chunks[:number])) if window else []
    lead = [bench.base.bos_id, *before[-window:], chunk[0]]
    return window_loss(bench.base.stack, lead, chunk[1:])
