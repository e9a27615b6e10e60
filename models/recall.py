"""Recall: which long-term memory a question brings back, and where an answer may have come from.

`chunks`: the question is read once on its own, every chunk is scored over all retriever layers, and
the best chunks come back whole, for all layers alike. `tokens` (the paper): each layer scores its
own memory tokens with the prompt's states at that layer, in the middle of the prefill.

Shapes: q question tokens, m memory tokens, C chunks, k recalled tokens, D hidden size,
H key/value heads, d head size, P retriever width.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from models.decoder import Prefix, rotate
from models.memory import Memory, Segment, TokenRows, Tokens, concatenate
from models.network import MPlusModel
from models.packing import CodedQuery, Packed
from models.relevance import LEAST_RELEVANCE, near_weight, nearness, relevance

SCAN_TOKENS = 16_384
"""Memory tokens whose retriever keys are scored at a time: they stay in a core's cache."""
REFINED = 32
"""Chunks whose scores are worked out in full where all of them are with coarse queries first."""


@dataclass(frozen=True, slots=True)
class ChunkScore:
    """How well a chunk fits a question; scores compare within one question only."""

    chunk: int
    score: float
    coverage: float = 1.0
    """How much of the question the chunk holds: its score as a share of that of a chunk which matches
    every token perfectly. It compares between questions."""


