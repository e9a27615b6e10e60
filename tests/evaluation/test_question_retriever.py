"""Training how questions are looked up, on drawn memories: right chunks come first, and keys stay."""

from __future__ import annotations

import torch
from torch.nn import functional

from benchmarks.question_retriever import Asked, Book, gold_chunks, measure, score, train
from models.config import RetrieverShape
from models.retriever import MaxSimRetriever, make_retriever

HIDDEN, WIDTH, CHUNKS, LENGTH = 32, 8, 6, 4


def drawn() -> tuple[MaxSimRetriever, Book]:
    """A fresh retriever, and a memory with questions whose states have nothing to do with it yet."""
    torch.manual_seed(3)
    shape = RetrieverShape("maxsim", width=WIDTH, hidden=16, layers=(0, 1))
    retriever = make_retriever(shape, 2, HIDDEN)
    assert isinstance(retriever, MaxSimRetriever)
    keys = functional.normalize(torch.randn(2, CHUNKS, LENGTH, WIDTH), dim=-1)
    asked = tuple(
        Asked(torch.randn(2, 3 + number % 2, HIDDEN), torch.zeros(CHUNKS), (number % CHUNKS,))
        for number in range(18)
    )
    return retriever, Book(keys, asked)


def test_right_chunks_come_first_and_keys_stay() -> None:
    retriever, book = drawn()
    before = {name: weight.clone() for name, weight in retriever.state_dict().items()}
    first, state = measure(retriever, [book]), retriever.state_dict()
    train(retriever, [book], epochs=40, seed=0)
    after = measure(retriever, [book])
    assert after["loss"] < first["loss"] - 0.02 and after["three"] > first["three"]
    for name, weight in state.items():
        assert torch.equal(weight, before[name]) == name.startswith("key."), name


def test_scores_are_those_of_late_interaction() -> None:
    retriever, book = drawn()
    one, other = book.asked[:2]
    wanted = torch.zeros(CHUNKS)
    for row, keys in enumerate(book.keys):
        queries = retriever.queries(row, one.states[row])
        found = retriever.token_scores(row, queries, keys.flatten(0, 1))
        wanted += found.unflatten(1, (CHUNKS, LENGTH)).amax(dim=2).sum(dim=0)
    found = score(retriever, book, [one._replace(prior=torch.ones(CHUNKS)), other])
    torch.testing.assert_close(found[0], wanted + 1)


def test_the_right_chunk_holds_the_answer_and_its_evidence() -> None:
    texts = ["The dog barked.", "Ann came home.\nThe dog barked at  Ann.", "Ann barked."]
    line = {"answers": ["Ann"], "evidence": "The dog barked at Ann."}
    assert gold_chunks(line, texts) == (1,)
    assert (
        gold_chunks(line | {"answers": None}, texts)
        == gold_chunks({"answers": ["Ann"]}, texts)
        == ()
    )
