"""What experiments need of the network besides reading and answering: other ways to recall, the loss
of text behind a memory, and networks to compare with. Knows token ids; no data set, no file.

Shapes: T text tokens, m long-term tokens, k recalled tokens, L layers, H key/value heads, d head size,
V vocabulary.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional
from transformers.models.llama.modeling_llama import LlamaForCausalLM

from models.config import MPlusConfig, RetrieverShape
from models.decoder import Decoder
from models.generate import Guide, Sampling, decode, prefill
from models.memory import Memory, Segment, Tokens, cat_layers
from models.network import MPlusModel
from models.packing import pack
from models.recall import (
    ChunkRecall,
    Recall,
    TokenRecall,
    gather,
    near_question,
    present_chunks,
    recall_chunks,
)
from models.retriever import make_retriever
from models.scan import ChunkScore, question_queries, score_chunks

How = Literal["learned", "oracle", "tokens", "random", "newest", "none"]
"""By the retriever; the right chunk first, then by the retriever; each layer's best tokens, of whatever
chunk; any; the newest; nothing at all."""


@dataclass(frozen=True, slots=True)
class Reached:
    """What an answer could draw on."""

    ranked: tuple[int, ...]
    """Chunks, best first."""
    present: frozenset[int]
    """Chunks of which at least one token was recalled or is in short-term memory."""


class WholeChunks(ChunkRecall):
    """Whole chunks, the same for all layers, and which they are."""

    def __init__(
        self,
        tokens: Tokens,
        device: torch.device,
        ranked: Sequence[ChunkScore] = (),
        weight: float = 0.0,
        near: Tensor | None = None,
    ) -> None:
        super().__init__(tokens.to(device), ranked, weight, near)
        self.weighed = (frozenset(ranked) if weight else frozenset(), near is not None)
        """What two recalls of one question and the same chunks weigh by, if anything."""


class PriorityRecall:
    """The tokens of highest priority in each layer, oldest first (recall of `tokens`)."""

    def __init__(self, memory: Memory, priority: Tensor, budget: int) -> None:
        """Choose by priority (1 or L, m)."""
        self._segments = memory.segments
        best = priority.topk(min(budget, priority.shape[1])).indices
        born = _born(memory.segments)
        times = torch.gather(born.expand(best.shape[0], -1), 1, best)
        self.index = torch.gather(best, 1, times.argsort(dim=1, stable=True))

    def __len__(self) -> int:
        return self.index.shape[1]

    def layer(self, index: int, hidden: Tensor) -> tuple[Tensor, Tensor]:
        rows = self.index[index if self.index.shape[0] > 1 else 0][None]
        found = gather(self._segments, rows, layers=slice(index, index + 1))
        return found.keys[0].to(hidden.device), found.values[0].to(hidden.device)

    def bias(self, stm_chunks: Tensor) -> Tensor | None:
        return None

    def recalled_chunks(self) -> frozenset[int]:
        numbers = cat_layers([segment.tokens.chunks for segment in self._segments])
        layers = max(numbers.shape[0], self.index.shape[0])
        chosen = torch.gather(numbers.expand(layers, -1), 1, self.index.expand(layers, -1))
        return frozenset(chosen.unique().tolist())


@torch.no_grad()
def recall_as(
    model: MPlusModel,
    memory: Memory,
    query_ids: Sequence[int],
    how: How,
    *,
    gold: Collection[int] = (),
    seed: str = "",
    learned: Sequence[ChunkScore] | None = None,
) -> tuple[list[ChunkScore], Recall]:
    """Recall in one of the ways that experiments compare.

    Args:
        gold: the chunks that answer the question, for `oracle`.
        seed: of what `random` draws.
        learned: what `score_chunks` says of this question and memory, where that is known.

    Returns:
        The chunks, best first (known only after the prefill with recall of `tokens`), and the recall.
    """
    budget = 0 if how == "none" else model.config.recalled_tokens
    if model.config.recall == "tokens":
        if how in ("learned", "tokens") or not memory.ltm_tokens or not budget:
            return [], TokenRecall(model, memory, budget)
        return [], PriorityRecall(memory, _priority(memory, how, gold, seed), budget)
    if how == "tokens" and memory.ltm_tokens and query_ids:
        return [], PriorityRecall(memory, _token_scores(model, memory, query_ids), budget)
    if how in ("random", "newest"):
        ranked = _unscored(memory, how, seed)
    else:
        ranked = list(score_chunks(model, memory, query_ids) if learned is None else learned)
    if how == "oracle" and ranked:
        best = max(score.score for score in ranked)
        right = [ChunkScore(score.chunk, best) for score in ranked if score.chunk in gold]
        ranked = right + [score for score in ranked if score.chunk not in gold]
    tokens = recall_chunks(memory, ranked, budget)
    if how not in ("learned", "oracle"):
        return ranked, WholeChunks(tokens, model.device)
    near = None
    if model.config.reading.window_weight and ranked:
        ids = torch.tensor([list(query_ids)], device=model.device)
        near = near_question(model, memory, tokens, question_queries(model, ids))
    weight = model.config.reading.relevance_weight
    return ranked, WholeChunks(tokens, model.device, ranked, weight, near)


def same_recall(recall: Recall) -> Hashable | None:
    """What is equal for recalls that bring back the same tokens of a memory; None if not known."""
    if isinstance(recall, WholeChunks):
        return recall.recalled_chunks(), recall.weighed
    return None if len(recall) else (frozenset(), (frozenset(), False))


def reached(memory: Memory, ranked: Sequence[ChunkScore], recall: Recall) -> Reached:
    """What was there to answer from; after the prefill.

    Args:
        ranked: as `recall_as` gave them.
    """
    if isinstance(recall, TokenRecall):
        ranked = recall.chunk_scores()
    present = frozenset(present_chunks(memory, ranked, recall))
    return Reached(tuple(score.chunk for score in ranked), present)


def answer_ids(
    model: MPlusModel,
    memory: Memory,
    recall: Recall,
    prompt_ids: Sequence[int],
    *,
    limit: int,
    stop_ids: Collection[int],
    guide: Guide | None = None,
) -> Iterator[int]:
    """The ids of a greedy answer, at most `limit`."""
    logits, cache = prefill(model, memory, recall, prompt_ids, spare=limit)
    for count, token in enumerate(decode(model, cache, logits, Sampling(), guide), start=1):
        if token in stop_ids:
            return
        yield token
        if count == limit:
            return


@torch.no_grad()
def memory_loss(
    model: MPlusModel, memory: Memory, recall: Recall, lead: Sequence[int], ids: Sequence[int]
) -> Tensor:
    """Nats (T,) of the tokens `ids`, read by the generate pass behind a memory.

    Args:
        lead: the text just before, at least one token; it is not scored.
    """
    text = [*lead, *ids]
    logits, _ = prefill(model, memory, recall, text[:-1], spare=0, all_logits=True)
    return functional.cross_entropy(
        logits[len(lead) - 1 :], torch.tensor(list(ids), device=logits.device), reduction="none"
    )


@torch.no_grad()
def window_loss(llama: LlamaForCausalLM, before: Sequence[int], ids: Sequence[int]) -> Tensor:
    """Nats (T,) of the tokens `ids` behind the tokens `before` (at least one), on the base alone."""
    text = torch.tensor([[*before, *ids]], device=llama.device)
    out = llama(input_ids=text[:, :-1], use_cache=False, logits_to_keep=len(ids))
    return functional.cross_entropy(out.logits[0].float(), text[0, -len(ids) :], reduction="none")


def long_term_bytes(model: MPlusModel) -> float:
    """Bytes of long-term memory that a token of text takes."""
    tokens = model.empty_memory().stm.tokens
    one = tokens.each(lambda rows: rows.new_zeros((rows.shape[0], 1, *rows.shape[2:])))
    held = sum(part.nbytes for part in pack(one, model.config.ltm_format).tensors().values())
    return held * model.config.new_tokens / model.config.chunk_tokens


def identity_network(llama: LlamaForCausalLM, config: MPlusConfig, bos_id: int) -> MPlusModel:
    """Identity memory on a base, with the chunks and the prefix of another configuration.

    With an empty memory it is the base itself: [BOS][text].
    """
    own = MPlusConfig(
        chunk_tokens=config.chunk_tokens,
        new_tokens=config.chunk_tokens,
        stm_tokens=max(config.stm_tokens, config.chunk_tokens),
        recalled_tokens=config.recalled_tokens,
        max_prompt_tokens=config.max_prompt_tokens,
        memory_positions="strided",
        retriever=RetrieverShape(scorer="cosine", layers=(0,)),
    )
    decoder = Decoder(llama)
    retriever = make_retriever(own.retriever, decoder.layers, decoder.hidden)
    return MPlusModel(own, decoder, decoder, retriever, bos_id=bos_id)


def swapped_network(model: MPlusModel) -> MPlusModel:
    """The network that writes with the generate adapter and reads with the update adapter."""
    return MPlusModel(
        model.config,
        model.generate,
        model.update,
        model.retriever,
        bos_id=model.bos_id,
        bos=model.learned_bos,
        new_memory_embedding=model.new_memory_embedding,
    )


def _unscored(memory: Memory, how: How, seed: str) -> list[ChunkScore]:
    """Every chunk in long-term memory, in any order or the newest first."""
    found = [segment.tokens.chunks.unique().tolist() for segment in memory.segments]
    chunks = sorted({chunk for numbers in found for chunk in numbers} - {-1}, reverse=True)
    if how == "random":
        random.Random(seed).shuffle(chunks)
    return [ChunkScore(chunk, 0.0) for chunk in chunks]


def _token_scores(model: MPlusModel, memory: Memory, query_ids: Sequence[int]) -> Tensor:
    """The best similarity (L, m) of a question token to each long-term token, of the layers with memory:
    by the retriever of the layer or, where it has none, of the last one before it."""
    queries = question_queries(model, torch.tensor([list(query_ids)], device=model.device))
    scores = []
    for row, query in enumerate(queries):
        keys = torch.cat([part.tokens.lookup(row, 0, len(part)) for part in memory.segments])
        found = model.retriever.token_scores(row, query, keys.to(query.device).float())
        scores.append(found.amax(dim=0).cpu())
    layers = model.retriever.layers
    rows = [max(sum(own <= layer for own in layers) - 1, 0) for layer in model.memory_layers]
    return torch.stack([scores[row] for row in rows])


def _priority(memory: Memory, how: How, gold: Collection[int], seed: str) -> Tensor:
    """Priorities (1 or L, m) of long-term tokens: the newest, any, or the right chunks' first."""
    born = _born(memory.segments).double()
    if how == "random":
        generator = torch.Generator().manual_seed(random.Random(seed).getrandbits(62))
        return torch.rand(born.shape, generator=generator)
    if how == "newest":
        return born
    chunks = cat_layers([segment.tokens.chunks for segment in memory.segments])
    right = torch.isin(chunks, torch.tensor(sorted(gold), dtype=chunks.dtype))
    return born + right * (memory.clock + 1)


def _born(segments: Sequence[Segment]) -> Tensor:
    return cat_layers([segment.born for segment in segments])
