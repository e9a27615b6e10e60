"""Ranking the chunks in memory for a question by their retriever keys.

A chunk's score is the sum over retriever layers and question tokens of the best similarity to one of
its memory tokens (late interaction). On a CPU packed keys are multiplied as the integers they are. Where
long-term memory holds many chunks the search is coarse to fine: all of them are scored in one layer, and
the best of these are scored again in full.

Shapes: q question tokens, m memory tokens, r runs of a chunk's tokens, C chunks, P retriever width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.cache import Prefix
from models.memory import Memory, TokenRows
from models.network import MPlusModel
from models.packing import CodedQuery, Packed, RetrieverCodes
from models.retriever import MaxSimRetriever
from models.rotary import rotate

SCAN_TOKENS = 16_384
"""Memory tokens whose retriever keys are scored at a time: they stay in a core's cache."""
RESCORED, SHARE = 64, 16
"""Chunks that the coarse search passes on to be scored in full: at least so many, and one in so many."""
COARSE_TOKENS = 12
"""Question tokens that the coarse search uses: those with the largest weights."""


@dataclass(frozen=True, slots=True)
class ChunkScore:
    """How well a chunk fits a question; scores compare within one question only."""

    chunk: int
    score: float


@torch.no_grad()
def score_chunks(model: MPlusModel, memory: Memory, query_ids: Sequence[int]) -> list[ChunkScore]:
    """Chunks in memory, short-term and long-term, best first (see `rank`)."""
    if memory.is_empty or not query_ids:
        return []
    queries = question_queries(model, torch.tensor([list(query_ids)], device=model.device))
    return rank(model, memory, queries)


@torch.no_grad()
def question_queries(model: MPlusModel, ids: Tensor) -> list[Tensor]:
    """The question ids (1, q) read on their own behind BOS: queries (q, P) per retriever layer.

    By the decoder that writes, so that questions and memory are states of the same network.
    """
    decoder, retriever = model.update, model.retriever
    rows = {index: row for row, index in enumerate(retriever.layers)}
    before = len(model.lead)
    rotary, mask = decoder.rotary(before, ids.shape[1]), decoder.mask(ids.shape[1], before)
    first = decoder.rotary(0, before)
    queries: list[Tensor] = []
    with decoder.active():
        hidden = decoder.embed(ids)
        for index in range(max(rows) + 1):
            if index in rows:
                normed = decoder.normed(index, hidden[0])
                queries.append(retriever.queries(rows[index], normed).float())
            if index < max(rows):
                keys, values = model.update_bos.keys_values(index)
                prefix = Prefix(rotate(keys, first[index]), values.transpose(1, 2))
                hidden = decoder.layer(index, hidden, rotary, mask, prefix)
    decoder.give_back()
    return queries


