from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from models.config import MPlusConfig
from models.memory import Memory, merge
from models.update import compact, compress, read_chunk

Ids = Callable[[int, int], list[int]]
Build = Callable[..., Any]


def read(model: Any, lengths: list[int], chunk_ids: Ids) -> list[Memory]:
    memories = [model.empty_memory()]
    for number, length in enumerate(lengths):
        memories.append(read_chunk(model, memories[-1], chunk_ids(number, length)))
    return memories


class Simulation:
    """One layer's memory as plain lists of (born, chunk), newest last."""

    def __init__(self, config: MPlusConfig, layer: int) -> None:
        self.config, self.layer = config, layer
        self.clock, self.chunk = 0, 0
        self.stm: list[dict[str, int]] = []
        self.ltm: list[dict[str, int]] = []

    def read(self, count: int) -> None:
        config = self.config
        excess = max(len(self.stm) + count - config.stm_tokens, 0)
        if config.drop == "oldest":
            gone = set(range(excess))
        else:
            generator = torch.Generator().manual_seed(self.chunk)
            for _ in range(self.layer):
                torch.randperm(len(self.stm), generator=generator)
            order = torch.randperm(len(self.stm), generator=generator).tolist()
            gone = set(order[len(order) - excess :])
        if config.ages_in_stm:
            for token in self.stm:
                token["age"] += count
        for token in self.ltm:
            token["age"] += count
        self.ltm += [token for place, token in enumerate(self.stm) if place in gone]
        self.stm = [token for place, token in enumerate(self.stm) if place not in gone]
        self.stm += [{"age": count - 1 - new, "chunk": self.chunk} for new in range(count)]
        self.clock += count
        self.chunk += 1


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("ages_in_stm", [False, True])
def test_ages_and_chunks_over_many_updates(
    build_network: Build, chunk_ids: Ids, published: bool, ages_in_stm: bool
) -> None:
    model = build_network(published=published, ages_in_stm=ages_in_stm)
    draw = random.Random(7)
    memory = model.empty_memory()
    layers = [Simulation(model.config, layer) for layer in range(3)]
    for number in range(12):
        memory = read_chunk(model, memory, chunk_ids(number, draw.choice([8, 8, 5, 1])))
        count = memory.clock - layers[0].clock
        for layer, plain in enumerate(layers):
            plain.read(count)
            ages = memory.stm.ages.expand(3, -1)[layer].tolist()
            assert ages == [token["age"] for token in plain.stm]
            chunks = memory.stm.tokens.chunks.expand(3, -1)[layer].tolist()
            assert chunks == [token["chunk"] for token in plain.stm]
            if not plain.ltm:
                continue
            ltm = merge(memory.segments)
            ages = (memory.clock - 1 - ltm.born).expand(3, -1)[layer].tolist()
            assert ages == [token["age"] for token in plain.ltm]
            chunks = ltm.tokens.chunks.expand(3, -1)[layer].tolist()
            assert chunks == [token["chunk"] for token in plain.ltm]
    assert memory.ltm_tokens > 3 * model.config.new_tokens
    if published:
        assert not torch.equal(memory.stm.tokens.chunks[0], memory.stm.tokens.chunks[1])


def test_dropped_tokens_keep_their_keys_and_values(build_network: Build, chunk_ids: Ids) -> None:
    before, after = read(build_network(), [8, 8, 8], chunk_ids)[2:]
    dropped = after.segments[0].tokens
    for name in ("keys", "values", "retriever_keys"):
        assert torch.equal(getattr(dropped, name), getattr(before.stm.tokens.slice(0, 8), name))


def test_a_memory_is_a_value(build_network: Build, chunk_ids: Ids) -> None:
    model = build_network()
    first, second = read(model, [8, 8], chunk_ids)[1:]
    keys = first.stm.tokens.keys.clone()
    read_chunk(model, second, chunk_ids(9, 8))
    assert torch.equal(first.stm.tokens.keys, keys)
    assert (first.clock, second.clock, first.chunks, second.chunks) == (8, 16, 1, 2)


@pytest.mark.parametrize("capacity", [1, 8, 11, 16])
def test_capacity_keeps_the_newest(build_network: Build, chunk_ids: Ids, capacity: int) -> None:
    lengths = [8, 8, 8, 8, 8]
    free = read(build_network(), lengths, chunk_ids)[-1]
    held = read(build_network(ltm_capacity=capacity), lengths, chunk_ids)[-1]
    everything, kept = merge(free.segments), merge(held.segments)
    assert held.ltm_tokens == capacity
    assert torch.equal(kept.born, everything.born[:, -capacity:])
    assert torch.equal(kept.tokens.keys, everything.tokens.keys[:, -capacity:])


