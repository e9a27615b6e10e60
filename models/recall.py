"""Recall: which long-term memory a question brings back, and where an answer may have come from.

`chunks`: the question is read once on its own, every chunk is scored over all retriever layers, and
the best chunks come back whole, for all layers alike. `tokens` (the paper): each layer scores its
own memory tokens with the prompt's states at that layer, in the middle of the prefill.

Shapes: q question tokens, m memory tokens, C chunks, k recalled tokens, D hidden size,
H key/value heads, d head size, P retriever width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from models.evidence import rank_by_windows
from models.gathering import chunk_spans, gather
from models.memory import Memory, Tokens, concatenate
from models.network import MPlusModel
from models.relevance import LEAST_RELEVANCE, near_weight, nearness, relevance
from models.reranker import Attended
from models.reranking import rank_by_reading
from models.scan import ChunkScore, question_queries, rank


class Recall(Protocol):
    """What is recalled from long-term memory for one question, layer by layer."""

    def __len__(self) -> int:
        """k, the tokens recalled in each layer."""

    def layer(self, index: int, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (k, H, d) for the index-th layer with memory, whose prompt states
        (1, q, D) are given."""

    def short_term(self, stm: Tokens) -> Tokens:
        """What is read of short-term memory."""

    def recalled_chunks(self) -> frozenset[int]:
        """The chunks whose tokens were recalled; known after the prefill if layers choose."""

    def bias(self, stm_chunks: Tensor) -> Tensor | None:
        """What is added to the attention logits of the recalled tokens and of short-term memory's,
        whose chunks (N,) are given: (k + N,); None for nothing."""


class ChunkRecall:
    """A `Recall` of whole chunks, the same for all layers. Ours: the paper recalls single tokens.

    Args:
        tokens: the chunks' memory tokens (k), oldest first, on the device of the model.
        ranked: the scores that, times `weight`, weigh the prefix.
        near: what else is added to the attention logits of the tokens and of short-term memory's
            (k + N,), see `near_question`.
        only: the chunks that are read; None: those recalled, and short-term memory.
    """

    def __init__(
        self,
        tokens: Tokens,
        ranked: Sequence[ChunkScore] = (),
        weight: float = 0.0,
        near: Tensor | None = None,
        only: Sequence[int] | None = None,
    ) -> None:
        self._only = None if only is None else torch.tensor(only, dtype=torch.int64)
        self._tokens = tokens
        self._ranked = ranked
        self._weight = weight
        self._near = near

    def __len__(self) -> int:
        return len(self._tokens)

    def layer(self, index: int, hidden: Tensor) -> tuple[Tensor, Tensor]:
        return self._tokens.keys[index], self._tokens.values[index]

    def short_term(self, stm: Tokens) -> Tokens:
        if self._only is None:
            return stm
        return stm.take(
            torch.isin(stm.chunks, self._only.to(stm.chunks.device)).nonzero()[None, :, 1]
        )

    def recalled_chunks(self) -> frozenset[int]:
        return frozenset(self._tokens.chunks.unique().tolist())

    def bias(self, stm_chunks: Tensor) -> Tensor | None:
        if not self._ranked:
            return None
        if not self._weight and self._near is None and not self._left_out(stm_chunks).any():
            return None
        scores = {entry.chunk: entry.score for entry in self._ranked}
        chunks = torch.cat([self._tokens.chunks[0], stm_chunks])
        bias = relevance(scores, chunks, self._weight)
        if self._near is not None:
            bias = (bias + self._near).clamp(min=LEAST_RELEVANCE)
        return bias.masked_fill(self._left_out(chunks), -torch.inf)

    def _left_out(self, chunks: Tensor) -> Tensor:
        """Which tokens, of chunks (n,), belong to a chunk that is left out."""
        ranked = torch.tensor([entry.chunk for entry in self._ranked], device=chunks.device)
        return (chunks >= 0) & ~torch.isin(chunks, ranked)


