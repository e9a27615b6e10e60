"""The retriever's loss: scores as in use, the gradient of a dense maximum, and learning alone."""

from __future__ import annotations

import torch

from models.config import RetrieverShape
from models.retriever import MaxSimRetriever
from models.training.recall import score_candidates


def retriever() -> MaxSimRetriever:
    torch.manual_seed(3)
    made = MaxSimRetriever(RetrieverShape("maxsim", width=8, hidden=4, layers=(0, 2)), 3, 16)
    for weight in made.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return made


def dense_scores(
    found: MaxSimRetriever,
    row: int,
    states: torch.Tensor,
    real: torch.Tensor,
    chunks: torch.Tensor,
) -> torch.Tensor:
    """The definition, without any of the shortcuts."""
    streams = []
    for stream in range(len(states)):
        rows = []
        for state, kept in zip(states[stream], real[stream], strict=True):
            queries = found.queries(row, state[kept])
            similar = [found.token_scores(row, queries, found.keys(row, c)) for c in chunks[stream]]
            rows.append(torch.stack([part.amax(dim=1).sum() for part in similar]))
        streams.append(torch.stack(rows))
    return torch.stack(streams)


def test_scores_and_gradients_are_those_of_the_definition() -> None:
    found = retriever()
    states = torch.randn(2, 3, 5, 16)
    lengths = torch.tensor([[5, 2, 3], [1, 5, 4]])
    real = torch.arange(5) < lengths[:, :, None]
    chunks = torch.randn(2, 4, 6, 16)
    gold = torch.tensor([1, 0, 3, 2, 2, 1])
    gradients = []
    for score in (score_candidates, dense_scores):
        scores = score(found, 1, states, real, chunks)
        found.zero_grad()
        torch.nn.functional.cross_entropy(scores.flatten(0, 1), gold).backward()
        learned = [w.grad.clone() for w in found.parameters() if w.grad is not None]
        gradients.append((scores.detach(), learned))
    torch.testing.assert_close(gradients[0][0], gradients[1][0])
    assert len(gradients[0][1]) == len(gradients[1][1]) >= 6
    for one, other in zip(gradients[0][1], gradients[1][1], strict=True):
        torch.testing.assert_close(one, other)
