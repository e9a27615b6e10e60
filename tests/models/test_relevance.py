"""Chunks weigh by their scores when they are read: nothing by default, the best one in full."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from models.config import ConfigError, MPlusConfig, Reading
from models.evidence import rank_by_windows, similarities
from models.generate import prefill
from models.memory import Memory
from models.network import MPlusModel
from models.recall import ChunkRecall, look_up, near_question, recall_chunks
from models.relevance import LEAST_RELEVANCE, nearness, relevance, window_scores
from models.sampling import Sampling, decode
from models.scan import ChunkScore, question_queries, rank
from models.update import read_chunk

Ids = Callable[[int, int], list[int]]
RANKED = [ChunkScore(1, 5.0), ChunkScore(0, 2.0), ChunkScore(2, -40.0)]


def test_differences_of_scores_are_added_and_tokens_of_no_chunk_count_in_full() -> None:
    scores = {entry.chunk: entry.score for entry in RANKED}
    bias = relevance(scores, torch.tensor([0, 0, 1, 2, -1, 7]), 0.5)
    assert bias.tolist() == [-1.5, -1.5, 0.0, LEAST_RELEVANCE, 0.0, 0.0]
    assert relevance(scores, torch.tensor([0, 2]), 1.0).tolist() == [0.0, LEAST_RELEVANCE]


def test_the_least_weight_hides_a_chunk(build_network: Callable[..., Any], chunk_ids: Ids) -> None:
    """What weighs nothing may as well hold another text."""
    model = build_network()
    prompt, logits = chunk_ids(99, 6), []
    memory = model.empty_memory()
    for number in range(2):
        memory = read_chunk(model, memory, chunk_ids(number, 8))
    other = memory.stm.tokens.values.clone()
    other[:, :8] = other[:, :8].flip(1)
    tokens = replace(memory.stm.tokens, values=other)
    changed = replace(memory, stm=replace(memory.stm, tokens=tokens))
    nothing = memory.stm.tokens.slice(0, 0)
    for weight in (0.0, 1.0):
        recall = ChunkRecall(nothing, [ChunkScore(1, 100.0), ChunkScore(0, 0.0)], weight)
        one, two = (prefill(model, m, recall, prompt, spare=0)[0] for m in (memory, changed))
        logits.append((one - two).abs().max())
    seen, hidden = logits
    assert seen > 0.3
    assert hidden < 0.01 * seen


def test_decoding_weighs_as_the_prefill_does(
    build_network: Callable[..., Any], chunk_ids: Ids
) -> None:
    model = build_network()
    memory = model.empty_memory()
    for number in range(2):
        memory = read_chunk(model, memory, chunk_ids(number, 8))
    recall = ChunkRecall(memory.stm.tokens.slice(0, 0), RANKED, 1.0)
    prompt = chunk_ids(98, 5)
    logits, cache = prefill(model, memory, recall, prompt, spare=4)
    steps = decode(model, cache, logits, Sampling())
    drawn = [next(steps) for _ in range(5)]
    for count in range(4):
        again, _ = prefill(model, memory, recall, prompt + drawn[: count + 1], spare=0)
        assert int(again[-1].argmax()) == drawn[count + 1]
    one, _ = prefill(model, memory, recall, prompt[:1], spare=0)
    plain, _ = prefill(model, memory, ChunkRecall(recall._tokens), prompt[:1], spare=0)
    assert not torch.allclose(one, plain), "a prompt of one token is weighed too"


@pytest.mark.parametrize("window", [1, 2, 3, 4, 6, 40])
@pytest.mark.parametrize("count", [1, 2, 5, 12, 13])
def test_windows_against_plain_loops(window: int, count: int) -> None:
    torch.manual_seed(window * 100 + count)
    found = torch.randn(3, count)
    half = max(window // 2, 1)
    blocks = range(-(-count // half))
    starts = list(blocks)[:-1] or [0]
    expected = []
    for token in range(count):
        holding = [s for s in starts if s <= token // half <= s + 1]
        scores = []
        for start in holding:
            stop = min((start + 2) * half, count)
            scores.append(sum(float(row[start * half : stop].max()) for row in found))
        expected.append(max(scores))
    assert window_scores(found, window).tolist() == pytest.approx(expected, abs=1e-5)


def test_nearness_stays_inside_a_chunk() -> None:
    chunks = torch.tensor([4, 4, 4, 4, -1, -1, 6, 6, 6])
    found = torch.tensor([[0.0, 0, 0, 1, 9, 9, 5, 1, 2]])
    assert nearness([found], chunks, 1).tolist() == [-1, -1, 0, 0, 0, 0, 0, 0, -3]
    assert nearness([], torch.zeros(0), 4).tolist() == []


def read_two(model: MPlusModel, chunk_ids: Ids) -> Memory:
    memory = model.empty_memory()
    for number in range(6):
        memory = read_chunk(model, memory, chunk_ids(number, 8))
    return memory


def test_a_question_is_read_beside_its_own_words(
    build_network: Callable[..., Any], chunk_ids: Ids
) -> None:
    """Of a chunk's tokens those that hold the question's count most, in LTM and in STM."""
    model = build_network(window_weight=2.0, window_tokens=2)
    memory = read_two(model, chunk_ids)
    for number in (1, 5):
        question = chunk_ids(number, 8)[2:4]
        found = look_up(model, memory, question)
        ranked, recall = found.ranked, found.recall
        assert ranked[0].chunk == number
        assert isinstance(recall, ChunkRecall)
        stm = memory.stm.tokens.chunks[0]
        bias = recall.bias(stm)
        assert bias is not None
        chunks = torch.cat([recall._tokens.chunks[0], stm])
        own = bias[chunks == number]
        assert own.max() == 0 and own[2:4].tolist() == [0, 0] and own.min() < -0.1
        assert float(bias.min()) >= LEAST_RELEVANCE


def test_windows_take_no_more_than_the_limit(
    build_network: Callable[..., Any], chunk_ids: Ids
) -> None:
    free, limited = (
        build_network(window_weight=2.0, window_tokens=2, window_limit=limit)
        for limit in (12.0, 0.5)
    )
    memory = read_two(free, chunk_ids)
    queries = question_queries(free, torch.tensor([chunk_ids(5, 8)[2:4]]))
    nothing = memory.stm.tokens.slice(0, 0)
    near, less = (near_question(model, memory, nothing, queries) for model in (free, limited))
    assert near is not None and less is not None
    assert float(near.min()) < -0.5
    assert torch.equal(less, near.clamp(min=-0.5))


def test_without_a_weight_or_a_question_nothing_is_near(
    build_network: Callable[..., Any], chunk_ids: Ids
) -> None:
    plain, near = build_network(), build_network(window_weight=1.0)
    memory = read_two(plain, chunk_ids)
    queries = question_queries(plain, torch.tensor([[5, 6]]))
    tokens = recall_chunks(memory, [], 0)
    assert near_question(plain, memory, tokens, queries) is None
    assert near_question(near, memory, tokens, []) is None
    assert look_up(near, memory, []).recall.bias(memory.stm.tokens.chunks[0]) is None


def test_what_stands_together_goes_before_what_is_scattered(
    build_network: Callable[..., Any], chunk_ids: Ids, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build_network(window_tokens=2, together_weight=0.5)
    memory = read_two(model, chunk_ids)
    question = chunk_ids(1, 8)[2:3] + chunk_ids(4, 8)[6:8]
    queries = question_queries(model, torch.tensor([question]))
    plain = rank(model, memory, queries)
    lost = {}
    for entry, near in zip(
        plain,
        similarities(model, memory, queries, [entry.chunk for entry in plain]),
        strict=True,
    ):
        windows = window_scores(near, model.config.window_memory_tokens)
        lost[entry.chunk] = 0.5 * float(near.amax(dim=1).sum() - windows.max())
    assert len({round(less, 4) for less in lost.values()}) > 1 and min(lost.values()) >= 0
    wanted = {entry.chunk: entry.score - lost[entry.chunk] for entry in plain}
    found = look_up(model, memory, question).ranked
    assert {entry.chunk: entry.score for entry in found} == pytest.approx(wanted, abs=1e-4)
    assert [entry.score for entry in found] == sorted(wanted.values(), reverse=True)
    monkeypatch.setattr("models.evidence.RERANKED", 2)
    best, others = plain[:2], plain[2:]
    most = max(lost[entry.chunk] for entry in best)
    few = look_up(model, memory, question).ranked
    assert {entry.chunk for entry in few[:2]} == {entry.chunk for entry in best}
    assert [entry.chunk for entry in few[2:]] == [entry.chunk for entry in others]
    assert [entry.score for entry in few[2:]] == pytest.approx(
        [entry.score - most for entry in others]
    )


def test_a_chunk_that_is_no_longer_in_memory_loses_nothing(
    build_network: Callable[..., Any], chunk_ids: Ids
) -> None:
    model = build_network(window_tokens=2, together_weight=0.5)
    memory = read_two(model, chunk_ids)
    queries = question_queries(model, torch.tensor([chunk_ids(1, 8)[::7]]))
    found = rank_by_windows(model, memory, queries, [ChunkScore(99, 5.0), ChunkScore(1, 5.0)])
    assert found[0] == ChunkScore(99, 5.0) and found[1].chunk == 1 and found[1].score < 5.0


def test_it_is_off_by_default_and_has_limits() -> None:
    assert Reading().relevance_weight == Reading().window_weight == Reading().together_weight == 0
    wrong = ({"window_weight": -1.0}, {"window_tokens": 0}, {"window_weight": "much"})
    for changes in (*wrong, {"window_limit": -1.0}, {"window_limit": None}):
        with pytest.raises(ConfigError, match=next(iter(changes))):
            MPlusConfig.from_dict(changes)
    assert MPlusConfig.from_dict({"relevance_weight": 1}).reading.relevance_weight == 1
    with pytest.raises(ConfigError, match="relevance_weight"):
        Reading(relevance_weight=-0.1)
    tokens = {"recall": "tokens", "scorer": "sigmoid"}
    for name in ("relevance_weight", "window_weight", "together_weight"):
        with pytest.raises(ConfigError, match=f"{name} needs recall of 'chunks'"):
            MPlusConfig.from_dict({**tokens, name: 1.0})
    with pytest.raises(ConfigError, match="together_weight needs memory_positions"):
        MPlusConfig.from_dict({"memory_positions": "last", "together_weight": 0.5})
    assert MPlusConfig.from_dict({"memory_positions": "last"}).reading.together_weight == 0


def test_a_single_question_gives_back_what_was_ranked_again_and_recalled(
    build_network: Callable[..., Any], chunk_ids: Ids
) -> None:
    model = build_network(window_tokens=2, together_weight=0.5)
    memory, calls = read_two(model, chunk_ids), list[int]()
    segments = [replace(one, give_back=lambda: calls.append(1)) for one in memory.segments]
    memory = memory.with_segments(segments)
    queries = question_queries(model, torch.tensor([chunk_ids(1, 8)[2:4]]))
    ranked = rank(model, memory, queries)
    for keep in (True, False):
        model.generate.keep = keep
        calls.clear()
        rank_by_windows(model, memory, queries, ranked)
        assert len(calls) == (0 if keep else len(segments))
        calls.clear()
        recalled = look_up(model, memory, chunk_ids(1, 8)[2:4])
        assert recalled.ranked and calls[-1:] == ([] if keep else [1])