class TokenRecall:
    """A `Recall` of each layer's best tokens (M+, section 3.2), oldest first; records what it chose.

    Args:
        budget: K0, the tokens that a layer recalls at most.
    """

    def __init__(self, model: MPlusModel, memory: Memory, budget: int) -> None:
        self._model = model
        self._segments = memory.segments
        forgetting, there = model.forgetting, memory.ltm_tokens
        self._held = None if forgetting is None else forgetting.places(memory.chunks, there)
        self._count = min(budget, there, *map(len, self._held or ()))
        self.indices: dict[int, Tensor] = {}
        """For each layer the positions in long-term memory that were recalled (k,), oldest first."""

    def __len__(self) -> int:
        return self._count

    def layer(self, index: int, hidden: Tensor) -> tuple[Tensor, Tensor]:
        retriever, decoder = self._model.retriever, self._model.generate
        queries = retriever.queries(index, decoder.normed(index, hidden[0]))
        keys = torch.cat(
            [segment.tokens.lookup(index, 0, len(segment)) for segment in self._segments]
        )
        held = None if self._held is None else self._held[index]
        keys = keys if held is None else keys[held]
        scores = retriever.token_scores(index, queries, keys.to(queries.device))
        best = scores.topk(self._count).indices.sort().values.cpu()
        best = best if held is None else held[best]
        born = torch.cat([_row(segment.born, index) for segment in self._segments])
        best = best[_oldest_first(born[best])]
        self.indices[index] = best
        gathered = gather(self._segments, best[None], layers=slice(index, index + 1))
        return gathered.keys[0].to(hidden.device), gathered.values[0].to(hidden.device)

    def short_term(self, stm: Tokens) -> Tokens:
        return stm

    def recalled_chunks(self) -> frozenset[int]:
        return frozenset(score.chunk for score in self.chunk_scores())

    def bias(self, stm_chunks: Tensor) -> Tensor | None:
        return None

    def chunk_scores(self) -> tuple[ChunkScore, ...]:
        """Chunks by how many of their tokens the layers recalled, most first."""
        votes: dict[int, int] = {}
        for index, best in self.indices.items():
            chunks = torch.cat([_row(segment.tokens.chunks, index) for segment in self._segments])
            for chunk in chunks[best].tolist():
                if chunk >= 0:
                    votes[chunk] = votes.get(chunk, 0) + 1
        total = max(sum(len(best) for best in self.indices.values()), 1)
        ranked = sorted(votes.items(), key=lambda vote: (-vote[1], vote[0]))
        return tuple(ChunkScore(chunk, count / total) for chunk, count in ranked)


@dataclass(frozen=True, slots=True)
class Found:
    """What was found in memory for a question."""

    recall: Recall
    ranked: tuple[ChunkScore, ...] = ()
    """Chunks by their score, best first; known after the prefill if layers choose tokens (`settled`)."""
    queries: tuple[Tensor, ...] = ()
    """The question (q, P) per retriever layer; empty if layers choose tokens."""
    attended: Mapping[int, Attended] = field(default_factory=dict)
    """Where in the chunks that were ranked by reading them; empty without a reranker."""

    def settled(self) -> Found:
        """The same after the prefill, when every recall knows its chunks."""
        if isinstance(self.recall, TokenRecall):
            return replace(self, ranked=self.recall.chunk_scores())
        return self

    def present(self, memory: Memory) -> list[int]:
        """The chunks in the prefix, best first (see `present_chunks`), without those that are left out;
        after the prefill."""
        present = present_chunks(memory, self.ranked, self.recall)
        if isinstance(self.recall, ChunkRecall) and self.ranked:
            ranked = {entry.chunk for entry in self.ranked}
            present = [chunk for chunk in present if chunk in ranked]
        return present


