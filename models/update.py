"""Writing memory: a chunk of text becomes memory tokens; what short-term memory drops becomes long-term
(M+, section 3.2; without long-term memory it is MemoryLLM's update, section 3.1).

The update pass computes no logits, and of the last layer only what memory keeps.

Shapes: B batch, T text tokens, k tail tokens, K new memory tokens, L layers, D hidden size,
M layers with memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from models import compat
from models.cache import Prefix
from models.config import Geometry
from models.decoder import Decoder
from models.memory import (
    Memory,
    Segment,
    ShortTermMemory,
    Tokens,
    cat_layers,
    concatenate,
    merge,
)
from models.network import BosStates, MPlusModel
from models.packing import pack
from models.rotary import rotate


@torch.no_grad()
def read_chunk(
    model: MPlusModel,
    memory: Memory,
    ids: Sequence[int],
    generator: torch.Generator | None = None,
) -> Memory:
    """Read one chunk of 1..T token ids into memory; the given memory is unchanged.

    The tokens that short-term memory drops are appended to the last segment's right as a segment
    of their own; `Memory.with_segments` lets a store put them elsewhere.

    Args:
        generator: for `random` drops; by default seeded with the chunk's number.

    Raises:
        ValueError: the chunk is empty or longer than `chunk_tokens`.
    """
    config = model.config
    if not 1 <= len(ids) <= config.chunk_tokens:
        raise ValueError(f"a chunk has 1 to {config.chunk_tokens} tokens, not {len(ids)}")
    tokens, states = write(
        model,
        torch.tensor([list(ids)], device=model.device),
        memory.stm.tail[:, None],
        chunk=memory.chunks,
    )
    stm, dropped = append(memory, tokens, states, config, generator)
    segments = memory.segments
    if dropped is not None:
        segments = _within_capacity((*segments, dropped), config.ltm_capacity)
    if model.forgetting is not None and (memory.chunks + 1) % model.forgetting.every == 0:
        segments = _within_capacity(segments, model.forgetting.newest(memory.chunks + 1))
    return Memory(stm, segments, memory.clock + len(tokens), memory.chunks + 1)


def write(model: MPlusModel, ids: Tensor, tail: Tensor, *, chunk: int) -> tuple[Tokens, Tensor]:
    """The memory tokens of a chunk: ids (1, T) read behind tail (L, 1, k, D).

    Returns:
        The new tokens, and the hidden states they were made from (L, K, D).
    """
    states = memory_states(
        model.update,
        model.config,
        ids,
        tail,
        model.update_bos,
        model.new_memory_embedding,
    )[:, 0]
    keys, values, retriever_keys = encode(model, states[:, None])
    count = states.shape[1]
    numbers = torch.full((1, count), chunk, dtype=torch.int64, device=states.device)
    return Tokens(keys[:, 0], values[:, 0], retriever_keys[:, 0], numbers), states


def memory_states(
    decoder: Decoder,
    config: Geometry,
    ids: Tensor,
    tail: Tensor,
    bos: Tensor | BosStates,
    new_memory_embedding: Tensor | None = None,
) -> Tensor:
    """The update pass: ids (B, T) behind [BOS][tail (L, B, k, D)] to memory states (L, B, K, D).

    Args:
        bos: what enters each layer of BOS, and of the header of a base that has one.

    With `last` positions and T < K, the end of the tail acts as query too and is rewritten, so that K
    states always come out (as in the reference implementation).
    """
    text = ids.shape[1]
    again = 0
    if config.memory_positions == "last":
        again = min(max(config.new_tokens - text, 0), tail.shape[2])
    before = (len(bos) if isinstance(bos, BosStates) else bos.shape[1]) + tail.shape[2] - again
    prefix_rotary = decoder.rotary(0, before)
    rotary = decoder.rotary(before, again + text)
    mask = decoder.mask(again + text, before)
    states: list[Tensor] = []
    with decoder.active():
        hidden = decoder.embed(ids)
        for index in range(decoder.layers):
            split = tail.shape[2] - again
            kept = tail[index][:, :split]
            lead = bos[index].expand(ids.shape[0], -1, -1)
            entering = torch.cat([tail[index][:, split:], hidden], dim=1) if again else hidden
            if new_memory_embedding is not None:
                entering = _add_to_last(entering, new_memory_embedding, config.new_tokens)
            if config.memory_state == "input":
                states.append(compress(entering, config))
                if index == decoder.layers - 1:
                    break
            keys, values = decoder.keys_values(index, torch.cat([lead, kept], dim=1))
            prefix = Prefix(rotate(keys, prefix_rotary[index]), values.transpose(1, 2))
            leaving = decoder.layer(index, entering, rotary, mask, prefix)
            if config.memory_state == "output":
                states.append(compress(leaving, config))
            hidden = leaving[:, again:]
    return torch.stack(states)


def compress(states: Tensor, config: Geometry) -> Tensor:
    """States (B, T, D) of a chunk to the K or fewer that memory keeps (B, K, D)."""
    ratio, length = config.ratio, states.shape[1]
    if config.memory_positions == "last":
        return states[:, -config.new_tokens :]
    if ratio == 1:
        return states
    if config.memory_positions == "strided":
        index = torch.arange(ratio - 1, length + ratio - 1, ratio, device=states.device)
        return states[:, index.clamp(max=length - 1)]
    whole = length - length % ratio
    pooled: Tensor = states[:, :whole].unflatten(1, (-1, ratio)).mean(dim=2)
    if whole == length:
        return pooled
    return torch.cat([pooled, states[:, whole:].mean(dim=1, keepdim=True)], dim=1)


def encode(model: MPlusModel, states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """States (L, B, n, D) to keys, values (M, B, n, H, d) and retriever keys (R, B, n, P)."""
    decoder, retriever = model.generate, model.retriever
    keys, values = [], []
    with decoder.active():
        for index in model.memory_layers:
            key, value = decoder.keys_values(index, states[index])
            keys.append(key)
            values.append(value)
    retriever_keys = [
        retriever.keys(row, decoder.normed(index, states[index]))
        for row, index in enumerate(retriever.layers)
    ]
    return torch.stack(keys), torch.stack(values), torch.stack(retriever_keys)


def append(
    memory: Memory,
    new: Tokens,
    states: Tensor,
    config: Geometry,
    generator: torch.Generator | None = None,
) -> tuple[ShortTermMemory, Segment | None]:
    """Short-term memory with `new` tokens (their states (L, K, D)), and the tokens dropped for them.

    Args:
        generator: draws what `random` drops; by default one seeded with the chunk's number.
    """
    stm, count = memory.stm, len(new)
    clock = memory.clock + count
    ages = stm.ages + count if config.ages_in_stm else stm.ages
    excess = max(len(stm) + count - config.stm_tokens, 0)
    old, dropped = stm.tokens, None
    if excess:
        stay, go = _draw(len(stm), excess, new.keys.shape[0], config, memory.chunks, generator)
        stay, go = stay.to(new.keys.device), go.to(new.keys.device)
        layers = max(stay.shape[0], ages.shape[0])
        ages = ages.expand(layers, -1)
        gone = pack(old.take(go), config.ltm_format).to("cpu")
        dropped = Segment(gone, clock - 1 - _rows(ages, go).cpu())
        old, ages = old.take(stay), _rows(ages, stay)
    young = torch.arange(count - 1, -1, -1, device=new.keys.device)[None]
    tokens = new if len(old) == 0 else concatenate([old, new])
    kept = ShortTermMemory(tokens, cat_layers([ages, young]), _tail(stm.tail, states, config))
    return kept, dropped


def _tail(before: Tensor, states: Tensor, config: Geometry) -> Tensor:
    """The newest K states (L, K, D), of the tail before (L, k, D) and the new ones."""
    if states.shape[1] == config.new_tokens:
        return states
    return torch.cat([before, states], dim=1)[:, -config.new_tokens :]


def _draw(
    have: int,
    drop: int,
    layers: int,
    config: Geometry,
    seed: int,
    generator: torch.Generator | None,
) -> tuple[Tensor, Tensor]:
    """Which of `have` tokens are kept and dropped, ascending: (1 or L, have - drop), (1 or L, drop)."""
    if config.drop == "oldest":
        order = torch.arange(have)[None]
        return order[:, drop:], order[:, :drop]
    generator = generator or compat.seeded(seed)
    drawn = torch.stack([torch.randperm(have, generator=generator) for _ in range(layers)])
    stay, go = drawn[:, : have - drop], drawn[:, have - drop :]
    return stay.sort(dim=1).values, go.sort(dim=1).values


def _rows(rows: Tensor, index: Tensor) -> Tensor:
    return torch.gather(rows, 1, index.expand(rows.shape[0], -1))


def _add_to_last(states: Tensor, vector: Tensor, count: int) -> Tensor:
    split = max(states.shape[1] - count, 0)
    return torch.cat([states[:, :split], states[:, split:] + vector], dim=1)


def _within_capacity(segments: tuple[Segment, ...], capacity: int | None) -> tuple[Segment, ...]:
    """The newest `capacity` tokens of long-term memory."""
    if capacity is None:
        return segments
    excess = sum(len(segment) for segment in segments) - capacity
    while excess > 0 and excess >= len(segments[0]):
        excess -= len(segments[0])
        segments = segments[1:]
    if excess > 0:
        first = segments[0]
        cut = Segment(first.tokens.slice(excess, len(first)), first.born[:, excess:])
        segments = (cut, *segments[1:])
    return segments


def compact(memory: Memory) -> Memory:
    """The same memory with its segments merged into one."""
    if len(memory.segments) < 2:
        return memory
    return replace(memory, segments=(merge(memory.segments),))
