"""What a stream is asked in one step: questions and continuations, packed into one row of ids.

The examples of a row do not see each other; each follows the memory directly, at the positions it has at
inference. Works on ids and masks; needs no model.

Shapes: S streams, T row tokens, n prefix tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

IGNORED = -100
ROUND = 64
"""Rows are padded to a multiple of this: kernels are set up again for every new length."""


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt and its target."""

    prompt: tuple[int, ...]
    target: tuple[int, ...]
    kind: str
    """"answer" or "continuation": losses are averaged per kind."""


@dataclass(frozen=True, slots=True)
class Rows:
    """One row of examples per stream, padded to the longest."""

    ids: Tensor
    """(S, T)."""
    targets: Tensor
    """(S, T): the id to predict at each position, or IGNORED."""
    offsets: Tensor
    """(S, T): position within the example."""
    examples: Tensor
    """(S, T): number of the example, -1 for padding."""
    kinds: Tensor
    """(S, T): 1 where the target belongs to an answer, 2 to a continuation, else 0."""

    def to(self, device: torch.device) -> Rows:
        return Rows(*(getattr(self, name).to(device) for name in self.__slots__))

    def mask(self, seen: Tensor, dtype: torch.dtype, relevance: Tensor | None = None) -> Tensor:
        """Additive mask (S, 1, T, n + T).

        Args:
            seen: (S, n) which prefix tokens a stream has.
            relevance: (S, T, n) added to their attention logits.
        """
        length = self.ids.shape[1]
        same = self.examples[:, :, None] == self.examples[:, None, :]
        causal = torch.ones(length, length, dtype=torch.bool, device=self.ids.device).tril()
        prefix = seen[:, None, :].expand(-1, length, -1)
        allowed = torch.cat([prefix, same & causal], dim=2)
        zero = torch.zeros((), dtype=dtype, device=self.ids.device)
        if relevance is not None:
            zero = functional.pad(relevance, (0, length)).to(dtype)
        return torch.where(allowed, zero, torch.finfo(dtype).min)[:, None]


_KINDS = {"answer": 1, "continuation": 2}


def pack(streams: Sequence[Sequence[Example]], pad: int) -> Rows:
    """Rows of each stream's examples, one after the other."""
    columns: list[list[list[int]]] = []
    for examples in streams:
        ids: list[int] = []
        targets: list[int] = []
        offsets: list[int] = []
        numbers: list[int] = []
        kinds: list[int] = []
        for number, example in enumerate(examples):
            whole = [*example.prompt, *example.target]
            lead = len(example.prompt) - 1
            ids += whole[:-1]
            targets += [IGNORED] * lead + list(example.target)
            kinds += [0] * lead + [_KINDS[example.kind]] * len(example.target)
            offsets += range(len(whole) - 1)
            numbers += [number] * (len(whole) - 1)
        columns.append([ids, targets, offsets, numbers, kinds])
    longest = max(max(len(column[0]) for column in columns), 1)
    longest += -longest % ROUND
    fills = (pad, IGNORED, 0, -1, 0)
    tensors = [
        torch.tensor([column[part] + [fill] * (longest - len(column[part])) for column in columns])
        for part, fill in enumerate(fills)
    ]
    return Rows(*tensors)
