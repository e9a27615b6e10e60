"""The retriever's loss: scores as in use, the gradient of a dense maximum, and learning alone."""

from __future__ import annotations

import torch

from models.config import MPlusConfig
from models.retriever import MaxSimRetriever
from models.training.recall import score_candidates


def retriever() -> MaxSimRetriever:
    torch.manual_seed(3)
    config = MPlusConfig(
        scorer="maxsim", retriever_width=8, retriever_hidden=4, retriever_layers=(0, 2)
    )
    made = MaxSimRetriever(config, 3, 16)
    for weight in made.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return made


def dense_scores(
    found: MaxSimRetriever,
    states: list[torch.Tensor],
    real: torch.Tensor,
    chunks: list[torch.Tensor],
) -> torch.Tensor:
    """The definition, without any of the shortcuts."""
    rows = []
    for question in range(len(real)):
        row = []
        for chunk in chunks:
            total = torch.zeros(())
            for layer, state in enumerate(states):
                queries = found.queries(layer, state[question][real[question]])
                similar = found.token_scores(layer, queries, found.keys(layer, chunk[layer]))
                total = total + similar.amax(dim=1).sum()
            row.append(total)
        rows.append(torch.stack(row))
    return torch.stack(rows)


def test_scores_and_gradients_are_those_of_the_definition() -> None:
    found = retriever()
    states = [torch.randn(3, 5, 16) for _ in range(2)]
    real = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0]]).bool()
    chunks = [torch.randn(2, length, 16) for length in (6, 4, 6, 3)]
    gold = torch.tensor([1, 0, 3])
    gradients = []
    for score in (score_candidates, dense_scores):
        scores = score(found, states, real, chunks)
        found.zero_grad()
        torch.nn.functional.cross_entropy(scores, gold).backward()
        gradients.append((scores.detach(), [w.grad.clone() for w in found.parameters()]))
    torch.testing.assert_close(gradients[0][0], gradients[1][0])
    for one, other in zip(gradients[0][1], gradients[1][1], strict=True):
        torch.testing.assert_close(one, other)
