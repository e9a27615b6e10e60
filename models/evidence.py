"""Where in a chunk a question matches: the similarities behind the scores of `models.scan`, and the chunks in
which they stand together.

Works on memory and retrievers, independent of the text.

Shapes: q question tokens, P retriever width, R retriever layers, c memory tokens of a chunk.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from models.gathering import chunk_spans
from models.memory import Memory, TokenRows
from models.network import MPlusModel
from models.relevance import window_scores
from models.scan import ChunkScore

RERANKED = 16
"""Chunks that are ranked again by their best windows."""


@torch.no_grad()
def similarities(
    model: MPlusModel, memory: Memory, queries: Sequence[Tensor], chunks: Sequence[int]
) -> list[Tensor]:
    """The similarity of every question token, in every retriever layer, to every memory token of each
    chunk: (R x q, c), in the order of the text. c is 0 for a chunk that is no longer in memory.

    Args:
        queries: (q, P) per retriever layer (`models.scan.question_queries`).
    """
    spans = chunk_spans(memory.segments, chunks)
    stm = memory.stm.tokens
    found: list[Tensor] = []
    for chunk in chunks:
        parts: list[tuple[TokenRows, int, int]] = [
            (memory.segments[number].tokens, start, stop)
            for number, start, stop in spans.get(chunk, ())
        ]
        held = (stm.chunks[0] == chunk).nonzero().flatten().tolist()
        if held:
            parts.append((stm, held[0], held[-1] + 1))
        layers = []
        for row, query in enumerate(queries):
            keys = [part.lookup(row, start, stop).to(query.device) for part, start, stop in parts]
            if keys:
                layers.append(model.retriever.token_scores(row, query, torch.cat(keys).float()))
        found.append(torch.cat(layers) if layers else torch.zeros(0, 0))
    if not model.generate.keep:  # a single question leaves nothing in memory that can be read again
        memory.give_back()
    return found


def whole_score(near: Tensor) -> float:
    """The sum over question tokens, in all layers, of their best similarity to a chunk (R x q, c); 0 if the
    chunk is no longer in memory."""
    return float(near.amax(dim=1).sum()) if near.numel() else 0.0


@torch.no_grad()
def rank_by_windows(
    model: MPlusModel, memory: Memory, queries: Sequence[Tensor], ranked: list[ChunkScore]
) -> list[ChunkScore]:
    """The best chunks in the order of their scores less what `Reading.together_weight` takes, and behind them
    the others, which lose as much as the one of these that loses most. A chunk that is no longer in memory
    loses nothing.

    Args:
        queries: (q, P) per retriever layer.
        ranked: best first.
    """
    weight, window = model.config.reading.together_weight, model.config.window_memory_tokens
    if not weight or not ranked:
        return ranked
    best, others = ranked[:RERANKED], ranked[RERANKED:]
    lost = []
    for near in similarities(model, memory, queries, [entry.chunk for entry in best]):
        within = float(window_scores(near, window).max()) if near.numel() else 0.0
        lost.append(weight * (whole_score(near) - within))
    again = [
        ChunkScore(entry.chunk, entry.score - less) for entry, less in zip(best, lost, strict=True)
    ]
    again.sort(key=lambda entry: (-entry.score, entry.chunk))
    return again + [ChunkScore(entry.chunk, entry.score - max(lost)) for entry in others]
