"""What experiments need of the network besides reading and answering: other ways to recall, the loss
of text behind a memory, and networks to compare with. Knows token ids; no data set, no file.

Shapes: T text tokens, m long-term tokens, k recalled tokens, L layers, H key/value heads, d head size.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers.models.llama.modeling_llama import LlamaForCausalLM

from models.config import MPlusConfig
from models.decoder import Decoder
from models.generate import Guide, Sampling, decode, prefill
from models.memory import Memory, cat_layers
from models.network import MPlusModel
from models.packing import pack
from models.recall import ChunkRecall, Recall, TokenRecall, gather, near_question, recall_chunks
from models.retriever import make_retriever
from models.scan import ChunkScore, question_queries, score_chunks

if TYPE_CHECKING:
    from mplus_cli.evaluation.arms import How


class PriorityRecall(TokenRecall):
    """The tokens of highest priority in each layer, oldest first, whatever the prompt's states."""

    def __init__(self, model: MPlusModel, memory: Memory, priority: Tensor, budget: int) -> None:
        """Choose by priority (1 or L, m)."""
        super().__init__(model, memory, budget)
        best = priority.topk(len(self)).indices
        born = _born(memory).expand(best.shape[0], -1)
        oldest = torch.gather(born, 1, best).argsort(dim=1, stable=True)
        rows = torch.gather(best, 1, oldest).expand(len(model.memory_layers), -1)
        self.indices = dict(enumerate(rows))

    def layer(self, index: int, hidden: Tensor) -> tuple[Tensor, Tensor]:
        rows = self.indices[index][None]
        found = gather(self._segments, rows, layers=slice(index, index + 1))
        return found.keys[0].to(hidden.device), found.values[0].to(hidden.device)


@torch.no_grad()
def recall_as(
    model: MPlusModel,
    memory: Memory,
    query_ids: Sequence[int],
    how: How,
    *,
    ranked: Sequence[ChunkScore] | None = None,
    gold: Collection[int] = (),
    seed: str = "",
) -> tuple[Sequence[ChunkScore], Recall]:
    """Recall in one of the ways that experiments compare.

    Args:
        ranked: how the retriever ranks the chunks for this question, where that is known.
        gold: the chunks that answer the question, for `oracle`.
        seed: of what `random` draws.

    Returns:
        The chunks, best first (known only after the prefill where layers choose), and the recall.
    """
    config = model.config
    budget = 0 if how == "none" else config.recalled_tokens
    there = bool(memory.ltm_tokens and budget)
    if config.recall == "tokens" and (how in ("learned", "tokens") or not there):
        return (), TokenRecall(model, memory, budget)
    if there and (config.recall == "tokens" or (how == "tokens" and query_ids)):
        priority = _priority(model, memory, query_ids, how, gold, seed)
        return (), PriorityRecall(model, memory, priority, budget)
    if how in ("random", "newest"):
        numbers = [segment.tokens.chunks.unique().tolist() for segment in memory.segments]
        chunks = sorted({chunk for part in numbers for chunk in part} - {-1}, reverse=True)
        if how == "random":
            random.Random(seed).shuffle(chunks)
        ranked = [ChunkScore(chunk, 0.0) for chunk in chunks]
    elif ranked is None:
        ranked = score_chunks(model, memory, query_ids)
    if how == "oracle" and ranked:
        best = max(score.score for score in ranked)
        right = [ChunkScore(score.chunk, best) for score in ranked if score.chunk in gold]
        ranked = right + [score for score in ranked if score.chunk not in gold]
    tokens = recall_chunks(memory, ranked, budget)
    if how not in ("learned", "oracle"):
        return ranked, ChunkRecall(tokens.to(model.device))
    near = None
    if config.window_weight and ranked:
        ids = torch.tensor([list(query_ids)], device=model.device)
        near = near_question(model, memory, tokens, question_queries(model, ids))
    return ranked, ChunkRecall(tokens.to(model.device), ranked, config.relevance_weight, near)


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
    said = decode(model, cache, logits, Sampling(), guide)
    for _, token in zip(range(limit), said, strict=False):
        if token in stop_ids:
            return
        yield token


@torch.no_grad()
def memory_loss(
    model: MPlusModel, memory: Memory, recall: Recall, lead: Sequence[int], ids: Sequence[int]
) -> Tensor:
    """Nats (T,) of the tokens `ids`, read by the generate pass behind a memory.

    Args:
        lead: the text just before, at least one token; it is not scored.
    """
    text = [*lead, *ids[:-1]]
    logits, _ = prefill(model, memory, recall, text, spare=0, all_logits=True)
    wanted = torch.tensor(list(ids), device=logits.device)
    return cross_entropy(logits[len(lead) - 1 :], wanted, reduction="none")


@torch.no_grad()
def window_loss(llama: LlamaForCausalLM, before: Sequence[int], ids: Sequence[int]) -> Tensor:
    """Nats (T,) of the tokens `ids` behind the tokens `before` (at least one), on the base alone."""
    text = torch.tensor([[*before, *ids]], device=llama.device)
    out = llama(input_ids=text[:, :-1], use_cache=False, logits_to_keep=len(ids))
    return cross_entropy(out.logits[0].float(), text[0, -len(ids) :], reduction="none")


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
        scorer="cosine",
        retriever_layers=(0,),
    )
    decoder = Decoder(llama)
    retriever = make_retriever(own, decoder.layers, decoder.hidden)
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
        salience=model.salience,
    )


def _priority(
    model: MPlusModel,
    memory: Memory,
    query_ids: Sequence[int],
    how: How,
    gold: Collection[int],
    seed: str,
) -> Tensor:
    """Priorities (1 or L, m) of long-term tokens: the best-fitting, any, the newest, or the right chunks'."""
    born = _born(memory).double()
    if how == "tokens":
        return _token_scores(model, memory, query_ids)
    if how == "random":
        generator = torch.Generator().manual_seed(random.Random(seed).getrandbits(62))
        return torch.rand(born.shape, generator=generator)
    if how == "newest":
        return born
    chunks = cat_layers([segment.tokens.chunks for segment in memory.segments])
    right = torch.isin(chunks, torch.tensor(sorted(gold), dtype=chunks.dtype))
    return born + right * (memory.clock + 1)


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


def _born(memory: Memory) -> Tensor:
    return cat_layers([segment.born for segment in memory.segments])
