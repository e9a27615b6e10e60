"""`question_retriever.safetensors` of a checkpoint: its retriever learns to look questions up, in memories
that stay as they are.

    python -m benchmarks.question_retriever katrine=katrine.json other=more.jsonl --home FOLDER \\
        --held-out moonfleet=moonfleet.json --out MODEL_FOLDER

Each memory comes with a file of questions about it: a file of `benchmarks/novels`, or JSON lines of
{"question", "answers", "evidence"}. `evidence` is text of the document in which an answer stands; chunks that
hold it and the answer are the right ones, and all others of the memory are wrong. Questions without answers
are left out. Only f_q and the gates learn, so the checkpoint in --out keeps its fingerprint and opens the
same memories. What is measured goes to stderr: how often a right chunk is among the best, and the log loss.

Shapes: R retriever layers, q question tokens, C chunks, L memory tokens of the longest, P retriever width.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from models.checkpoints.question_side import read_retriever, save_question_side
from models.retriever import MaxSimRetriever, make_retriever
from models.training.recall import question_states
from mplus_cli.asking.lexical import find_words
from mplus_cli.asking.open_memory import load_memory
from mplus_cli.asking.prompting import query_ids
from mplus_cli.asking.question import Question
from mplus_cli.asking.words import Words, word_weights
from mplus_cli.runtime.session import Session, open_session
from mplus_cli.settings import Flags, resolve

TEMPERATURE = 4.0
"""Scores are divided by this in the loss: on novels they are that much too sure, and without it training
would only make them smaller. So they keep their scale, to which reading and confidence were fitted."""
DROPOUT = 0.1
STAY = 1e-3
"""Weighs the squared distance from the weights that training starts from."""
BATCH, RATE, GATE_RATE, WARM_UP = 12, 3e-4, 1e-4, 20


class Asked(NamedTuple):
    """A question about a memory."""

    states: Tensor
    """(R, q, D), as the retriever takes them."""
    prior: Tensor
    """(C,): what its words add to the scores of chunks."""
    gold: tuple[int, ...]


class Book(NamedTuple):
    """A memory and the questions about it."""

    keys: Tensor
    """(R, C, L, P); a shorter chunk repeats its last key."""
    asked: tuple[Asked, ...]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    options.add_argument("sets", nargs="+", metavar="MEMORY=QUESTIONS")
    options.add_argument("--held-out", nargs="*", default=[], metavar="MEMORY=QUESTIONS")
    options.add_argument("--home", type=Path)
    options.add_argument("--model")
    options.add_argument("--out", type=Path, required=True, help="a checkpoint of its own copy")
    options.add_argument("--epochs", type=int, default=6)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    settings = resolve(Flags(model=given.model, home=given.home))
    session = open_session(settings, note=_say, progress=lambda *_: None)
    books = [_book(session, named) for named in given.sets]
    held_out = [_book(session, named) for named in given.held_out]
    retriever = make_retriever(
        session.model.config.retriever, session.model.update.layers, session.model.update.hidden
    )
    retriever.load_state_dict(read_retriever(given.out))
    assert isinstance(retriever, MaxSimRetriever), "only a trained retriever has two sides"
    _say(f"before: {measure(retriever, held_out)}")
    train(retriever, books, given.epochs, given.seed)
    _say(f"after: {measure(retriever, held_out)}")
    save_question_side(given.out, retriever.state_dict())


def train(retriever: MaxSimRetriever, books: Sequence[Book], epochs: int, seed: int) -> None:
    """Train f_q and the gates by -log softmax of the right chunks' scores among all of a memory."""
    torch.manual_seed(seed)
    draw = random.Random(seed)
    towers, gates = [*retriever.query.parameters()], [*retriever.gate.parameters()]
    before = [weight.detach().clone() for weight in towers + gates]
    optimiser = torch.optim.Adam(
        [{"params": towers, "lr": RATE}, {"params": gates, "lr": GATE_RATE}], betas=(0.9, 0.98)
    )
    per_epoch = sum(-(-len(book.asked) // BATCH) for book in books)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda step: min(1, (step + 1) / WARM_UP) * max(0.05, 1 - step / (epochs * per_epoch)),
    )
    for _ in range(epochs):
        for book, batch in _batches(books, draw):
            scores = score(retriever, book, batch, DROPOUT) / TEMPERATURE
            moved = sum(
                ((weight - old) ** 2).sum()
                for weight, old in zip(towers + gates, before, strict=True)
            )
            loss = _loss(scores, batch).mean() + STAY * moved
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(towers + gates, 1.0)
            optimiser.step()
            schedule.step()


def score(
    retriever: MaxSimRetriever, book: Book, asked: Sequence[Asked], dropout: float = 0.0
) -> Tensor:
    """Scores (questions, C), as in use. The maxima are found without gradients, as in training."""
    lengths = torch.tensor([one.states.shape[1] for one in asked])
    owner = torch.repeat_interleave(torch.arange(len(asked)), lengths)
    total = torch.stack([one.prior for one in asked])
    for row, keys in enumerate(book.keys):
        states = functional.dropout(torch.cat([one.states[row] for one in asked]), dropout)
        queries = retriever.queries(row, states)
        with torch.no_grad():
            best = torch.einsum("qp,clp->qcl", queries, keys).argmax(dim=2)
        chosen = keys[torch.arange(len(keys)), best]
        total = total.index_add(0, owner, torch.einsum("qp,qcp->qc", queries, chosen))
    return total


@torch.no_grad()
def measure(retriever: MaxSimRetriever, books: Sequence[Book]) -> dict[str, float]:
    """How often a right chunk is first and among three, and the log loss, with words as in use."""
    ranks, losses = [], []
    for book in books:
        for one in book.asked:
            scores = score(retriever, book, [one])
            ranks.append(int((scores[0] > scores[0, list(one.gold)].max()).sum()))
            losses.append(float(_loss(scores / TEMPERATURE, [one])))
    count = max(len(ranks), 1)
    first, three = (sum(rank < most for rank in ranks) / count for most in (1, 3))
    return {"questions": len(ranks), "first": first, "three": three, "loss": sum(losses) / count}


def _loss(scores: Tensor, asked: Sequence[Asked]) -> Tensor:
    right = [row[list(one.gold)].logsumexp(0) for row, one in zip(scores, asked, strict=True)]
    return scores.logsumexp(dim=1) - torch.stack(right)


def _batches(books: Sequence[Book], draw: random.Random) -> Iterator[tuple[Book, Sequence[Asked]]]:
    batches = []
    for book in books:
        asked = draw.sample(book.asked, len(book.asked))
        batches += [(book, asked[at : at + BATCH]) for at in range(0, len(asked), BATCH)]
    draw.shuffle(batches)
    return iter(batches)


def _book(session: Session, named: str) -> Book:
    name, _, path = named.partition("=")
    opened = load_memory(session, session.library.open(name))
    texts = opened.texts or tuple(opened.stored.texts(opened.memory.chunks))
    weights = word_weights(session, opened.calibration)
    asked = []
    for line in questions_of(Path(path)):
        gold = gold_chunks(line, texts)
        if gold:
            question = Question(line["question"])
            ids = torch.tensor([[query_ids(session, question)]])
            states = torch.stack([part[0, 0] for part in question_states(session.model, ids)])
            prior = Words.find(weights, question, texts, opened.calibration).prior or {}
            added = torch.tensor([prior.get(chunk, 0.0) for chunk in range(len(texts))])
            asked.append(Asked(states.float(), added, gold))
    parts = [segment.tokens for segment in opened.memory.segments] + [opened.memory.stm.tokens]
    chunks = torch.cat([part.chunks[0] for part in parts])
    rows = range(len(session.model.retriever.layers))
    keys = torch.stack(
        [torch.cat([part.lookup(row, 0, len(part)).float() for part in parts]) for row in rows]
    )
    counts = torch.bincount(chunks[chunks >= 0], minlength=len(texts))
    starts = counts.cumsum(0) - counts + int((chunks < 0).sum())
    within = torch.minimum(
        torch.arange(int(counts.max()))[None], (counts[:, None] - 1).clamp(min=0)
    )
    _say(f"{name}: {len(asked)} questions, {len(texts)} chunks")
    return Book(keys[:, starts[:, None] + within], tuple(asked))


def gold_chunks(line: dict[str, Any], texts: Sequence[str]) -> tuple[int, ...]:
    """The chunks that hold an answer and, as far as it is in them, its evidence."""
    evidence = " ".join((line.get("evidence") or "").split())
    found = []
    for chunk, text in enumerate(texts):
        plain = " ".join(text.split())
        is_there = evidence[:60] in plain or evidence[-60:] in plain
        if evidence and is_there and any(find_words(text, one) for one in line["answers"] or ()):
            found.append(chunk)
    return tuple(found)


def questions_of(path: Path) -> list[dict[str, Any]]:
    """The lines of a file of questions."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        return list(json.loads(text)["questions"])
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