class Recall(Protocol):
    """What one question brings back from long-term memory, layer by layer."""

    def __len__(self) -> int:
        """k, the tokens recalled in each layer."""

    def layer(self, index: int, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (k, H, d) for the index-th layer with memory, whose prompt states
        (1, q, D) are given."""

    def recalled_chunks(self) -> frozenset[int]:
        """The chunks it brought back tokens of; where layers choose, after the prefill."""

    def bias(self, stm_chunks: Tensor) -> Tensor | None:
        """What is added to the attention logits of the recalled tokens and of short-term memory's,
        whose chunks (N,) are given: (k + N,); None for nothing."""


class ChunkRecall:
    """Whole chunks, the same for all layers.

    Args:
        ranked: the scores that weigh what is in the prefix, times `weight`.
        near: what else is added to the attention logits of the tokens and of short-term memory's
            (k + N,), see `near_question`.
    """

    def __init__(
        self,
        tokens: Tokens,
        ranked: Sequence[ChunkScore] = (),
        weight: float = 0.0,
        near: Tensor | None = None,
    ) -> None:
        self._tokens = tokens
        self._ranked = ranked
        self._weight = weight
        self._near = near

    def __len__(self) -> int:
        return len(self._tokens)

    def layer(self, index: int, hidden: Tensor) -> tuple[Tensor, Tensor]:
        return self._tokens.keys[index], self._tokens.values[index]

    def recalled_chunks(self) -> frozenset[int]:
        return frozenset(self._tokens.chunks.unique().tolist())

    def bias(self, stm_chunks: Tensor) -> Tensor | None:
        if not self._ranked or (not self._weight and self._near is None):
            return None
        scores = {entry.chunk: entry.score for entry in self._ranked}
        bias = relevance(scores, torch.cat([self._tokens.chunks[0], stm_chunks]), self._weight)
        if self._near is not None:
            bias = (bias + self._near).clamp(min=LEAST_RELEVANCE)
        return bias


class TokenRecall:
    """Each layer's best tokens (M+, section 3.2), oldest first; remembers what it chose."""

    def __init__(self, model: MPlusModel, memory: Memory, budget: int) -> None:
        self._model = model
        self._segments = memory.segments
        self._count = min(budget, memory.ltm_tokens)
        self.indices: dict[int, Tensor] = {}
        """Layer to the positions in long-term memory it recalled (k,), oldest first."""

    def __len__(self) -> int:
        return self._count

    def layer(self, index: int, hidden: Tensor) -> tuple[Tensor, Tensor]:
        retriever, decoder = self._model.retriever, self._model.generate
        queries = retriever.queries(index, decoder.normed(index, hidden[0]))
        keys = torch.cat(
            [segment.tokens.lookup(index, 0, len(segment)) for segment in self._segments]
        )
        scores = retriever.token_scores(index, queries, keys.to(queries.device))
        best = scores.topk(self._count).indices.sort().values.cpu()
        born = torch.cat([_row(segment.born, index) for segment in self._segments])
        best = best[_oldest_first(born[best])]
        self.indices[index] = best
        gathered = gather(self._segments, best[None], layers=slice(index, index + 1))
        return gathered.keys[0].to(hidden.device), gathered.values[0].to(hidden.device)

    def recalled_chunks(self) -> frozenset[int]:
        return frozenset(score.chunk for score in self.chunk_scores())

    def bias(self, stm_chunks: Tensor) -> Tensor | None:
        return None

    def chunk_scores(self) -> tuple[ChunkScore, ...]:
        """Chunks by how many of their tokens all layers together recalled, most first."""
        votes: dict[int, int] = {}
        for index, best in self.indices.items():
            chunks = torch.cat([_row(segment.tokens.chunks, index) for segment in self._segments])
            for chunk in chunks[best].tolist():
                if chunk >= 0:
                    votes[chunk] = votes.get(chunk, 0) + 1
        total = max(sum(len(best) for best in self.indices.values()), 1)
        ranked = sorted(votes.items(), key=lambda vote: (-vote[1], vote[0]))
        return tuple(ChunkScore(chunk, count / total) for chunk, count in ranked)


@torch.no_grad()
def score_chunks(model: MPlusModel, memory: Memory, query_ids: Sequence[int]) -> list[ChunkScore]:
    """Every chunk in memory, short-term and long-term, best first (ties: the older first).

    A chunk's score is the sum over retriever layers and question tokens of the best similarity
    to one of its memory tokens.
    """
    if memory.is_empty or not query_ids:
        return []
    queries = question_queries(model, torch.tensor([list(query_ids)], device=model.device))
    return rank(model, memory, queries)


@torch.no_grad()
def rank(model: MPlusModel, memory: Memory, queries: Sequence[Tensor]) -> list[ChunkScore]:
    """Every chunk in memory for queries (q, P) per retriever layer, best first.

    In packed long-term memory of many chunks all but the best `REFINED` keep the scores of queries in
    8 bits: a similarity to a key k is off by max |q| sum |k| / 254 at most, by a thousandth as a rule.
    """
    best = torch.full((len(queries), queries[0].shape[0], memory.chunks), -torch.inf)
    coded: list[CodedQuery] = []
    if model.config.scorer != "sigmoid" and model.device.type == "cpu" and CodedQuery.is_quick():
        coded = [CodedQuery.of(query) for query in queries]
    in_two = bool(coded) and memory.chunks > REFINED

    def look(tokens: TokenRows, runs: Runs, *, coarse: bool) -> None:
        for row, query in enumerate(queries):
            if coded and isinstance(tokens, Packed):
                own = coded[row].coarse if coarse else coded[row]
                found = tokens.nearest(row, runs.start, runs.stop, runs.length, own)
            else:
                found = _nearest(model, tokens, runs, row, query)
            index = runs.chunks.expand(len(found), -1)
            best[row].scatter_reduce_(1, index, found, "amax")

    parts = [
        (tokens, runs)
        for tokens in _everything(memory)
        for runs in runs_alike(tokens.chunks[0].cpu())
    ]
    for tokens, runs in parts:
        look(tokens, runs, coarse=in_two)
    if in_two:
        likely = torch.zeros(memory.chunks, dtype=torch.bool)
        likely[best.sum(dim=(0, 1)).topk(REFINED).indices] = True
        best[:, :, likely] = -torch.inf
        for tokens, runs in parts:
            for one in runs.of(likely):
                look(tokens, one, coarse=False)
    totals = best.sum(dim=(0, 1))
    perfect = max(sum(float(query.norm(dim=-1).sum()) for query in queries), 1e-6)
    ranked = totals.sort(descending=True, stable=True)
    pairs = zip(ranked.indices.tolist(), ranked.values.tolist(), strict=True)
    return [
        ChunkScore(chunk, score, score / perfect) for chunk, score in pairs if math.isfinite(score)
    ]


@torch.no_grad()
def near_question(
    model: MPlusModel, memory: Memory, recalled: Tokens, queries: Sequence[Tensor]
) -> Tensor | None:
    """What nearness to the question's words adds to the attention logits of recalled memory tokens
    and of short-term memory's (k + N,), as `MPlusConfig.window_weight` says; None for nothing.

    Args:
        queries: (q, P) per retriever layer.
    """
    config, stm = model.config, memory.stm.tokens
    if not config.window_weight or not queries:
        return None
    similarities = []
    for row, query in enumerate(queries):
        keys = torch.cat(
            [part.lookup(row, 0, len(part)).to(query.device) for part in (recalled, stm)]
        )
        similarities.append(model.retriever.token_scores(row, query, keys.float()))
    chunks = torch.cat([part.chunks[0].to(stm.chunks.device) for part in (recalled, stm)])
    near = nearness(similarities, chunks, config.window_memory_tokens)
    return near_weight(near, config.window_weight, config.window_limit)


def is_covered(model: MPlusModel, ranked: Sequence[ChunkScore]) -> bool:
    """Whether memory holds enough of a question (`MPlusConfig.least_coverage`) to be asked it."""
    least = model.config.least_coverage
    return not least or not ranked or max(entry.coverage for entry in ranked) >= least


def at_hand(memory: Memory, ranked: Sequence[ChunkScore], recall: Recall) -> list[int]:
    """The chunks an answer can draw on, recalled or in short-term memory, those ranked first, best
    first."""
    held = memory.stm.tokens.chunks.unique().tolist()
    present = (recall.recalled_chunks() | set(held)) - {-1}
    order = [score.chunk for score in ranked if score.chunk in present]
    return order + sorted(present.difference(order))


@dataclass(frozen=True, slots=True)
class Runs:
    """Neighbouring runs of equally many memory tokens, each run of one chunk."""

    start: int
    """The first run's first token."""
    length: int
    """Tokens of each run."""
    chunks: Tensor
    """(r,) int64: the chunk of each run."""

    @property
    def stop(self) -> int:
        """Behind the last run's last token."""
        return self.start + self.length * len(self.chunks)

    def of(self, wanted: Tensor) -> Iterator[Runs]:
        """Each run, by itself, whose chunk is wanted, of a mask of all chunks."""
        for at in wanted[self.chunks].nonzero().flatten().tolist():
            yield Runs(self.start + at * self.length, self.length, self.chunks[at : at + 1])


def runs_alike(chunks: Tensor) -> Iterator[Runs]:
    """The runs in the chunk numbers (m,) of neighbouring tokens, as few at a time as a cache holds.

    Runs of no chunk (-1) are left out.
    """
    numbers, counts = torch.unique_consecutive(chunks, return_counts=True)
    lengths, alike = torch.unique_consecutive(counts, return_counts=True)
    start = first = 0
    for length, runs in zip(lengths.tolist(), alike.tolist(), strict=True):
        most = max(SCAN_TOKENS // length, 1)
        for run in range(0, runs, most):
            part = numbers[first + run : first + min(run + most, runs)]
            if bool((part >= 0).all()):
                yield Runs(start + run * length, length, part)
            else:
                yield from (
                    Runs(start + (run + at) * length, length, part[at : at + 1])
                    for at in (part >= 0).nonzero().flatten().tolist()
                )
        start += length * runs
        first += runs


def _nearest(model: MPlusModel, tokens: TokenRows, runs: Runs, row: int, query: Tensor) -> Tensor:
    """The best similarity (q, r) of a question token to a token of each run."""
    keys = tokens.lookup(row, runs.start, runs.stop).to(query.device).float()
    scores = model.retriever.token_scores(row, query, keys)  # (q, r x length)
    # The largest of neighbours in memory: far quicker than scattering by chunk number.
    best: Tensor = scores.unflatten(1, (-1, runs.length)).amax(dim=2).cpu()
    return best


@torch.no_grad()
def question_queries(model: MPlusModel, ids: Tensor) -> list[Tensor]:
    """The question ids (1, q) read on their own behind BOS: queries (q, P) per retriever layer.

    By the decoder that writes, so that questions and memory are states of the same network.
    """
    decoder, retriever = model.update, model.retriever
    rows = {index: row for row, index in enumerate(retriever.layers)}
    rotary, mask = decoder.rotary(1, ids.shape[1]), decoder.mask(ids.shape[1], 1)
    first = decoder.rotary(0, 1)
    queries: list[Tensor] = []
    with decoder.active():
        hidden = decoder.embed(ids)
        for index in range(max(rows) + 1):
            if index in rows:
                normed = decoder.normed(index, hidden[0])
                queries.append(retriever.queries(rows[index], normed).float())
            if index < max(rows):
                keys, values = decoder.keys_values(index, model.update_bos[index][None])
                prefix = Prefix(rotate(keys, first), values.transpose(1, 2))
                hidden = decoder.layer(index, hidden, rotary, mask, prefix)
    return queries


def recall_chunks(memory: Memory, ranked: Sequence[ChunkScore], budget: int) -> Tokens:
    """The long-term tokens of the best chunks that fit into `budget`, oldest first."""
    spans = chunk_spans(memory.segments)
    chosen: list[int] = []
    left = budget
    for score in ranked:
        size = sum(stop - start for _, start, stop in spans.get(score.chunk, ()))
        if 0 < size <= left:
            chosen.append(score.chunk)
            left -= size
    parts = [
        memory.segments[number].tokens.slice(start, stop).unpack()
        for chunk in sorted(chosen)
        for number, start, stop in spans[chunk]
    ]
    return concatenate(parts) if parts else memory.stm.tokens.slice(0, 0)


def chunk_spans(segments: Sequence[Segment]) -> dict[int, list[tuple[int, int, int]]]:
    """Chunk to its runs in long-term memory: (segment number, start, stop)."""
    spans: dict[int, list[tuple[int, int, int]]] = {}
    for number, segment in enumerate(segments):
        chunks, counts = torch.unique_consecutive(segment.tokens.chunks[0], return_counts=True)
        start = 0
        for chunk, count in zip(chunks.tolist(), counts.tolist(), strict=True):
            spans.setdefault(chunk, []).append((number, start, start + count))
            start += count
    return spans


def gather(segments: Sequence[Segment], index: Tensor, layers: slice = slice(None)) -> Tokens:
    """Tokens at `index` (1 or L, k), counted over all segments, of the layers named.

    Reads only the segments that hold one of them.
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


def _everything(memory: Memory) -> Iterator[TokenRows]:
    for segment in memory.segments:
        yield segment.tokens
    if len(memory.stm):
        yield memory.stm.tokens


def _oldest_first(born: Tensor) -> Tensor:
    """The order (k,) that puts the oldest of born (k,) first.

    Tokens of equal age come as NumPy's unstable sort leaves them: the reference lays them out so,
    and a stable order gives other logits.
    """
    return torch.from_numpy(np.argsort(-born.numpy())[::-1].copy())


def _row(rows: Tensor, index: int) -> Tensor:
    return rows[index if rows.shape[0] > 1 else 0]
