from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from models.config import ConfigError
from models.gathering import chunk_spans, gather
from models.memory import Memory, Segment, merge
from models.recall import TokenRecall, recall_chunks
from models.scan import ChunkScore, question_queries, runs_alike, score_chunks
from models.update import compact, read_chunk

Ids = Callable[[int, int], list[int]]
Build = Callable[..., Any]


@pytest.fixture
def read_many(build_network: Build, chunk_ids: Ids) -> Callable[..., tuple[Any, Memory]]:
    def read(count: int = 7, **changes: Any) -> tuple[Any, Memory]:
        model = build_network(**changes)
        memory = model.empty_memory()
        for number in range(count):
            memory = read_chunk(model, memory, chunk_ids(number, 8))
        return model, memory

    return read


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"scorer": "maxsim", "retriever_layers": (0, 2)},
        {"scorer": "maxsim", "retriever_layers": None},
    ],
    ids=["cosine", "maxsim", "maxsim everywhere"],
)
def test_chunk_scores_against_plain_loops(
    read_many: Any, chunk_ids: Ids, changes: dict[str, Any]
) -> None:
    model, memory = read_many(**changes)
    question = chunk_ids(3, 8)[2:6]
    queries = question_queries(model, torch.tensor([question]))
    tokens = [segment.tokens for segment in memory.segments] + [memory.stm.tokens]
    expected = {}
    for chunk in range(7):
        total = 0.0
        for row, query in enumerate(queries):
            for one in query:
                best = -float("inf")
                for part in tokens:
                    for place, number in enumerate(part.chunks[0].tolist()):
                        if number == chunk:
                            best = max(best, float(one @ part.retriever_keys[row, place]))
                total += best
        expected[chunk] = total
    found = score_chunks(model, memory, question)
    assert {score.chunk for score in found} == set(range(7))
    for score in found:
        assert score.score == pytest.approx(expected[score.chunk], abs=1e-4)
    order = [score.score for score in found]
    assert order == sorted(order, reverse=True)
    if model.config.retriever.scorer == "cosine":
        assert found[0].chunk == 3, "its own words are in that chunk"


def test_a_question_is_read_by_the_base_behind_bos(build_network: Build, tiny_llama: Any) -> None:
    model = build_network(scorer="maxsim", retriever_layers=(0, 2))
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        states = tiny_llama(torch.tensor([[0, 5, 6, 7]]), output_hidden_states=True).hidden_states
    for row, layer in enumerate((0, 2)):
        normed = model.generate.normed(layer, states[layer][0, 1:])
        expected = model.retriever.queries(row, normed)
        torch.testing.assert_close(question_queries(model, ids)[row], expected, atol=1e-5, rtol=0)


def test_nothing_to_score(build_network: Build, read_many: Any) -> None:
    model = build_network()
    assert score_chunks(model, model.empty_memory(), [5]) == []
    model, memory = read_many()
    assert score_chunks(model, memory, []) == []


def test_tokens_that_came_with_the_checkpoint_are_no_chunk(read_many: Any, chunk_ids: Ids) -> None:
    model, memory = read_many()
    first = memory.segments[0]
    shipped = replace(first.tokens, chunks=torch.full_like(first.tokens.chunks, -1))
    memory = memory.with_segments([Segment(shipped, first.born), *memory.segments[1:]])
    assert 0 not in {score.chunk for score in score_chunks(model, memory, chunk_ids(0, 4))}


def test_recall_takes_the_best_that_fit_oldest_first(read_many: Any) -> None:
    _, memory = read_many()
    ranked = [ChunkScore(chunk, 0.0) for chunk in (4, 6, 1, 3, 0)]
    recalled = recall_chunks(memory, ranked, 17)
    # Chunks 5 and 6 are in short-term memory: there is nothing of them to recall.
    assert recalled.chunks[0].tolist() == [1] * 8 + [4] * 8
    everything = merge(memory.segments).tokens
    assert torch.equal(recalled.keys[:, :8], everything.keys[:, 8:16])
    assert torch.equal(recalled.values[:, 8:], everything.values[:, 32:40])


@pytest.mark.parametrize(("budget", "count"), [(0, 0), (7, 0), (8, 8), (15, 8), (100, 40)])
def test_recall_keeps_to_its_budget(read_many: Any, budget: int, count: int) -> None:
    _, memory = read_many()
    ranked = [ChunkScore(chunk, 0.0) for chunk in range(7)]
    assert len(recall_chunks(memory, ranked, budget)) == count


def test_a_chunk_half_in_long_term_memory_is_recalled_in_part(
    build_network: Build, chunk_ids: Ids
) -> None:
    model = build_network(stm_tokens=12)
    memory = model.empty_memory()
    for number in range(3):
        memory = read_chunk(model, memory, chunk_ids(number, 8))
    spans = chunk_spans(memory.segments, [1, 2, 0])
    assert spans == {0: [(0, 0, 4), (1, 0, 4)], 1: [(1, 4, 8)]}
    recalled = recall_chunks(memory, [ChunkScore(1, 1.0), ChunkScore(0, 0.5)], 12)
    assert recalled.chunks[0].tolist() == [0] * 8 + [1] * 4
    smaller = recall_chunks(memory, [ChunkScore(1, 1.0), ChunkScore(0, 0.5)], 11)
    assert smaller.chunks[0].tolist() == [1] * 4