@torch.no_grad()
def rank(
    model: MPlusModel,
    memory: Memory,
    queries: Sequence[Tensor],
    prior: Mapping[int, float] | None = None,
) -> list[ChunkScore]:
    """Chunks in memory for queries (q, P) per retriever layer, best first (ties: the older first).

    All of them, except where the search is coarse to fine: then the chunks of long-term memory that the
    coarse search drops are left out.

    Args:
        prior: what is added to the scores of chunks, for what is known of them otherwise.
    """
    added = _prior(memory, prior)
    groups = _parts(model, memory)
    parts = [part for group in groups for part in group]
    # A single question leaves nothing in memory that can be read again.
    back = [] if model.generate.keep else [segment.give_back for segment in memory.segments]
    many = [part for part in parts if isinstance(part[0], RetrieverCodes)]
    wanted = 2 * model.config.recalled_tokens // model.config.new_tokens
    rescored = max(RESCORED, memory.chunks // SHARE, wanted)
    if many and isinstance(model.retriever, MaxSimRetriever) and memory.chunks > 2 * rescored:
        coarse = _totals(model, many, _coarse_queries(queries), memory.chunks, coarse=True) + added
        _call(back)
        likely = torch.zeros(memory.chunks, dtype=torch.bool)
        likely[coarse.topk(rescored).indices] = True
        rest = [part for part in parts if not isinstance(part[0], RetrieverCodes)]
        for _, runs in rest:  # of a chunk that short-term memory holds, all of it
            likely[runs.chunks] = True
        parts = [*_chosen(groups, likely, back), *rest]
    totals = _totals(model, parts, dict(enumerate(queries)), memory.chunks) + added
    _call(back)
    ranked = totals.sort(descending=True, stable=True)
    there = int(totals.isfinite().sum())
    pairs = zip(ranked.indices[:there].tolist(), ranked.values[:there].tolist(), strict=True)
    return [ChunkScore(chunk, score) for chunk, score in pairs]


@torch.no_grad()
def score_all(
    model: MPlusModel,
    memory: Memory,
    queries: Sequence[Tensor],
    prior: Mapping[int, float] | None = None,
) -> Tensor:
    """The scores (C,) that `rank` gives chunks, of all of them: none is passed over. -inf for a chunk that
    is in memory no more."""
    parts = [part for group in _parts(model, memory) for part in group]
    return _totals(model, parts, dict(enumerate(queries)), memory.chunks) + _prior(memory, prior)


def _prior(memory: Memory, prior: Mapping[int, float] | None) -> Tensor:
    added = torch.zeros(memory.chunks)
    if prior:
        added[list(prior)] = torch.tensor(list(prior.values()))
    return added


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


Part = tuple["RetrieverCodes | TokenRows", Runs]
"""Memory tokens, as whole numbers where these are multiplied, and runs of them."""


def runs_alike(chunks: Tensor, usual: int) -> Iterator[Runs]:
    """The runs in the chunk numbers (m,) of tokens in order, as few at a time as a cache holds.

    Runs of no chunk (-1) are left out.

    Args:
        chunks: ascending.
        usual: the length of most runs; where all have it, not every number is looked at.
    """
    even = chunks.unflatten(0, (-1, usual)) if len(chunks) % usual == 0 else chunks[:0, None]
    numbers = even[:, 0]
    if len(numbers) and bool((even[:, -1] == numbers).all() & (numbers.diff() > 0).all()):
        lengths, alike = [usual], [len(numbers)]
    else:
        numbers, counts = torch.unique_consecutive(chunks, return_counts=True)
        lengths, alike = (
            part.tolist() for part in torch.unique_consecutive(counts, return_counts=True)
        )
    start = first = 0
    for length, runs in zip(lengths, alike, strict=True):
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


def _parts(model: MPlusModel, memory: Memory) -> list[list[Part]]:
    """All of memory: of each segment of long-term memory, then of short-term memory."""
    whole = model.device.type == "cpu" and CodedQuery.is_quick()
    whole = whole and model.config.retriever.scorer != "sigmoid"
    groups = []
    for tokens in (*(segment.tokens for segment in memory.segments), memory.stm.tokens):
        keys = tokens.codes if whole and isinstance(tokens, Packed) else tokens
        alike = runs_alike(tokens.chunks[0].cpu(), model.config.new_tokens)
        groups.append([(keys, runs) for runs in alike])
    return groups


def _coarse_queries(queries: Sequence[Tensor]) -> dict[int, Tensor]:
    """The layer whose queries (q, P) can add most to a score, and the largest of these queries."""
    weights = [query.norm(dim=-1) for query in queries]
    row = max(range(len(queries)), key=lambda at: float(weights[at].sum()))
    best = weights[row].topk(min(COARSE_TOKENS, len(weights[row]))).indices
    return {row: queries[row][best]}


def _call(functions: Sequence[Callable[[], object]]) -> None:
    for function in functions:
        function()


def _chosen(
    groups: Sequence[Sequence[Part]], wanted: Tensor, back: Sequence[Callable[[], object]]
) -> Iterator[Part]:
    """Of whole-number parts the runs whose chunk is wanted, of a mask of all chunks, those of one
    length side by side.

    Args:
        back: `Segment.give_back` of each group, which is called when its runs are copied; else empty.
    """
    found: dict[int, list[tuple[RetrieverCodes, int]]] = {}
    for number, parts in enumerate(groups):
        for keys, runs in parts:
            if not isinstance(keys, RetrieverCodes):
                continue
            which = wanted[runs.chunks].nonzero().flatten()
            for at, chunk in zip(which.tolist(), runs.chunks[which].tolist(), strict=True):
                start = runs.start + at * runs.length
                run = keys.slice(start, start + runs.length)
                found.setdefault(runs.length, []).append((run.copy() if back else run, chunk))
        _call(back[number : number + 1])
    for length, alike in found.items():
        joined = RetrieverCodes.joined([keys for keys, _ in alike])
        chunks = torch.tensor([chunk for _, chunk in alike])
        most = max(SCAN_TOKENS // length, 1)
        for start in range(0, len(chunks), most):
            yield joined, Runs(start * length, length, chunks[start : start + most])


def _totals(
    model: MPlusModel,
    parts: Sequence[Part],
    queries: Mapping[int, Tensor],
    chunks: int,
    coarse: bool = False,
) -> Tensor:
    """The sums (C,) over retriever layers and their queries (q, P) of the best similarities in each
    chunk; -inf for a chunk that is not there.

    Args:
        coarse: with queries in 8 bits, where whole numbers are multiplied.
    """
    totals = torch.zeros(chunks)
    for row, query in queries.items():
        coded = CodedQuery.of(query)
        coded = coded.coarse if coarse else coded
        best = torch.full((len(query), chunks), -torch.inf)
        for keys, runs in parts:
            if isinstance(keys, RetrieverCodes):
                found = keys.nearest(row, runs.start, runs.stop, runs.length, coded)
            else:
                found = _nearest(model, keys, runs, row, query)
            best[: len(found)].scatter_reduce_(1, runs.chunks.expand(len(found), -1), found, "amax")
        totals += best.sum(dim=0)
    return totals


def _nearest(model: MPlusModel, tokens: TokenRows, runs: Runs, row: int, query: Tensor) -> Tensor:
    """The best similarity (q, r) of a question token to a token of each run."""
    keys = tokens.lookup(row, runs.start, runs.stop).to(query.device).float()
    scores = model.retriever.token_scores(row, query, keys)  # (q, r x length)
    # The largest of neighbours in memory: far faster than scattering by chunk number.
    best: Tensor = scores.unflatten(1, (-1, runs.length)).amax(dim=2).cpu()
    return best