def test_compacting_changes_nothing(build_network: Build, chunk_ids: Ids) -> None:
    memory = read(build_network(), [8] * 5, chunk_ids)[-1]
    small = compact(memory)
    assert len(memory.segments) == 3 and len(small.segments) == 1
    assert torch.equal(small.segments[0].born, merge(memory.segments).born)


def test_short_term_memory_fills_up_first(build_network: Build, chunk_ids: Ids) -> None:
    memories = read(build_network(stm_tokens=20), [8, 5, 8, 8], chunk_ids)
    assert [len(memory.stm) for memory in memories] == [0, 8, 13, 20, 20]
    assert [memory.ltm_tokens for memory in memories] == [0, 0, 0, 1, 9]


@pytest.mark.parametrize("positions", ["strided", "pooled"])
@pytest.mark.parametrize(("length", "count"), [(8, 4), (7, 4), (2, 1), (1, 1)])
def test_short_chunks_give_fewer_tokens(
    build_network: Build, chunk_ids: Ids, positions: str, length: int, count: int
) -> None:
    model = build_network(new_tokens=4, memory_positions=positions)
    memory = read(model, [8, length], chunk_ids)[-1]
    assert memory.clock == 4 + count and len(memory.stm) == 4 + count
    assert memory.stm.tail.shape == (3, 4, 32)


@pytest.mark.parametrize("length", [1, 3, 8])
def test_the_published_way_always_writes_a_full_set(
    build_network: Build, chunk_ids: Ids, length: int
) -> None:
    model = build_network(published=True)
    memory = read(model, [8, length], chunk_ids)[-1]
    assert memory.clock == 16
    first = read(model, [length], chunk_ids)[-1]
    assert first.clock == length, "with no tail to rewrite there are only the chunk's tokens"


@pytest.mark.parametrize("length", [0, 9])
def test_a_chunk_has_a_size(build_network: Build, length: int) -> None:
    model = build_network()
    with pytest.raises(ValueError, match="1 to 8 tokens"):
        read_chunk(model, model.empty_memory(), [5] * length)


def test_random_drops_follow_the_generator(build_network: Build, chunk_ids: Ids) -> None:
    model = build_network(published=True)
    memory = read(model, [8, 8], chunk_ids)[-1]

    def born(seed: int | None) -> torch.Tensor:
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        return read_chunk(model, memory, chunk_ids(2, 8), generator).segments[0].tokens.keys

    assert torch.equal(born(1), born(1))
    assert not torch.equal(born(1), born(3))
    assert torch.equal(born(None), born(2)), "by default the chunk's number seeds the draw"


@pytest.mark.parametrize("length", range(1, 9))
@pytest.mark.parametrize("positions", ["strided", "pooled", "last"])
@pytest.mark.parametrize("new", [1, 2, 4, 8])
def test_compress_against_plain_loops(length: int, positions: str, new: int) -> None:
    config = MPlusConfig(chunk_tokens=8, new_tokens=new, stm_tokens=8, memory_positions=positions)
    states = torch.arange(2.0 * length).reshape(1, length, 2) ** 2
    rows, ratio = states[0].tolist(), 8 // new
    if positions == "last":
        expected = rows[max(length - new, 0) :]
    else:
        spans = [rows[start : start + ratio] for start in range(0, length, ratio)]
        if positions == "strided":
            expected = [span[-1] for span in spans]
        else:
            expected = [
                [sum(column) / len(span) for column in zip(*span, strict=True)] for span in spans
            ]
    torch.testing.assert_close(compress(states, config)[0], torch.tensor(expected))


def test_memory_state_output_is_what_left_the_layer(build_network: Build, chunk_ids: Ids) -> None:
    inputs = read(build_network(), [8], chunk_ids)[-1].stm.tail
    outputs = read(build_network(memory_state="output"), [8], chunk_ids)[-1].stm.tail
    torch.testing.assert_close(outputs[:-1], inputs[1:])
    assert not torch.allclose(outputs[-1], inputs[-1])


def test_the_tail_is_seen(build_network: Build, chunk_ids: Ids) -> None:
    model = build_network()
    memory = read(model, [8], chunk_ids)[-1]
    blind = replace(memory, stm=replace(memory.stm, tail=torch.zeros_like(memory.stm.tail)))
    seen = read_chunk(model, memory, chunk_ids(1, 8)).stm.tail
    assert not torch.allclose(seen, read_chunk(model, blind, chunk_ids(1, 8)).stm.tail)
