"""`reranker.safetensors` of a checkpoint: what attention to a chunk, and to a passage in it, says of how well
they answer a question.

    python -m benchmarks.reranker katrine=katrine.json other=more.jsonl --home FOLDER \\
        --held-out moonfleet=moonfleet.json --out MODEL_FOLDER

Memories and files of questions as for `benchmarks.question_retriever`. Each question is looked up by the
retriever and its words, and read behind the best chunks one by one (`models.reranking`). The weights are
those of two softmaxes: over these chunks, beside the score that each has already, and over the passages of
the three best, likewise. Passages are told apart by the heads whose attention is on the right ones most.
Nothing else learns, so the checkpoint in --out keeps its fingerprint. What is measured goes to stderr: how
often a right chunk, or passage, is among the best, and the log loss.

Shapes: Q questions, C chunks or passages, M layers with memory, A attention heads, S statistics, F figures.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.question_retriever import gold_chunks, questions_of
from models.checkpoints.reranker import save_reranker
from models.recall import look_up
from models.reranker import STATISTICS, Attended, Reranker
from models.reranking import READ_APART, read_apart
from mplus_cli.asking.lexical import find_words
from mplus_cli.asking.open_memory import load_memory
from mplus_cli.asking.passages import ScoredText, memory_tokens
from mplus_cli.asking.prompting import measure
from mplus_cli.asking.question import Question
from mplus_cli.asking.rereading import PER_LOG_ODDS, score_recalled
from mplus_cli.asking.words import Words, word_weights
from mplus_cli.runtime.session import Session, open_session
from mplus_cli.settings import Flags, resolve

RIDGE = 0.1
"""What the squared weights of chunks' figures cost, where each figure has a standard deviation of 1."""
PLACES_RIDGE = 0.01
"""What the squared weights of passages' figures cost, where each figure has a standard deviation of 1."""
SCALE = 0.2
"""What scores of chunks are multiplied by before anything is fitted: they are that much too sure."""
HEADS = 16
"""That tell passages apart."""
BEST = 3
"""Chunks whose passages are compared."""
NONE = -1e9
"""The score of what is not there."""


class Asked(NamedTuple):
    """Questions with what is compared for them."""

    figures: Tensor
    """(Q, C, F)."""
    scores: Tensor
    """(Q, C); `NONE` where a question has fewer."""
    right: Tensor
    """(Q, C) bool."""


class Read(NamedTuple):
    """One question, read behind its best chunks."""

    chunks: Asked
    passages: Asked


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
    shape = len(session.model.memory_layers), session.model.generate.stack.architecture.heads
    sizes = (*shape, len(STATISTICS)), (*shape, 2)
    read_layers = (torch.arange(shape[0]) < given.depth).float()[:, None, None]
    everything = Reranker(*(read_layers.expand(size) for size in sizes))
    asked = [*read(session, given.sets, everything)]
    chunks = gathered([one.chunks for one in asked])
    passages = gathered([one.passages for one in asked if one.passages.right.any()])
    by_chunk, by_passage = fit(chunks, RIDGE, SCALE), fit_places(passages)
    if given.held_out:
        held_out = [*read(session, given.held_out, everything)]
        for name, kind, found in (("chunks", 0, by_chunk), ("passages", 1, by_passage)):
            own = gathered([one[kind] for one in held_out])
            _say(f"{name} before: {measured(own.scores * (1 if kind else SCALE), own.right)}")
            _say(f"{name} after: {measured(weighed(own, *found), own.right)}")
    weights, places = (torch.zeros(size) for size in sizes)
    weights[: given.depth] = (by_chunk[1] / by_chunk[0]).view(given.depth, *weights.shape[1:])
    places[: given.depth] = (by_passage[1] / by_passage[0]).view(given.depth, *places.shape[1:])
    save_reranker(given.out, Reranker(weights, places))


def read(session: Session, sets: Sequence[str], everything: Reranker) -> Iterator[Read]:
    """Every question to which an answer is known, read behind its best chunks in the layers that count."""
    for named in sets:
        name, _, path = named.partition("=")
        opened = load_memory(session, session.library.open(name))
        texts = opened.texts or tuple(opened.stored.texts(opened.memory.chunks))
        weights, count = word_weights(session, opened.calibration), 0
        for line in questions_of(Path(path)):
            gold = gold_chunks(line, texts)
            draft = measure(session, Question(line["question"]))
            words = Words.find(weights, draft.question, texts, opened.calibration)
            found = look_up(session.model, opened.memory, draft.query_ids, words.prior)
            best = found.ranked[:READ_APART]
            if len(best) < READ_APART or not any(entry.chunk in gold for entry in best):
                continue
            numbers, count = [entry.chunk for entry in best], count + 1
            statistics, attended = read_apart(
                session.model, opened.memory, draft.bare_ids, numbers, everything
            )
            chunks = Asked(
                statistics.flatten(1)[None],
                torch.tensor([[entry.score for entry in best]]),
                torch.tensor([[entry.chunk in gold for entry in best]]),
            )
            shown = numbers[:BEST]
            scored = score_recalled(
                session,
                opened.memory,
                line["question"],
                found,
                shown,
                [texts[one] for one in shown],
            )
            compared = [
                _passages(session, text, own, PER_LOG_ODDS * entry.score, line, entry.chunk in gold)
                for text, own, entry in zip(scored, attended, best, strict=False)
            ]
            yield Read(
                chunks, Asked(*(torch.cat(part)[None] for part in zip(*compared, strict=True)))
            )
        _say(f"{name}: {count} questions, {len(texts)} chunks")


