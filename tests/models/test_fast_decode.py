from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from models.cache import KeyValueCache, Paths
from models.checkpoints import load
from models.fast_decode import FastDecoder, fits, join, optimise_for_device, pack8
from models.generate import prefill
from models.recall import look_up
from models.sampling import Sampling, decode
from models.update import read_chunk

Build = Callable[..., Any]
Ids = Callable[[int, int], list[int]]


def cache_of(model: Any, chunk_ids: Ids, spare: int = 8) -> tuple[torch.Tensor, KeyValueCache]:
    memory = model.empty_memory()
    for number in range(5):
        memory = read_chunk(model, memory, chunk_ids(number, 8))
    recall = look_up(model, memory, chunk_ids(1, 4)).recall
    return prefill(model, memory, recall, chunk_ids(9, 6), spare=spare)


@pytest.mark.parametrize("lay_out", [join, pack8])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_step_gives_nearly_the_same_logits(
    build_network: Build, chunk_ids: Ids, dtype: torch.dtype, lay_out: Any
) -> None:
    model = build_network()
    model.generate.stack.to(dtype)
    model = model.with_fresh_bos()
    fast = FastDecoder(model.generate, lay_out)
    (_, exact_cache), (_, cache) = cache_of(model, chunk_ids), cache_of(model, chunk_ids)
    for token in chunk_ids(7, 6):
        exact = model.generate.step(token, exact_cache)
        found = fast.step(token, cache)
        assert found.shape == exact.shape and found.dtype == torch.float32
        assert float((found - exact).norm() / exact.norm()) < 0.05
    assert len(cache) == len(exact_cache)
    for mine, theirs in zip(cache._keys, exact_cache._keys, strict=True):
        torch.testing.assert_close(
            mine[:, :, : len(cache)], theirs[:, :, : len(cache)], atol=0.2, rtol=0.1
        )


