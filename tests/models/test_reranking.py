"""Chunks ranked by how attention heads read them, against each read by itself."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from models.checkpoints import CheckpointError, load
from models.checkpoints.reranker import RERANKER, save_reranker
from models.memory import Memory
from models.network import MPlusModel
from models.recall import look_up
from models.reranker import STATISTICS, Attended, Reranker
from models.reranking import READ_APART, UNSEEN, _Chunks, rank_by_reading, read_apart
from models.rotary import rotate
from models.scan import ChunkScore
from models.update import read_chunk

Ids = Callable[[int, int], list[int]]
PROMPT = [5, 90, 17, 44, 8]


@pytest.fixture(params=["exact", "k8v4"])
def read_many(
    build_network: Callable[..., MPlusModel], chunk_ids: Ids, request: pytest.FixtureRequest
) -> Callable[..., tuple[MPlusModel, Memory]]:
    def read(lengths: Sequence[int], **changes: Any) -> tuple[MPlusModel, Memory]:
        model = build_network(ltm_format=request.param, **changes)
        memory = model.empty_memory()
        for number, length in enumerate(lengths):
            memory = read_chunk(model, memory, chunk_ids(number, length))
        return model, memory

    return read


def alone(model: MPlusModel, memory: Memory, chunk: int) -> Tensor:
    """The statistics of one chunk (M, A, S), by plain attention over all that is read."""
    decoder, architecture = model.generate, model.generate.stack.architecture
    parts = [part.tokens.unpack() for part in memory.segments] + [memory.stm.tokens]
    inside = [part.chunks[0] == chunk for part in parts]
    lead, count, length = len(model.lead), sum(int(one.sum()) for one in inside), len(PROMPT)
    before = lead + model.config.new_tokens  # until a layer has memory
    hidden = decoder.embed(torch.tensor([PROMPT]))
    found = []
    for index in range(decoder.layers):
        keys, values = (part[0] for part in model.generate_bos.keys_values(index))
        if index in model.memory_layers:
            row, before = list(model.memory_layers).index(index), lead + count
            mine = list(zip(parts, inside, strict=True))
            keys = torch.cat([keys, *(part.keys[row][one] for part, one in mine)])
            values = torch.cat([values, *(part.values[row][one] for part, one in mine)])
        held = len(keys)
        rotary, prefix = decoder.rotary(before, length), decoder.rotary(0, held)
        keys = rotate(keys[None], prefix[index])
        weights = decoder.weights(index)
        projected = weights.qkv(weights.input_norm(hidden)).unflatten(
            -1, (-1, architecture.head_size)
        )
        heads, groups = architecture.heads, architecture.kv_heads
        turned = rotate(projected[:, :, : heads + groups], rotary[index])
        queries, own_keys = turned[:, :heads], turned[:, heads:]
        own_values = projected[:, :, heads + groups :].transpose(1, 2)
        every_key = torch.cat([keys, own_keys], dim=2).repeat_interleave(heads // groups, dim=1)
        every_value = torch.cat([values[None].transpose(1, 2), own_values], dim=2)
        logits = queries @ every_key.transpose(2, 3) * architecture.scale
        seen = torch.ones(length, held + length).tril(held)
        if (window := decoder.windows[index]) is not None:
            seen = seen.triu(held + 1 - window)
        logits = logits.masked_fill(seen == 0, -torch.inf)[0]
        shares = logits.softmax(dim=-1)
        if index in model.memory_layers:
            exact = logits.double().softmax(dim=-1)
            on_memory = exact[..., lead:held].sum(dim=-1)
            odds = (on_memory / (1 - on_memory)).log().float().clamp(min=UNSEEN)
            largest = logits[..., lead:held].amax(dim=-1).clamp(min=UNSEEN)
            found.append(
                torch.stack([odds.mean(-1), odds[:, -1], largest.mean(-1), largest[:, -1]], dim=-1)
            )
        mixed = shares @ every_value[0].repeat_interleave(heads // groups, dim=0)
        hidden = hidden + weights.out(mixed.transpose(0, 1).flatten(1)[None])
        gate, up = weights.gate_up(weights.mlp_norm(hidden)).chunk(2, dim=-1)
        hidden = hidden + weights.down(torch.nn.functional.silu(gate) * up)
    return torch.stack(found)


@torch.no_grad()
@pytest.mark.parametrize("layers", [None, (1, 2), (0, 2)])
@pytest.mark.parametrize("window", [None, 9, 3])
def test_each_chunk_is_read_by_itself(
    read_many: Any, layers: tuple[int, ...] | None, window: int | None
) -> None:
    """Also a short one, and one that is half in long-term and half in short-term memory; in layers that have
    all memory in reach of their window, some of it or, at the prompt's end, none."""
    model, memory = read_many([8, 8, 8, 8, 5, 8], memory_layers=layers)
    stm, ltm = memory.stm.tokens.chunks[0].tolist(), memory.segments[-1].tokens.chunks[0].tolist()
    assert set(stm) & set(ltm), "one chunk is in both"
    before = model.generate.windows
    model.generate.windows = [*before[:-1], window]
    try:
        found = statistics_of(model, memory, range(6))
        expected = [alone(model, memory, chunk) for chunk in range(6)]
    finally:
        model.generate.windows = before
    torch.testing.assert_close(found, torch.stack(expected), atol=2e-4, rtol=2e-4)
    assert bool(found.isfinite().all())