def _passages(
    session: Session,
    text: ScoredText,
    attended: Attended,
    score: float,
    line: Mapping[str, Any],
    is_right: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """A chunk's passages with what attention says of each (C, F), their scores (C,), and which are right."""
    offsets = session.plain_tokenizer.encode(text.text)[1]
    starts = [start for start, _ in offsets]
    runs = memory_tokens(text.passages, attended.shares.shape[1], starts)
    each = [Attended(own[None], torch.ones(1)).of_runs(runs) for own in attended.shares]
    places = [place for answer in line["answers"] for place in find_words(text.text, answer)]
    right = [
        is_right and any(start <= a and b <= stop for a, b in places)
        for start, stop in text.passages
    ]
    return torch.tensor(each).T, torch.tensor(text.scores) + score, torch.tensor(right)


def gathered(parts: Sequence[Asked]) -> Asked:
    """Questions as one, their figures without the mean over what is compared."""
    most = max(part.scores.shape[1] for part in parts)
    padded = []
    for figures, scores, right in parts:
        more = most - scores.shape[1]
        apart = figures - figures.mean(dim=1, keepdim=True)
        padded.append(
            (
                functional.pad(apart, (0, 0, 0, more)),
                functional.pad(scores, (0, more), value=NONE),
                functional.pad(right, (0, more)),
            )
        )
    return Asked(*(torch.cat(column) for column in zip(*padded, strict=True)))


def fit(asked: Asked, ridge: float, scale: float) -> tuple[float, Tensor]:
    """What to multiply scores by (first `scale`) and the weights (F,), by -log softmax of what is right."""
    there = asked.scores > NONE / 2
    deviation = asked.figures[there].std(dim=0) + 1e-4
    steady = asked._replace(figures=asked.figures / deviation)
    times = torch.tensor(scale, requires_grad=True)
    weights = torch.zeros(asked.figures.shape[2], requires_grad=True)
    search = torch.optim.LBFGS([times, weights], max_iter=60, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        search.zero_grad()
        total = (
            log_loss(weighed(steady, times, weights), asked.right) + ridge * weights.square().sum()
        )
        total.backward()
        return total

    search.step(loss)
    return float(times.detach()), weights.detach() / deviation


def fit_places(asked: Asked) -> tuple[float, Tensor]:
    """As `fit`, of the figures of the heads whose attention is on the right passages most."""
    per_head = asked.figures[asked.right].mean(dim=0).view(-1, 2).amax(dim=1)
    heads = per_head.topk(min(HEADS, len(per_head))).indices
    kept = torch.zeros_like(per_head, dtype=torch.bool)
    kept[heads] = True
    columns = kept.repeat_interleave(2)
    scale, weights = fit(asked._replace(figures=asked.figures[..., columns]), PLACES_RIDGE, 1.0)
    return scale, torch.zeros(len(columns)).masked_scatter(columns, weights)


def weighed(asked: Asked, scale: float | Tensor, weights: Tensor) -> Tensor:
    """Scores (Q, C) with what the figures say."""
    scores = asked.scores * scale + asked.figures @ weights
    return scores.masked_fill(asked.scores < NONE / 2, NONE)


def log_loss(scores: Tensor, right: Tensor) -> Tensor:
    """-log softmax of all that is right together, mean of the questions to which something is."""
    told = right.any(dim=1)
    theirs = scores[told].masked_fill(~right[told], -torch.inf).logsumexp(dim=1)
    return (scores[told].logsumexp(dim=1) - theirs).mean()


def measured(scores: Tensor, right: Tensor) -> dict[str, float]:
    """How often something right is first, or among three or five, and the log loss."""
    hits = right.gather(1, scores.argsort(dim=1, descending=True, stable=True))
    best = {str(count): float(hits[:, :count].any(dim=1).float().mean()) for count in (1, 3, 5)}
    return {"questions": len(right), **best, "loss": float(log_loss(scores, right))}


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