@pytest.mark.parametrize(
    "changes",
    [{}, {"relevance_weight": 0.5}, {"relevance_weight": 0.5, "memory_layers": (1,)}],
    ids=["alike", "weighed", "one layer"],
)
def test_with_exact_weights_it_is_the_same_network(
    build_network: Build,
    chunk_ids: Ids,
    changes: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Weights that 8 bits hold exactly leave only the order of sums: a wrong form would show. (The kernel
    would round what is projected to bfloat16.)"""
    monkeypatch.delattr(torch, "_weight_int8pack_mm", raising=False)
    model = build_network(**changes)
    for name, weight in model.generate.stack.named_parameters():
        if "norm" not in name and "embed" not in name:
            codes = (weight / weight.abs().amax(dim=1, keepdim=True) * 127).round()
            weight.data = codes / 256
        elif "norm" in name:
            weight.data.fill_(0.5)
    (_, exact_cache), (_, cache) = cache_of(model, chunk_ids), cache_of(model, chunk_ids)
    fast = FastDecoder(model.generate, pack8)
    for token in chunk_ids(7, 6):
        exact, found = model.generate.step(token, exact_cache), fast.step(token, cache)
        torch.testing.assert_close(found, exact, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("fast", [False, True])
def test_what_steps_need_is_made_again_once_released(
    build_network: Build, chunk_ids: Ids, fast: bool
) -> None:
    model = build_network()
    decoder = FastDecoder(model.generate) if fast else model.generate
    (_, cache), (_, again) = cache_of(model, chunk_ids), cache_of(model, chunk_ids)
    decoder.prepare()
    before = decoder.step(7, cache)
    decoder.release()
    assert "_layers" not in vars(decoder)
    assert torch.equal(decoder.step(7, again), before)


@pytest.mark.parametrize("fast", [False, True])
def test_tokens_read_side_by_side_see_none_of_each_other(
    build_network: Build, chunk_ids: Ids, fast: bool
) -> None:
    model = build_network(memory_layers=(1, 2), relevance_weight=2.0, lookahead=3)
    decoder = FastDecoder(model.generate) if fast else model.generate
    tokens = chunk_ids(5, 3)
    cache, *alone = [cache_of(model, chunk_ids)[1] for _ in range(4)]
    held = len(cache)
    found = decoder.fork(tokens, cache)
    single = [decoder.step(token, other) for token, other in zip(tokens, alone, strict=True)]
    torch.testing.assert_close(found, torch.cat(single), atol=1e-4, rtol=1e-4)
    cache.keep(1, 3)
    assert len(cache) == len(alone[1]) == held + 1
    torch.testing.assert_close(
        decoder.step(7, cache), decoder.step(7, alone[1]), atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("window", [None, 3])
@pytest.mark.parametrize("fast", [False, True])
def test_branches_side_by_side_are_branches_one_after_the_other(
    build_network: Build, chunk_ids: Ids, fast: bool, window: int | None
) -> None:
    """Three texts, some of them ended before others, with layers that see few tokens back."""
    model = build_network(memory_layers=(1, 2), relevance_weight=2.0)
    model.generate.windows = [window, window, *model.generate.windows[2:]]
    decoder = FastDecoder(model.generate) if fast else model.generate
    texts = [chunk_ids(number, 4) for number in (5, 6, 7)]
    alone = []
    for text in texts:
        cache = cache_of(model, chunk_ids)[1]
        alone.append([decoder.step(token, cache)[0] for token in text])
    cache = cache_of(model, chunk_ids)[1]
    rows: list[list[int]] = [[], [], []]
    newest = 0
    for depth, live in enumerate([(0, 1, 2), (2, 0), (0, 2), (0,)]):
        paths = Paths(newest, tuple(tuple(rows[number]) for number in live))
        found = decoder.fork([texts[number][depth] for number in live], cache, paths)
        for at, number in enumerate(live):
            torch.testing.assert_close(found[at], alone[number][depth], atol=1e-4, rtol=1e-4)
            rows[number].append(newest + at)
        newest += len(live)


def test_answers_are_the_same_every_time(build_network: Build, chunk_ids: Ids) -> None:
    model = build_network()
    optimise_for_device(model)
    assert isinstance(model.step_decoder, FastDecoder)
    said = []
    for _ in range(2):
        logits, cache = cache_of(model, chunk_ids)
        steps = decode(model, cache, logits, Sampling())
        said.append([next(steps) for _ in range(9)])
        with pytest.raises(StopIteration):
            next(steps)
    assert said[0] == said[1]


@pytest.mark.parametrize(
    ("attention", "tiles", "expected"),
    [
        ("sdpa", False, "grouped_causal"),
        ("sdpa", True, "sdpa"),
        ("eager", False, "eager"),
    ],
)
def test_optimised_reading_is_the_same_reading(
    build_network: Build,
    chunk_ids: Ids,
    monkeypatch: pytest.MonkeyPatch,
    attention: str,
    tiles: bool,
    expected: str,
) -> None:
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: tiles)
    exact, quick = build_network(attention), build_network(attention)
    optimise_for_device(quick)
    assert quick.update.attention == quick.generate.attention == expected
    one, other = exact.empty_memory(), quick.empty_memory()
    for number in range(5):
        ids = chunk_ids(number, 8)
        one, other = read_chunk(exact, one, ids), read_chunk(quick, other, ids)
    for name, rows in one.stm.tokens.tensors().items():
        torch.testing.assert_close(other.stm.tokens.tensors()[name], rows, atol=1e-4, rtol=0)


def test_it_is_for_merged_models_that_are_not_too_large(
    build_network: Build, tiny_checkpoint_folder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fits(load(tiny_checkpoint_folder).model.generate)
    live = load(tiny_checkpoint_folder, merge=False).model
    optimise_for_device(live)
    assert live.step_decoder is live.generate
    model = build_network()
    monkeypatch.setattr("models.fast_decode.LARGEST", 10)
    assert not fits(model.generate)


def test_joined_weights_are_the_network_itself(build_network: Build, chunk_ids: Ids) -> None:
    model = build_network()
    (_, exact_cache), (_, cache) = cache_of(model, chunk_ids), cache_of(model, chunk_ids)
    fast = FastDecoder(model.generate)
    for token in chunk_ids(7, 6):
        exact, found = model.generate.step(token, exact_cache), fast.step(token, cache)
        torch.testing.assert_close(found, exact, atol=1e-4, rtol=1e-5)