def test_token_recall_against_plain_loops(read_many: Any, chunk_ids: Ids) -> None:
    model, memory = read_many(published=True)
    hidden = model.generate.embed(torch.tensor([chunk_ids(99, 5)]))
    recall = TokenRecall(model, memory, 16)
    ltm = merge(memory.segments)
    for layer in range(3):
        normed = model.generate.normed(layer, hidden[0])
        queries = model.retriever.queries(layer, normed)
        scores = []
        for key in ltm.tokens.retriever_keys[layer]:
            chances = [1 / (1 + float((-(query @ key)).exp())) for query in queries]
            scores.append(sum(chances) / len(chances))
        best = sorted(range(len(scores)), key=lambda place: -scores[place])[:16]
        keys, values = recall.layer(layer, hidden)
        found = recall.indices[layer].tolist()
        assert sorted(found) == sorted(best)
        born = ltm.born.expand(3, -1)[layer][found].tolist()
        assert born == sorted(born)
        assert torch.equal(keys, ltm.tokens.keys[layer, found])
        assert torch.equal(values, ltm.tokens.values[layer, found])
    votes = recall.chunk_scores()
    assert sum(vote.score for vote in votes) == pytest.approx(1.0)
    assert [vote.score for vote in votes] == sorted((vote.score for vote in votes), reverse=True)


def test_recalled_tokens_do_not_depend_on_the_segments(read_many: Any, chunk_ids: Ids) -> None:
    model, memory = read_many(published=True)
    hidden = model.generate.embed(torch.tensor([chunk_ids(99, 5)]))
    apart, together = TokenRecall(model, memory, 16), TokenRecall(model, compact(memory), 16)
    for layer in range(3):
        for one, other in zip(
            apart.layer(layer, hidden), together.layer(layer, hidden), strict=True
        ):
            assert torch.equal(one, other)


@pytest.mark.parametrize("shared", [True, False])
def test_gather_across_segments(read_many: Any, shared: bool) -> None:
    _, memory = read_many()
    everything = merge(memory.segments).tokens
    index = torch.tensor([[39, 0, 17, 8, 16]])
    if not shared:
        index = torch.cat([index, index.flip(1), torch.tensor([[1, 1, 2, 30, 31]])])
    found, expected = gather(memory.segments, index), everything.take(index)
    assert torch.equal(found.keys, expected.keys)
    assert torch.equal(found.values, expected.values)
    assert torch.equal(found.chunks.expand(3, -1), expected.chunks.expand(3, -1))


def test_recall_of_tokens_needs_the_sigmoid_scorer(build_network: Build) -> None:
    with pytest.raises(ConfigError, match="scorer 'sigmoid'"):
        build_network(published=True, scorer="maxsim")


def test_runs_cover_every_token_of_a_chunk_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.scan.SCAN_TOKENS", 8)
    chunks = torch.tensor([-1, -1, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 6, 6, 6, -1, 7])
    covered = []
    for runs in runs_alike(chunks, 2):
        assert runs.length * len(runs.chunks) <= 8
        for at, chunk in enumerate(runs.chunks.tolist()):
            start = runs.start + at * runs.length
            assert set(chunks[start : start + runs.length].tolist()) == {chunk}
            covered += range(start, start + runs.length)
    assert covered == [place for place, chunk in enumerate(chunks.tolist()) if chunk >= 0]


@pytest.mark.parametrize("most", [3, 8, 8192])
def test_scores_do_not_depend_on_how_memory_is_cut(
    build_network: Build, chunk_ids: Ids, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Short chunks, segments of any length, and blocks of any size."""
    monkeypatch.setattr("models.scan.SCAN_TOKENS", most)
    model = build_network(scorer="maxsim", retriever_layers=(0, 2))
    memory = model.empty_memory()
    for number, length in enumerate((8, 8, 3, 1, 8, 5, 8, 8)):
        memory = read_chunk(model, memory, chunk_ids(number, length))
    question = chunk_ids(4, 8)[2:6]
    found = score_chunks(model, memory, question)
    tokens = compact(memory).segments[0].tokens.unpack()
    numbers = torch.cat([tokens.chunks[0], memory.stm.tokens.chunks[0]])
    totals = torch.zeros(8)
    for row, query in enumerate(question_queries(model, torch.tensor([question]))):
        keys = torch.cat([tokens.retriever_keys[row], memory.stm.tokens.retriever_keys[row]])
        scores = query @ keys.T
        for chunk in range(8):
            totals[chunk] += scores[:, numbers == chunk].amax(dim=1).sum()
    assert [score.chunk for score in found] == totals.argsort(descending=True).tolist()
    torch.testing.assert_close(
        torch.tensor([score.score for score in found]), totals.sort(descending=True).values
    )


def test_chunks_left_out_are_as_if_they_were_not_there(read_many: Any) -> None:
    """Neither recalled nor ranked, and short-term memory's tokens of them are not read."""
    from models.generate import prefill
    from models.recall import look_up

    model, memory = read_many(7)
    held = memory.stm.tokens.chunks[0].unique().tolist()
    outside = {0, 1, held[-1]}
    found = look_up(model, memory, [5, 6, 7], dict.fromkeys(outside, float("-inf")))
    assert not outside & {entry.chunk for entry in found.ranked}
    assert not outside & set(found.present(memory))
    assert not outside & found.recall.recalled_chunks()
    logits, _ = prefill(model, memory, found.recall, [5, 6, 7], spare=1)
    hidden = memory.stm.tokens.chunks[0] == held[-1]
    other = memory.stm.tokens.each(lambda rows: rows.clone())
    other.keys[:, hidden] += 1.0
    other.values[:, hidden] += 1.0
    changed = replace(memory, stm=replace(memory.stm, tokens=other))
    again, _ = prefill(model, changed, found.recall, [5, 6, 7], spare=1)
    assert torch.equal(logits, again) and logits.isfinite().all()
    whole = look_up(model, memory, [5, 6, 7])
    assert look_up(model, memory, [5, 6, 7], {}).ranked == whole.ranked
    assert not torch.equal(logits, prefill(model, memory, whole.recall, [5, 6, 7], spare=1)[0])
