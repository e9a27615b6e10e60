"""What experiments need of the network besides reading and answering: other ways to recall, the loss of text
behind a memory, and networks to compare with. Works on token ids, independent of data sets and files.

Shapes: T text tokens, m long-term tokens, k recalled tokens, L layers, H key/value heads, d head size.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from models.config import MPlusConfig, RetrieverShape
from models.decoder import Decoder
from models.gathering import gather
from models.generate import prefill
from models.memory import Memory, cat_layers
from models.network import MPlusModel
from models.packing import pack
from models.recall import ChunkRecall, Found, Recall, TokenRecall, near_question, recall_chunks
from models.retriever import make_retriever
from models.scan import ChunkScore
from models.stack import Stack

if TYPE_CHECKING:
    from mplus_cli.evaluation.arms import RecallMode


class PriorityRecall(TokenRecall):
    """The tokens of highest priority in each layer, oldest first, whatever the prompt's states."""

    def __init__(self, model: MPlusModel, memory: Memory, priority: Tensor, budget: int) -> None:
        """Choose by priority (L, m)."""
        super().__init__(model, memory, budget)
        best = priority.topk(len(self)).indices
        born = cat_layers([part.born for part in memory.segments]).expand(best.shape[0], -1)
        oldest = torch.gather(born, 1, best).argsort(dim=1, stable=True)
        self.indices = dict(enumerate(torch.gather(best, 1, oldest)))

    def layer(self, index: int, hidden: Tensor) -> tuple[Tensor, Tensor]:
        rows = self.indices[index][None]
        found = gather(self._segments, rows, layers=slice(index, index + 1))
        return found.keys[0].to(hidden.device), found.values[0].to(hidden.device)


@torch.no_grad()
def recall_as(
    model: MPlusModel,
    memory: Memory,
    found: Found,
    mode: RecallMode,
    *,
    gold: Collection[int] = (),
    seed: str = "",
) -> Found:
    """What a question finds when memory is recalled in one of the ways that experiments compare.

    Args:
        found: by the retriever (`look_up`).
        gold: the chunks that answer the question, for `oracle`.
        seed: of what `random` draws.

    Raises:
        ValueError: `oracle`, `random` and `newest` are of whole chunks (`Bench.check`).
    """
    config = model.config
    budget = 0 if mode == "none" else config.recalled_tokens
    if config.recall == "tokens":
        if mode in ("oracle", "random", "newest"):
            raise ValueError(f"{mode} recalls chunks, and this model tokens")
        return Found(TokenRecall(model, memory, budget))
    if mode == "learned":
        return found
    if mode == "tokens" and memory.ltm_tokens:
        scores = _token_scores(model, memory, found.queries)
        return Found(PriorityRecall(model, memory, scores, budget))
    ranked = () if mode == "tokens" else found.ranked
    if mode in ("random", "newest"):
        numbers = [segment.tokens.chunks.unique().tolist() for segment in memory.segments]
        chunks = sorted({chunk for part in numbers for chunk in part} - {-1}, reverse=True)
        if mode == "random":
            random.Random(seed).shuffle(chunks)
        held = set(memory.stm.tokens.chunks.unique().tolist()) - {-1}  # in the prefix all the same
        chunks += sorted(held.difference(chunks))
        ranked = tuple(ChunkScore(chunk, 0.0) for chunk in chunks)
    if mode != "oracle":
        tokens = recall_chunks(memory, ranked, budget)
        return Found(ChunkRecall(tokens.to(model.device)), ranked, found.queries)
    right = [ChunkScore(one.chunk, ranked[0].score) for one in ranked if one.chunk in gold]
    ranked = (*right, *(one for one in ranked if one.chunk not in gold))
    tokens = recall_chunks(memory, ranked, budget)
    near = near_question(model, memory, tokens, found.queries)
    weight = config.reading.relevance_weight
    recall = ChunkRecall(tokens.to(model.device), ranked, weight, near)
    return Found(recall, ranked, found.queries)


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
def window_loss(stack: Stack, before: Sequence[int], ids: Sequence[int]) -> Tensor:
    """Nats (T,) of the tokens `ids` behind the tokens `before` (at least one), on the base alone."""
    text = torch.tensor([[*before, *ids]], device=stack.device)
    logits = Decoder(stack).logits(text[:, :-1], last=len(ids))
    return cross_entropy(logits[0].float(), text[0, -len(ids) :], reduction="none")


def long_term_bytes(model: MPlusModel) -> float:
    """Bytes of long-term memory that a token of text takes."""
    tokens = model.empty_memory().stm.tokens
    one = tokens.each(lambda rows: rows.new_zeros((rows.shape[0], 1, *rows.shape[2:])))
    held = sum(part.nbytes for part in pack(one, model.config.ltm_format).tensors().values())
    return held * model.config.new_tokens / model.config.chunk_tokens


def identity_network(stack: Stack, config: MPlusConfig, bos_id: int) -> MPlusModel:
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
    decoder = Decoder(stack)
    retriever = make_retriever(own.retriever, decoder.layers, decoder.hidden)
    return MPlusModel(own, decoder, decoder, retriever, bos_id=bos_id)


def _token_scores(model: MPlusModel, memory: Memory, queries: Sequence[Tensor]) -> Tensor:
    """The best similarity (L, m) of a question token to each long-term token, of the layers with memory:
    by the retriever of the layer or, where it has none, of the last one before it."""
    scores = []
    for row, query in enumerate(queries):
        keys = torch.cat([part.tokens.lookup(row, 0, len(part)) for part in memory.segments])
        found = model.retriever.token_scores(row, query, keys.to(query.device).float())
        scores.append(found.amax(dim=0).cpu())
    layers = model.retriever.layers
    rows = [max(sum(own <= layer for own in layers) - 1, 0) for layer in model.memory_layers]
    return torch.stack([scores[row] for row in rows])
