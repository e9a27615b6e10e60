"""`reranker.safetensors` of a checkpoint: what attention to a chunk says of how well it answers a question.

    python -m benchmarks.reranker katrine=katrine.json other=more.jsonl --home FOLDER \\
        --held-out moonfleet=moonfleet.json --out MODEL_FOLDER

Memories and files of questions as for `benchmarks.question_retriever`. Each question is looked up by the
retriever and its words, and read behind the best chunks one by one (`models.reranking`). The weights are
those of a softmax over these chunks, beside the score that each has already. Nothing else learns, so the
checkpoint in --out keeps its fingerprint. What is measured goes to stderr: how often a right chunk is among
the best, and the log loss.

Shapes: Q questions, C chunks, M layers with memory, A attention heads, S statistics.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.question_retriever import gold_chunks, questions_of
from models.checkpoints.reranker import save_reranker
from models.recall import look_up
from models.reranker import Reranker
from models.reranking import RERANKED, head_statistics
from mplus_cli.asking.open_memory import load_memory
from mplus_cli.asking.prompting import measure
from mplus_cli.asking.question import Question
from mplus_cli.asking.words import Words, word_weights
from mplus_cli.runtime.session import Session, open_session
from mplus_cli.settings import Flags, resolve

RIDGE = 0.1
"""Of weights of statistics that have a standard deviation of 1."""
SCALE = 0.2
"""What scores are multiplied by before anything is fitted: of novels they are that much too sure."""


class Asked(NamedTuple):
    """Questions with their best chunks."""

    statistics: Tensor
    """(Q, C, M, A, S)."""
    scores: Tensor
    """(Q, C)."""
    right: Tensor
    """(Q, C) bool."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    options.add_argument("sets", nargs="+", metavar="MEMORY=QUESTIONS")
    options.add_argument("--held-out", nargs="*", default=[], metavar="MEMORY=QUESTIONS")
    options.add_argument("--home", type=Path)
    options.add_argument("--model")
    options.add_argument("--out", type=Path, required=True, help="a checkpoint of its own copy")
    options.add_argument("--depth", type=int, default=13, help="layers with memory that are read")
    given = options.parse_args()
    settings = resolve(Flags(model=given.model, home=given.home))
    session = open_session(settings, note=_say, progress=lambda *_: None)
    session.model.reranker = None
    asked = gathered(read(session, given.sets, given.depth))
    scale, weights = fit(asked)
    if given.held_out:
        held_out = gathered(read(session, given.held_out, given.depth))
        _say(f"before: {figures(held_out.scores * SCALE, held_out.right)}")
        _say(f"after: {figures(ranked(held_out, scale, weights), held_out.right)}")
    whole = torch.zeros(len(session.model.memory_layers), *weights.shape[1:])
    whole[: given.depth] = weights / scale
    save_reranker(given.out, Reranker(whole))


def read(session: Session, sets: Sequence[str], depth: int) -> Iterator[Asked]:
    """Every question that an answer of its memory is known to, read behind its best chunks."""
    for named in sets:
        name, _, path = named.partition("=")
        opened = load_memory(session, session.library.open(name))
        texts = opened.texts or tuple(opened.stored.texts(opened.memory.chunks))
        weights, found = word_weights(session, opened.calibration), 0
        for line in questions_of(Path(path)):
            gold = gold_chunks(line, texts)
            draft = measure(session, Question(line["question"]))
            words = Words.find(weights, draft.question, texts, opened.calibration)
            best = look_up(session.model, opened.memory, draft.query_ids, words.prior).ranked
            best = best[:RERANKED]
            right = torch.tensor([entry.chunk in gold for entry in best])
            if len(best) < RERANKED or not right.any():
                continue
            chunks, found = [entry.chunk for entry in best], found + 1
            yield Asked(
                head_statistics(session.model, opened.memory, draft.bare_ids, chunks, depth)[None],
                torch.tensor([[entry.score for entry in best]]),
                right[None],
            )
        _say(f"{name}: {found} questions, {len(texts)} chunks")


def gathered(parts: Iterator[Asked]) -> Asked:
    """Questions as one, their statistics without the mean over chunks."""
    statistics, scores, right = (torch.cat(column) for column in zip(*parts, strict=True))
    return Asked(statistics - statistics.mean(dim=1, keepdim=True), scores, right)


def fit(asked: Asked) -> tuple[float, Tensor]:
    """What to multiply scores by, and the weights (M, A, S), by -log softmax of the right chunks."""
    deviation = asked.statistics.flatten(0, 1).std(dim=0) + 1e-4
    steady = asked._replace(statistics=asked.statistics / deviation)
    scale = torch.tensor(SCALE, requires_grad=True)
    weights = torch.zeros(asked.statistics.shape[2:], requires_grad=True)
    search = torch.optim.LBFGS([scale, weights], max_iter=60, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        search.zero_grad()
        total = (
            log_loss(ranked(steady, scale, weights), asked.right) + RIDGE * weights.square().sum()
        )
        total.backward()
        return total

    search.step(loss)
    return float(scale.detach()), weights.detach() / deviation


def ranked(asked: Asked, scale: float | Tensor, weights: Tensor) -> Tensor:
    """Scores (Q, C) with what the statistics say."""
    return asked.scores * scale + (asked.statistics * weights).flatten(2).sum(dim=2)


def log_loss(scores: Tensor, right: Tensor) -> Tensor:
    """-log softmax of the right chunks together, mean of all questions."""
    theirs = scores.masked_fill(~right, -torch.inf).logsumexp(dim=1)
    return (scores.logsumexp(dim=1) - theirs).mean()


def figures(scores: Tensor, right: Tensor) -> dict[str, float]:
    """How often a right chunk is first, or among three or five, and the log loss."""
    order = scores.argsort(dim=1, descending=True, stable=True)
    hits = right.gather(1, order)
    best = {str(count): float(hits[:, :count].any(dim=1).float().mean()) for count in (1, 3, 5)}
    return {"questions": len(right), **best, "loss": float(log_loss(scores, right))}


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