@pytest.mark.parametrize("layers", [None, (1, 2), (0, 2)])
def test_what_is_found_of_a_chunk_does_not_depend_on_the_others(
    read_many: Any, layers: tuple[int, ...] | None
) -> None:
    model, memory = read_many([8, 8, 3, 5, 8], memory_layers=layers)
    together = statistics_of(model, memory, range(5))
    one_by_one = [statistics_of(model, memory, [chunk])[0] for chunk in range(5)]
    torch.testing.assert_close(together, torch.stack(one_by_one), atol=1e-4, rtol=1e-4)


def test_memory_on_two_devices_comes_together_on_that_of_the_model(read_many: Any) -> None:
    """Exact long-term memory stays where it is when short-term memory is on a GPU."""
    model, memory = read_many([8] * 5)
    stm = memory.stm.tokens
    read = _Chunks.of(memory, range(5))
    runs = [run._replace(tokens=stm.to("meta")) if run.tokens is stm else run for run in read.runs]
    assert {run.tokens.chunks.device.type for run in runs} == {"cpu", "meta"}
    moved = replace(read, runs=tuple(runs))
    for part in moved.layer(0, model.dtype, torch.device("meta")):
        assert part.shape == (5, 8, *stm.layout[1:])


def test_fewer_layers_read_alike(read_many: Any) -> None:
    model, memory = read_many([8] * 5)
    found = statistics_of(model, memory, range(5))
    assert torch.equal(statistics_of(model, memory, range(5), 1), found[:, :1])


def whole(model: MPlusModel, depth: int | None = None) -> Reranker:
    """One to which the first so many layers with memory count, and all heads tell places."""
    heads, layers = model.generate.stack.architecture.heads, len(model.memory_layers)
    weights = torch.zeros(layers, heads, len(STATISTICS))
    places = torch.zeros(layers, heads, 2)
    weights[:depth] = 1.0
    places[:depth] = 1.0
    return Reranker(weights, places)


def statistics_of(
    model: MPlusModel, memory: Memory, chunks: Sequence[int], depth: int | None = None
) -> Tensor:
    return read_apart(model, memory, PROMPT, chunks, whole(model, depth))[0]


def with_weights(model: MPlusModel, statistic: str, weight: float) -> None:
    """Let one statistic of the first layer's first head move chunks."""
    heads = model.generate.stack.architecture.heads
    weights = torch.zeros(len(model.memory_layers), heads, len(STATISTICS))
    weights[0, 0, STATISTICS.index(statistic)] = weight
    model.reranker = Reranker(weights, torch.zeros(*weights.shape[:2], 2))


@pytest.mark.parametrize("statistic", STATISTICS)
def test_chunks_move_by_what_the_heads_say(read_many: Any, statistic: str) -> None:
    model, memory = read_many([8] * 20)
    ranked = [ChunkScore(chunk, -float(chunk)) for chunk in range(20)]
    with_weights(model, statistic, 50.0)
    again, attended = rank_by_reading(model, memory, PROMPT, ranked)
    assert set(attended) == set(range(READ_APART))
    found = statistics_of(model, memory, range(READ_APART), 1)
    added = 50.0 * found[:, 0, 0, STATISTICS.index(statistic)]
    moved = added - added.mean()
    order = sorted(range(READ_APART), key=lambda chunk: -(float(moved[chunk]) - chunk))
    assert [entry.chunk for entry in again] == [*order, *range(READ_APART, 20)]
    assert order != list(range(READ_APART))
    for entry in again[:READ_APART]:
        assert entry.score == pytest.approx(float(moved[entry.chunk]) - entry.chunk, abs=1e-3)
    for entry in again[READ_APART:]:
        assert entry.score == pytest.approx(float(moved.min()) - entry.chunk, abs=1e-3)


def test_nothing_moves_without_weights_or_without_a_choice(read_many: Any) -> None:
    model, memory = read_many([8] * 5)
    ranked = [ChunkScore(chunk, -float(chunk)) for chunk in range(5)]
    assert rank_by_reading(model, memory, PROMPT, ranked) == (ranked, {})
    with_weights(model, "odds", 0.0)
    assert rank_by_reading(model, memory, PROMPT, ranked) == (ranked, {})
    with_weights(model, "odds", 50.0)
    assert rank_by_reading(model, memory, PROMPT, ranked[:1]) == (ranked[:1], {})
    assert rank_by_reading(model, memory, [], ranked) == (ranked, {})
    assert rank_by_reading(model, memory, PROMPT, []) == ([], {})


