"""Training the retriever to tell the chunk a question is about from others.

Contrastive cross-entropy over whole chunks, scored as at inference (late interaction), on detached
states.

Shapes: as in `models.training.batch`; P retriever width, T row tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from models.network import MPlusModel
from models.relevance import LEAST_RELEVANCE, near_weight, window_scores
from models.retriever import MaxSimRetriever
from models.training.batch import Batch


def chunk_scores(model: MPlusModel, batch: Batch, normed: Tensor) -> Tensor | None:
    """Scores (S, Q, 1 + N) of each stream's chunks, the new one and the candidates, for its questions;
    -inf where there is no chunk. None if no loss needs scores.

    Args:
        normed: the states that the step wrote (R, S, K, D), detached, as the retriever's layers take
            them.
    """
    retriever = model.retriever
    if not isinstance(retriever, MaxSimRetriever):
        return None
    learns = any(weight.requires_grad for weight in retriever.parameters())
    if not (learns or model.config.reading.relevance_weight):
        return None
    candidates = batch.candidates
    streams = torch.arange(len(candidates), device=candidates.device)[:, None]
    states = question_states(model, batch.questions)
    total: Tensor | None = None
    for row, (state, new, past) in enumerate(zip(states, normed, batch.past.normed, strict=True)):
        chunks = torch.cat([new[:, None], past[streams, candidates.clamp(min=0)]], dim=1)
        scores = score_candidates(retriever, row, state, batch.real, chunks)
        total = scores if total is None else total + scores
    assert total is not None, "a retriever has layers"
    there = functional.pad(candidates >= 0, (1, 0), value=True)
    return total.masked_fill(~there[:, None], -torch.inf)


def recall_loss(scores: Tensor | None, batch: Batch) -> tuple[Tensor, Tensor]:
    """-log softmax of the right chunk's score among its stream's candidates, and recall at 1.

    Mean over a stream's questions, then over streams.

    Args:
        scores: from `chunk_scores`.
    """
    gold, there = batch.gold, batch.gold >= 0
    if scores is None or not scores.requires_grad:
        nothing = torch.zeros((), device=gold.device)
        return nothing, nothing
    losses = functional.cross_entropy(
        scores.flatten(0, 1), gold.flatten(), ignore_index=-1, reduction="none"
    ).view(gold.shape)
    loss = (losses.sum(dim=1) / there.sum(dim=1).clamp(min=1)).mean()
    hits = (scores.argmax(dim=2) == gold).sum() / there.sum().clamp(min=1)
    return loss, hits


def prefix_relevance(
    model: MPlusModel, batch: Batch, scores: Tensor | None, normed: Tensor
) -> Tensor | None:
    """What the retriever's scores add to the attention logits of the prefix, as at inference
    (`models.relevance`): (S, T, 1 + C K) for every token of the rows; None for nothing.

    The gradient of the answers flows into the retriever through the chunks' scores, not through
    those of windows.

    Args:
        scores: of `chunk_scores`.
        normed: as for `chunk_scores`.
    """
    each = normed.shape[2]
    weight = model.config.reading.relevance_weight
    if not (weight or model.config.reading.window_weight) or scores is None:
        return None
    most = scores.shape[1]
    order = batch.order[:, None].expand(-1, most, -1)  # (S, Q, C)
    placed = scores.gather(2, order.clamp(min=0)).masked_fill(order < 0, -torch.inf)
    odds = weight * (placed - placed.amax(dim=2, keepdim=True))
    tokens = odds.clamp(min=LEAST_RELEVANCE).repeat_interleave(each, dim=2)
    if model.config.reading.window_weight:
        config, near = model.config, _near_question(model, batch, normed)
        near = near_weight(near, config.reading.window_weight, config.reading.window_limit)
        tokens = (tokens + near).clamp(min=LEAST_RELEVANCE)
    # Padding and examples without a question take the last row, of zeros; BOS is not weighed.
    tokens = functional.pad(tokens, (1, 0, 0, 1))
    examples = batch.rows.examples
    asked = (examples >= 0) & (examples < batch.answered[:, None])
    which = torch.where(asked, examples, most)
    return tokens.gather(1, which[:, :, None].expand(-1, -1, tokens.shape[2]))


@torch.no_grad()
def _near_question(model: MPlusModel, batch: Batch, normed: Tensor) -> Tensor:
    """How much worse the windows around each memory token of the prefix fit the questions than the best
    window of its chunk: (S, Q, C K), see `models.relevance.nearness`."""
    retriever = model.retriever
    assert isinstance(retriever, MaxSimRetriever), "there are scores"
    order = batch.order
    slots = functional.pad(batch.candidates, (1, 0)).gather(1, order.clamp(min=0)).clamp(min=0)
    stream = torch.arange(len(order), device=order.device)[:, None]
    similarities = []
    for row, states in enumerate(question_states(model, batch.questions)):
        past = batch.past.normed[row][stream, slots]  # (S, C, K, D)
        laid = torch.where((order == 0)[:, :, None, None], normed[row][:, None], past)
        keys = retriever.keys(row, laid)[:, None]  # (S, 1, C, K, P)
        queries = retriever.queries(row, states)[:, :, None]  # (S, Q, 1, q, P)
        found = (queries @ keys.transpose(3, 4)).float()  # (S, Q, C, q, K)
        similarities.append(found.masked_fill(~batch.real[:, :, None, :, None], 0.0))
    scores = window_scores(torch.cat(similarities, dim=3), model.config.window_memory_tokens)
    return (scores - scores.amax(dim=3, keepdim=True)).flatten(2)


def score_candidates(
    retriever: MaxSimRetriever, row: int, states: Tensor, real: Tensor, chunks: Tensor
) -> Tensor:
    """Scores (S, Q, C), of one retriever layer, of chunks (S, C, K, D) for questions (S, Q, q, D).

    The maxima are found without gradients and computed again with them: their gradient reaches one key
    per query and chunk, while a backward pass over all similarities would be dense.

    Args:
        real: (S, Q, q) which question tokens are not padding.
    """
    count, each = chunks.shape[1:3]
    queries = retriever.queries(row, states).flatten(1, 2)  # (S, Q q, P)
    keys = retriever.keys(row, chunks).flatten(1, 2)  # (S, C K, P)
    with torch.no_grad():
        found = queries @ keys.transpose(1, 2)
        first = found.unflatten(2, (count, each)).argmax(dim=3)
        winners = first + torch.arange(0, count * each, each, device=keys.device)  # (S, Q q, C)
    index = winners.flatten(1)[:, :, None].expand(-1, -1, keys.shape[2])
    chosen = keys.gather(1, index).unflatten(1, winners.shape[1:])
    best = torch.einsum("sqp,sqcp->sqc", queries, chosen).float()
    best = best.unflatten(1, states.shape[1:3])  # (S, Q, q, C)
    return torch.where(real[..., None], best, 0).sum(dim=2)


@torch.no_grad()
def question_states(model: MPlusModel, questions: Tensor) -> Sequence[Tensor]:
    """Questions (S, Q, q), each read behind BOS alone, by the decoder that writes: normed states
    (S, Q, q, D) at the retriever's layers."""
    decoder, layers = model.update, model.retriever.layers
    shape = questions.shape
    ids = functional.pad(questions.flatten(0, 1), (1, 0), value=model.bos_id)
    rotary, mask = decoder.rotary(0, shape[2] + 1), decoder.mask(shape[2] + 1, 0)
    states = []
    with decoder.active():
        hidden = decoder.embed(ids)
        for index in range(max(layers) + 1):
            if index in layers:
                states.append(decoder.normed(index, hidden[:, 1:]).unflatten(0, shape[:2]))
            if index < max(layers):
                hidden = decoder.layer(index, hidden, rotary, mask, None)
    return states
