"""Ranks the best chunks again by reading them: the question behind each chunk alone.

A retriever compares a question with memory token by token. Some attention heads look up what answers it, in
context (retrieval heads, arXiv 2404.15574), and what heads attend to ranks texts without any training (arXiv
2410.02642). So the question's prompt is read behind the memory of each of the best chunks, side by side, and
a linear function of how the heads attend to it moves the chunk up or down.

Shapes: C chunks, T prompt tokens, n memory tokens of the longest chunk, A attention heads, H key/value heads,
d head size, M layers with memory, S statistics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from models.attention import Attention, Scoring
from models.cache import Prefix
from models.gathering import chunk_spans
from models.layer import run_layer
from models.memory import Memory, TokenRows, concatenate
from models.network import MPlusModel
from models.reranker import Attended, Reranker
from models.rotary import rotate
from models.scan import ChunkScore

READ_APART = 10
"""Chunks that are read. Of 245 questions about six novels the right chunk is among three for 204; for 203
with 8 or 16, 198 with 6 and 185 with none."""
UNSEEN = -1e4
"""The least that log odds and logits count as: of memory out of reach of a sliding window they would be
infinite."""


def rank_by_reading(
    model: MPlusModel, memory: Memory, prompt_ids: Sequence[int], ranked: Sequence[ChunkScore]
) -> tuple[list[ChunkScore], dict[int, Attended]]:
    """The best chunks in the order of their scores and what reading them adds, then the others, which lose as
    much as the one of these that loses most; and how each chunk that was read is attended to.

    Args:
        prompt_ids: the question as a prompt, without BOS.
        ranked: best first.
    """
    reranker, best = model.reranker, ranked[:READ_APART]
    if reranker is None or not reranker.depth or len(best) < 2 or not prompt_ids:
        return list(ranked), {}
    chunks = [entry.chunk for entry in best]
    found, attended = read_apart(model, memory, prompt_ids, chunks, reranker)
    added = (found * reranker.weights[: reranker.depth].to(found)).flatten(1).sum(dim=1)
    moved = (added - added.mean()).tolist()
    again = [
        ChunkScore(entry.chunk, entry.score + more) for entry, more in zip(best, moved, strict=True)
    ]
    again.sort(key=lambda entry: (-entry.score, entry.chunk))
    least = min(moved)
    others = [ChunkScore(entry.chunk, entry.score + least) for entry in ranked[len(best) :]]
    return again + others, dict(zip(chunks, attended, strict=True))


@torch.no_grad()
def read_apart(
    model: MPlusModel,
    memory: Memory,
    prompt_ids: Sequence[int],
    chunks: Sequence[int],
    reranker: Reranker,
) -> tuple[Tensor, list[Attended]]:
    """Read a prompt behind each chunk alone, in the layers that count for a reranker.

    It stands where the chunk ends, so what is found of a chunk does not depend on the others. Layers before
    the first with memory read it once for all of them, where a whole chunk would end.

    Returns:
        How each head of these layers attends to each chunk (C, layers, A, S), as
        `models.reranker.STATISTICS` says; and where in each chunk those attend that tell places.
    """
    decoder, lead, length = model.generate, len(model.lead), len(prompt_ids)
    read = _Chunks.of(memory, chunks)
    before = lead + read.most
    prefix, plain = decoder.rotary(0, before), decoder.mask(length, lead)
    rotary = decoder.rotary(lead + model.config.new_tokens, length)
    apart = decoder.rotary_at(read.positions(lead, length).to(decoder.device))
    rows = {index: row for row, index in enumerate(list(model.memory_layers)[: reranker.depth])}
    windows = {decoder.windows[index] for index in rows}
    masks = {one: read.mask(lead, length, one).to(decoder.device) for one in windows}
    watch = _Watch(slice(lead, before))
    with decoder.active():
        hidden = decoder.embed(torch.tensor([list(prompt_ids)], device=decoder.device))
        for index in range(max(rows) + 1):
            keys, values = model.generate_bos.keys_values(index)
            row = rows.get(index)
            if row is not None:
                hidden, rotary = hidden.expand(len(chunks), -1, -1), apart
            keys, values = (part.expand(len(hidden), -1, -1, -1) for part in (keys, values))
            if row is not None:
                own_keys, own_values = read.layer(row, decoder.dtype, decoder.device)
                keys = torch.cat([keys, own_keys], dim=1)
                values = torch.cat([values, own_values], dim=1)
            held = Prefix(rotate(keys, prefix[index]), values.transpose(1, 2))
            if row is None:
                hidden = decoder.layer(index, hidden, rotary, plain, held)
                continue
            places = reranker.places[row].any(dim=1).nonzero()[:, 0].tolist()
            hidden = run_layer(
                *(decoder.stack.architecture, decoder.weights(index), index, hidden),
                *(rotary[index], masks[decoder.windows[index]], held, watch.attention(places)),
            )
    decoder.give_back()
    if not decoder.keep:  # a single question: as in `models.evidence.similarities`
        memory.give_back()
    weights = reranker.places[: reranker.depth]
    weights = weights[weights.any(dim=2)].flatten()
    shares = torch.cat(watch.shares, dim=1).flatten(1, 2).cpu()  # (C, F, n)
    attended = [
        Attended(own[:, :count], weights) for own, count in zip(shares, read.counts, strict=True)
    ]
    return torch.stack(watch.statistics, dim=1), attended


class _Run(NamedTuple):
    """A stretch of memory tokens of one chunk."""

    tokens: TokenRows
    start: int
    stop: int
    chunk: int
    """The number of the chunk among those that are read."""
    place: int
    """Of the first of these tokens in the chunk."""

    @property
    def there(self) -> slice:
        """Where in the chunk they are."""
        return slice(self.place, self.place + self.stop - self.start)


@dataclass(frozen=True, slots=True)
class _Chunks:
    """Where the memory tokens of C chunks are."""

    runs: tuple[_Run, ...]
    counts: tuple[int, ...]
    """Of each chunk."""

    @classmethod
    def of(cls, memory: Memory, chunks: Sequence[int]) -> _Chunks:
        spans, stm = chunk_spans(memory.segments, chunks), memory.stm.tokens
        runs: list[_Run] = []
        counts = [0] * len(chunks)
        for number, chunk in enumerate(chunks):
            parts: list[tuple[TokenRows, int, int]] = [
                (memory.segments[at].tokens, start, stop)
                for at, start, stop in spans.get(chunk, ())
            ]
            held = (stm.chunks[0] == chunk).nonzero().flatten().tolist()
            parts += [(stm, held[0], held[-1] + 1)] if held else []
            for tokens, start, stop in parts:
                runs.append(_Run(tokens, start, stop, number, counts[number]))
                counts[number] += stop - start
        return cls(tuple(runs), tuple(counts))

    @property
    def most(self) -> int:
        """n, the tokens of the longest."""
        return max(self.counts)

    def positions(self, lead: int, length: int) -> Tensor:
        """Those of the prompt behind each chunk (C, T)."""
        return lead + torch.tensor(self.counts)[:, None] + torch.arange(length)

    def mask(self, lead: int, length: int, window: int | None) -> Tensor:
        """The additive mask (C, 1, T, lead + n + T): each prompt token sees what leads, its chunk, and the
        prompt up to itself, as far back as a layer's sliding window reaches."""
        own = self.positions(lead, length)
        front = torch.arange(lead + self.most).expand(len(own), -1)
        gap = front >= own[:, :1]  # behind a shorter chunk
        behind = own[:, :, None] - torch.cat([front, own], dim=1)[:, None]  # (C, T, lead + n + T)
        seen = (behind >= 0) & ~functional.pad(gap, (0, length))[:, None]
        if window is not None:
            seen &= behind < window
        return torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)[:, None]

    def layer(self, row: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
        """Keys and values (C, n, H, d) of the row-th layer with memory, zero behind those of a shorter
        chunk."""
        _, heads, size = self.runs[0].tokens.layout
        shape, layers = (len(self.counts), self.most, heads, size), slice(row, row + 1)
        keys, values = (torch.zeros(shape, dtype=dtype, device=device) for _ in range(2))
        alike: dict[tuple[type, torch.device], list[_Run]] = {}  # what can be unpacked together
        for run in self.runs:
            alike.setdefault((type(run.tokens), run.tokens.chunks.device), []).append(run)
        for runs in alike.values():
            parts = [run.tokens.of_layers(layers).slice(run.start, run.stop) for run in runs]
            whole, at = concatenate(parts).unpack().to(device), 0
            for run, part in zip(runs, parts, strict=True):
                keys[run.chunk, run.there] = whole.keys[0, at : at + len(part)]
                values[run.chunk, run.there] = whole.values[0, at : at + len(part)]
                at += len(part)
        return keys, values


class _Watch:
    """Attention that is watched, layer by layer.

    Args:
        memory: where memory stands among the keys.
    """

    def __init__(self, memory: slice) -> None:
        self._memory = memory
        self.statistics: list[Tensor] = []
        """Of each layer (C, A, S)."""
        self.shares: list[Tensor] = []
        """Of the heads of each layer that tell places (C, heads, 2, n): of the whole prompt, and its last
        token."""

    def attention(self, places: Sequence[int]) -> Attention:
        """That of the next layer, in which these heads tell places."""

        def attend(query: Tensor, key: Tensor, value: Tensor, scoring: Scoring) -> Tensor:
            chunks, heads, length, size = query.shape
            groups, keys = key.shape[1:3]
            side_by_side = (query * scoring.scale).reshape(chunks, groups, -1, size)
            logits = scoring.capped(side_by_side @ key.transpose(2, 3)).float()
            assert scoring.mask is not None, "chunks of several lengths are read under one mask"
            logits = logits.view(chunks, heads, length, keys) + scoring.mask
            self.statistics.append(_statistics(logits, self._memory))
            shares = logits.softmax(dim=-1)
            inside = shares[:, list(places), :, self._memory]  # (C, places, T, n)
            self.shares.append(torch.stack([inside.sum(dim=2), inside[:, :, -1]], dim=2))
            mixed = shares.to(value.dtype).view(chunks, groups, -1, keys) @ value
            return mixed.view(chunks, heads, length, size).transpose(1, 2)

        return attend


def _statistics(logits: Tensor, memory: slice) -> Tensor:
    """The statistics of attention logits (C, A, T, keys): (C, A, S)."""
    inside = logits[..., memory]
    outside = torch.cat([logits[..., : memory.start], logits[..., memory.stop :]], dim=-1)
    odds = (inside.logsumexp(dim=-1) - outside.logsumexp(dim=-1)).clamp(min=UNSEEN)  # (C, A, T)
    largest = inside.amax(dim=-1).clamp(min=UNSEEN)
    return torch.stack(
        [odds.mean(dim=-1), odds[..., -1], largest.mean(dim=-1), largest[..., -1]], dim=-1
    )