@torch.no_grad()
def look_up(
    model: MPlusModel,
    memory: Memory,
    query_ids: Sequence[int],
    prior: Mapping[int, float] | None = None,
    prompt_ids: Sequence[int] = (),
) -> Found:
    """Rank what is in memory for a question, and recall the best of long-term memory.

    Args:
        query_ids: of the bare question; if empty, nothing is ranked and no chunk is recalled.
        prior: added to the scores of chunks, if whole chunks are recalled; a chunk at -inf is neither
            recalled nor read, as if it were not in memory.
        prompt_ids: the bare question as a prompt, without BOS, for the network's reranker.
    """
    if model.config.recall == "tokens":
        return Found(TokenRecall(model, memory, model.config.recalled_tokens))
    ranked, queries = [], []
    attended: Mapping[int, Attended] = {}
    if query_ids and not memory.is_empty:
        queries = question_queries(model, torch.tensor([list(query_ids)], device=model.device))
        ranked = rank_by_windows(model, memory, queries, rank(model, memory, queries, prior))
        ranked, attended = rank_by_reading(model, memory, prompt_ids, ranked)
    reading = model.config.reading
    best = ranked[: reading.best_chunks or len(ranked)]
    tokens = recall_chunks(memory, best, model.config.recalled_tokens)
    if not model.generate.keep:  # as in `similarities`
        memory.give_back()
    only = [score.chunk for score in best] if reading.best_chunks and ranked else None
    near = near_question(model, memory, tokens, queries)
    recall = ChunkRecall(tokens.to(model.device), ranked, reading.relevance_weight, near, only)
    return Found(recall, tuple(ranked), tuple(queries), attended)


@torch.no_grad()
def near_question(
    model: MPlusModel, memory: Memory, recalled: Tokens, queries: Sequence[Tensor]
) -> Tensor | None:
    """What similarity to the question adds to the attention logits of recalled memory tokens and of
    short-term memory's (k + N,), see `Reading.window_weight`; None for nothing.

    Args:
        queries: (q, P) per retriever layer.
    """
    config, stm = model.config, memory.stm.tokens
    if not config.reading.window_weight or not queries:
        return None
    similarities = []
    for row, query in enumerate(queries):
        keys = torch.cat(
            [part.lookup(row, 0, len(part)).to(query.device) for part in (recalled, stm)]
        )
        similarities.append(model.retriever.token_scores(row, query, keys.float()))
    chunks = torch.cat([part.chunks[0].to(stm.chunks.device) for part in (recalled, stm)])
    near = nearness(similarities, chunks, config.window_memory_tokens)
    return near_weight(near, config.reading.window_weight, config.reading.window_limit)


def present_chunks(memory: Memory, ranked: Sequence[ChunkScore], recall: Recall) -> list[int]:
    """The chunks in the prefix, recalled or in short-term memory: those ranked first, best first."""
    held = recall.short_term(memory.stm.tokens).chunks.unique().tolist()
    present = (recall.recalled_chunks() | set(held)) - {-1}
    order = [score.chunk for score in ranked if score.chunk in present]
    return order + sorted(present.difference(order))


def recall_chunks(memory: Memory, ranked: Sequence[ChunkScore], budget: int) -> Tokens:
    """The long-term tokens of the best chunks that fit into `budget`, oldest first, unpacked.

    A chunk that does not fit is passed over; smaller ones behind it may still fit.

    Args:
        ranked: best first.
        budget: memory tokens in all.
    """
    spans = chunk_spans(memory.segments, [score.chunk for score in ranked])
    chosen: list[int] = []
    left = budget
    for score in ranked:
        size = sum(stop - start for _, start, stop in spans.get(score.chunk, ()))
        if 0 < size <= left:
            chosen.append(score.chunk)
            left -= size
    parts = [
        memory.segments[number].tokens.slice(start, stop)
        for chunk in sorted(chosen)
        for number, start, stop in spans[chunk]
    ]
    return concatenate(parts).unpack() if parts else memory.stm.tokens.slice(0, 0)


def _oldest_first(born: Tensor) -> Tensor:
    """The order (k,) that puts the oldest of born (k,) first.

    Tokens of equal age are in the order of NumPy's unstable sort, as in the reference implementation: a
    stable order gives other logits.
    """
    return torch.from_numpy(np.argsort(-born.numpy())[::-1].copy())


def _row(rows: Tensor, index: int) -> Tensor:
    return rows[index if rows.shape[0] > 1 else 0]
