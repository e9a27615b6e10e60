"""Finds chunks and tokens in the segments of long-term memory.

Shapes: L layers, k tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from models.memory import Segment, Tokens


def chunk_spans(
    segments: Sequence[Segment], chunks: Sequence[int]
) -> dict[int, list[tuple[int, int, int]]]:
    """The runs of each chunk in long-term memory: (segment number, start, stop).

    Args:
        segments: the chunks of each are in order.
    """
    wanted = torch.tensor(chunks, dtype=torch.int64)
    spans: dict[int, list[tuple[int, int, int]]] = {}
    for number, segment in enumerate(segments):
        held = segment.tokens.chunks[0].contiguous()
        starts = torch.searchsorted(held, wanted)
        stops = torch.searchsorted(held, wanted, right=True)
        there = starts < stops
        runs = zip(*(rows[there].tolist() for rows in (wanted, starts, stops)), strict=True)
        for chunk, start, stop in runs:
            spans.setdefault(chunk, []).append((number, start, stop))
    return spans


def gather(segments: Sequence[Segment], index: Tensor, layers: slice = slice(None)) -> Tokens:
    """The tokens of some layers at `index` (1 or L, k), counted over all segments.

    Reads only the segments that are needed.
    """
    starts = torch.tensor([0, *(len(segment) for segment in segments)]).cumsum(0)
    owner = torch.searchsorted(starts, index, right=True) - 1
    out: Tokens | None = None
    for number in owner.unique().tolist():
        mine = owner == number
        local = torch.where(mine, index - starts[number], 0)
        found = segments[number].tokens.of_layers(layers).take(local).unpack()
        if out is None:
            out = found
            continue
        pick = mine[..., None, None]
        out = Tokens(
            torch.where(pick, found.keys, out.keys),
            torch.where(pick, found.values, out.values),
            out.retriever_keys,
            torch.where(mine, found.chunks, out.chunks),
        )
    assert out is not None, "gather needs at least one index"
    return out
