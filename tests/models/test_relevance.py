"""Chunks weigh by their scores when they are read: nothing by default, the best one in full."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from models.config import ConfigError, MPlusConfig
from models.generate import Sampling, decode, prefill
from models.recall import LEAST_RELEVANCE, ChunkRecall, ChunkScore, relevance
from models.update import read_chunk

Ids = Callable[[int, int], list[int]]
RANKED = [ChunkScore(1, 5.0), ChunkScore(0, 2.0), ChunkScore(2, -40.0)]


def test_differences_of_scores_are_added_and_tokens_of_no_chunk_count_in_full() -> None:
    bias = relevance(RANKED, torch.tensor([0, 0, 1, 2, -1, 7]), 0.5)
    assert bias.tolist() == [-1.5, -1.5, 0.0, LEAST_RELEVANCE, 0.0, 0.0]
    assert relevance(RANKED, torch.tensor([0, 2]), 1.0).tolist() == [0.0, LEAST_RELEVANCE]


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


def test_it_is_off_by_default_and_has_limits() -> None:
    assert MPlusConfig().relevance_weight == 0
    assert MPlusConfig.from_dict({"relevance_weight": 1}).relevance_weight == 1
    with pytest.raises(ConfigError, match="relevance_weight"):
        MPlusConfig(relevance_weight=-0.1)
    with pytest.raises(ConfigError, match="recall"):
        MPlusConfig(recall="tokens", scorer="sigmoid", relevance_weight=1.0)
