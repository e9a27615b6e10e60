"""Forgetting as in the reference implementation of M+: a token's recall frequency falls until it has run out.

In the reference's inference nothing ever raises a recall frequency, so what is held follows from the
frequencies that a checkpoint ships with and from how many chunks were read: no state is kept for it.

Shapes: L layers, m tokens of long-term memory that were ever there, c columns (tokens that fade together).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

EXPIRED = 0.01
"""A frequency that is not above this has run out; the reference's, for the sake of rounding."""


class UnfitMemory(ValueError):
    """A memory that does not hold what the checkpoint's forgetting leaves; one line."""


@dataclass(frozen=True, slots=True)
class Forgetting:
    """When the tokens of long-term memory expire (`update_ltm` of the reference's `modeling_mplus.py`).

    Dropped tokens wait until `every` chunks were read, and then join long-term memory with the frequency
    `initial`. At each such moment all frequencies fall by `decay`, and what has expired is forgotten, but
    only in layers that are left with more than `least` tokens; in the others nothing changes.
    """

    frequencies: Tensor
    """(L, s) float64, of the s tokens that the checkpoint ships with."""
    initial: float
    decay: float
    every: int
    """In chunks."""
    least: int
    new_tokens: int
    """K: what each chunk drops out of short-term memory, which is full from the start."""

    def held(self, chunks: int) -> Tensor:
        """Which tokens each layer holds after so many chunks (L, s + chunks * K), oldest first.

        Those that wait are held too: they can be recalled.
        """
        layers, shipped = self.frequencies.shape
        joined, waiting = divmod(chunks, self.every)
        width = torch.ones(shipped + joined, dtype=torch.int64)  # tokens of a column
        width[shipped:] = self.every * self.new_tokens
        held = torch.ones((layers, len(width)), dtype=torch.bool)
        live, left = torch.arange(shipped), self.frequencies  # what some layer holds (c,), (L, c)
        for column in range(shipped, len(width)):
            live = torch.cat([live, torch.tensor([column])])
            left = torch.cat([left, left.new_full((layers, 1), self.initial)], dim=1)
            before, faded = held[:, live], left - self.decay
            after = before & (faded > EXPIRED)
            enough = ((after * width[live]).sum(dim=1) > self.least)[:, None]
            left = torch.where(enough, faded, faded + self.decay)
            held[:, live] = torch.where(enough, after, before)
            some = held[:, live].any(dim=0)
            live, left = live[some], left[:, some]
        fresh = held.new_ones((layers, waiting * self.new_tokens))
        return torch.cat([held.repeat_interleave(width, dim=1), fresh], dim=1)

    def newest(self, chunks: int) -> int:
        """How many of the newest tokens there must be, so that every layer has all that it holds."""
        return _newest(self.held(chunks))

    def places(self, chunks: int, tokens: int) -> list[Tensor]:
        """Where, among the newest `tokens` of long-term memory, those are that each layer holds.

        Raises:
            UnfitMemory: a layer holds tokens that are not among these, or there never were so many.
        """
        held = self.held(chunks)
        least = _newest(held)
        if not least <= tokens <= held.shape[1]:
            raise UnfitMemory(
                f"the memory holds {tokens} tokens of long-term memory; after {chunks} chunks this "
                f"checkpoint leaves {least} to {held.shape[1]}: it is damaged, or was read with other "
                "settings: read its documents again"
            )
        return [row.nonzero()[:, 0] for row in held[:, held.shape[1] - tokens :]]


def _newest(held: Tensor) -> int:
    some = held.any(dim=0).nonzero()
    return held.shape[1] - int(some[0]) if len(some) else 0
