"""The text around targets and after them: passages and running text in full chunks of ids.

Deterministic for a seed. Knows text and ids, no model.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mplus_cli.errors import UsageError

if TYPE_CHECKING:
    from models.training.data import Encoder


class Filler:
    """Chunks of other text: passages, and running text of books."""

    def __init__(
        self,
        encode: Encoder,
        passages: Sequence[str],
        books: Sequence[str],
        *,
        size: int,
        seed: int,
    ) -> None:
        """Draw chunks of `size` ids; UsageError if there is no text."""
        from models.training.data import ChunkMaker, Corpus, Passage

        if not passages and not any(book.strip() for book in books):
            raise UsageError("there is no text to read besides the targets: give --books FILE")
        self.size = size
        corpus = Corpus([Passage(text, ()) for text in passages], books)
        self._maker = ChunkMaker(encode, corpus, size, facts=0, seed=seed)

    def chunk(self) -> tuple[int, ...]:
        """The next chunk, full."""
        ids: list[int] = []
        while len(ids) < self.size:
            ids += self._maker.chunk().ids
        return tuple(ids[: self.size])


def embed(filler: Filler, pieces: Sequence[Sequence[int]], draw: random.Random) -> tuple[int, ...]:
    """A full chunk of other text with ids at random places in it."""
    other = filler.chunk()[: max(filler.size - sum(map(len, pieces)), 0)]
    ids: list[int] = []
    start = 0
    for cut, piece in zip(
        sorted(draw.randint(0, len(other)) for _ in pieces),
        draw.sample(pieces, len(pieces)),
        strict=True,
    ):
        ids += [*other[start:cut], *piece]
        start = cut
    return (*ids, *other[start:])[: filler.size]