def test_where_heads_attend(read_many: Any) -> None:
    """In a chunk, short or not: shares of attention, whose weighed runs say what is apart from the rest."""
    model, memory = read_many([8, 8, 8, 8, 5, 8])
    _, attended = read_apart(model, memory, PROMPT, range(6), whole(model))
    heads = model.generate.stack.architecture.heads * len(model.memory_layers)
    for chunk, own in enumerate(attended):
        count = 5 if chunk == 4 else 8
        assert own.shares.shape == (2 * heads, count)
        assert bool((own.shares >= 0).all())
        shares = own.shares.view(heads, 2, count)
        assert bool((shares[:, 0] >= shares[:, 1]).all()), "the last token is one of the prompt"
        assert bool((shares[:, 0].sum(dim=-1) <= len(PROMPT)).all())
        first, rest = own.of_runs([(0, 2), (2, count)])
        assert first == pytest.approx(-rest)


def test_runs_with_more_attention_gain() -> None:
    shares = torch.tensor([[0.1, 0.1, 0.6, 0.0], [0.2, 0.2, 0.1, 0.1]])
    runs = [(0, 1), (1, 2), (2, 4)]
    one = Attended(shares, torch.tensor([1.0, 0.0])).of_runs(runs)
    assert one[0] == one[1] < one[2]
    assert sum(one) == pytest.approx(0.0, abs=1e-5)
    assert Attended(shares, torch.tensor([-2.0, 0.0])).of_runs(runs) == pytest.approx(
        [-2 * gain for gain in one]
    )
    assert Attended(shares, torch.tensor([0.0, 1.0])).of_runs(runs) == pytest.approx(
        [0.0] * 3, abs=1e-3
    )
    assert Attended(shares, torch.ones(2)).of_runs([(0, 4)]) == [0.0]
    assert Attended(shares, torch.ones(2)).of_runs([]) == []


def test_a_question_is_looked_up_with_it(read_many: Any, chunk_ids: Ids) -> None:
    """And a chunk that is left out stays out."""
    model, memory = read_many([8] * 6)
    query = chunk_ids(3, 8)[2:6]
    before = look_up(model, memory, query, prompt_ids=PROMPT).ranked
    with_weights(model, "odds", 1000.0)
    assert look_up(model, memory, query).ranked == before
    after = look_up(model, memory, query, prompt_ids=PROMPT).ranked
    assert [entry.chunk for entry in after] != [entry.chunk for entry in before]
    some = look_up(model, memory, query, {2: -torch.inf}, PROMPT).ranked
    assert {entry.chunk for entry in some} == {0, 1, 3, 4, 5}


@pytest.fixture
def checkpoint(tiny_base_folder: Path, tiny_checkpoint_folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(tiny_base_folder, tmp_path / "tiny-base")
    return Path(shutil.copytree(tiny_checkpoint_folder, tmp_path / "tiny-checkpoint"))


def test_a_checkpoint_keeps_it_and_its_memories(checkpoint: Path) -> None:
    before = load(checkpoint, dtype=torch.float32)
    assert before.model.reranker is None
    heads = before.model.generate.stack.architecture.heads
    weights = torch.randn(len(before.model.memory_layers), heads, len(STATISTICS))
    places = torch.randn(*weights.shape[:2], 2)
    save_reranker(checkpoint, Reranker(weights, places))
    after = load(checkpoint, dtype=torch.float32)
    assert after.fingerprint == before.fingerprint
    assert after.model.reranker is not None
    assert torch.equal(after.model.reranker.weights, weights)
    assert torch.equal(after.model.reranker.places, places)
    assert after.model.with_fresh_bos().reranker is after.model.reranker


@pytest.mark.parametrize("what", ["other shape", "other name", "not a number", "no places"])
def test_one_that_does_not_fit_is_refused(checkpoint: Path, what: str) -> None:
    reranker = whole(load(checkpoint, dtype=torch.float32).model)
    held = {"weights": reranker.weights, "places": reranker.places}
    if what == "other shape":
        held["weights"] = held["weights"][:, :, :1].contiguous()
    elif what == "other name":
        held["others"] = held.pop("weights")
    elif what == "not a number":
        held["places"] = torch.full_like(held["places"], torch.nan)
    else:
        del held["places"]
    save_file(held, checkpoint / RERANKER)
    with pytest.raises(CheckpointError, match=RERANKER):
        load(checkpoint, dtype=torch.float32)


def test_a_damaged_one_is_refused(checkpoint: Path) -> None:
    (checkpoint / RERANKER).write_bytes(b"no tensors")
    with pytest.raises(CheckpointError, match=RERANKER):
        load(checkpoint, dtype=torch.float32)
