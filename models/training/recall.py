"""How the retriever learns: to tell the chunk a question is about from others.

Contrastive cross-entropy over whole chunks, scored as in use (late interaction), on detached states.

Shapes: Q questions, q question tokens, C candidate chunks, K memory tokens a chunk, m tokens of all
candidates, R retriever layers, D hidden size, P retriever width, S streams, T row tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from models.network import MPlusModel
from models.recall import LEAST_RELEVANCE
from models.retriever import MaxSimRetriever
from models.training.batch import Batch


def recall_loss(model: MPlusModel, batch: Batch, normed: Tensor) -> tuple[Tensor, float]:
    """-log softmax of the right chunk's score among its stream's candidates, and recall at 1.

    Mean over a stream's questions, then over streams.

    Args:
        normed: what the step wrote (R, S, K, D), detached, as the retriever's layers see it.
    """
    retriever = model.retriever
    if not batch.queries or not isinstance(retriever, MaxSimRetriever):
        return normed.new_zeros((), dtype=torch.float32), 0.0
    states, real = question_states(model, [query.ids for query in batch.queries])
    total, hits = normed.new_zeros((), dtype=torch.float32), 0
    for stream, negatives in enumerate(batch.negatives):
        mine = [at for at, query in enumerate(batch.queries) if query.stream == stream]
        if not mine:
            continue
        candidates = [normed[:, stream], *(chunk.normed for chunk in negatives)]
        own = [state[mine] for state in states]
        scores = score_candidates(retriever, own, real[mine], candidates)
        golds = [batch.queries[at].gold for at in mine]
        gold = torch.tensor(golds, device=scores.device)
        total = total + functional.cross_entropy(scores, gold)
        hits += int((scores.argmax(dim=1) == gold).sum())
    return total / len(batch.negatives), hits / len(batch.queries)


def prefix_relevance(model: MPlusModel, batch: Batch, normed: Tensor, before: int) -> Tensor | None:
    """What the retriever's scores add to the attention logits of the prefix, as in use
    (`models.recall.relevance`): (S, T, before) for every token of the rows; None for nothing.

    The gradient of the answers flows into the retriever through it.
    """
    retriever, weight = model.retriever, model.config.relevance_weight
    if not weight or not isinstance(retriever, MaxSimRetriever):
        return None
    rows = []
    for stream, others in enumerate(batch.distractors):
        pieces = batch.rows.pieces[stream]
        none = torch.zeros(len(pieces), before, device=pieces.device)
        if not batch.asked[stream]:
            rows.append(none)
            continue
        states, real = question_states(model, batch.asked[stream])
        place = batch.places[stream]
        parts = [part.normed for part in others]
        parts.insert(place, normed[:, stream])
        scores = score_candidates(retriever, states, real, parts)  # (Q, C)
        odds = weight * (scores - scores.amax(dim=1, keepdim=True))
        lengths = torch.tensor([part.shape[1] for part in parts], device=scores.device)
        tokens = odds.clamp(min=LEAST_RELEVANCE).repeat_interleave(lengths, dim=1)
        tokens = functional.pad(tokens, (1, before - 1 - tokens.shape[1], 0, 1))
        # Padding and pieces without a question take the last row, of zeros.
        rows.append(tokens[torch.where(pieces < 0, len(odds), pieces).clamp(max=len(odds))])
    return torch.stack(rows)


def score_candidates(
    retriever: MaxSimRetriever, states: Sequence[Tensor], real: Tensor, chunks: Sequence[Tensor]
) -> Tensor:
    """Scores (Q, C) of chunks (R, K, D) for questions with states (Q, q, D) a retriever layer.

    Args:
        real: (Q, q) which question tokens are no padding.
    """
    lengths = [chunk.shape[1] for chunk in chunks]
    scores = torch.zeros(len(real), len(chunks), device=real.device)
    for row, normed in enumerate(torch.cat(list(chunks), dim=1)):
        queries = retriever.queries(row, states[row])[real]  # (Qq, P)
        keys = retriever.keys(row, normed)  # (m, P)
        best = _best_matches(retriever, row, queries, keys, lengths)
        owner = real.nonzero()[:, 0]
        scores = scores.index_add(0, owner, best.float())
    return scores


def _best_matches(
    retriever: MaxSimRetriever, row: int, queries: Tensor, keys: Tensor, lengths: Sequence[int]
) -> Tensor:
    """Each query's (Qq, P) best similarity to a key (m, P) of every chunk: (Qq, C).

    The maximum is looked for without gradients and computed again with them: its gradient touches
    one key a query and chunk, and a backward pass over all similarities would be dense.
    """
    with torch.no_grad():
        found = retriever.token_scores(row, queries, keys)
        starts = torch.tensor([0, *lengths[:-1]], device=keys.device).cumsum(0)
        first = [part.argmax(dim=1) for part in found.split(list(lengths), dim=1)]
        winners = torch.stack(first, dim=1) + starts  # (Qq, C)
    chosen = keys.index_select(0, winners.flatten()).unflatten(0, winners.shape)
    return torch.einsum("qp,qcp->qc", queries, chosen)


@torch.no_grad()
def question_states(model: MPlusModel, questions: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
    """Each question (q,) read behind BOS alone, by the decoder that writes: normed states (Q, q, D)
    at the retriever's layers, padded to the longest, and which tokens are no padding (Q, q)."""
    decoder, layers = model.update, model.retriever.layers
    longest = max(len(ids) for ids in questions)
    longest += -(longest + 1) % 16
    padded = torch.stack([functional.pad(ids, (1, longest - len(ids))) for ids in questions])
    padded[:, 0] = model.bos_id
    lengths = torch.tensor([len(ids) for ids in questions], device=padded.device)
    real = torch.arange(longest, device=padded.device)[None] < lengths[:, None]
    rotary, mask = decoder.rotary(0, longest + 1), decoder.mask(longest + 1, 0)
    states = []
    with decoder.active():
        hidden = decoder.embed(padded)
        for index in range(max(layers) + 1):
            if index in layers:
                states.append(decoder.normed(index, hidden[:, 1:]))
            if index < max(layers):
                hidden = decoder.layer(index, hidden, rotary, mask, None)
    return states, real
