"""Whether the tensors of a memory are those that a model of its geometry writes, and can read.

Shapes are looked at before anything is copied, numbers a layer at a time: however large a memory is, it
is never in RAM as a whole. Does no I/O. Shapes: as in `models.memory`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from models.memory import Memory, Segment, ShortTermMemory, TokenRows

LARGEST = 1e6
"""Largest number in a memory: states of models stay far below, and beyond it attention overflows."""
FLOATS = ("torch.float32", "torch.bfloat16", "torch.float16")
"""Dtypes that models compute in."""


def check_memory(geometry: Mapping[str, Any], memory: Memory) -> Iterator[str]:
    """What is wrong with the shapes and types of a memory."""
    yield from check_stm(geometry, memory.stm)
    for segment in memory.segments:
        yield from check_segment(segment, memory.stm)


def check_stm(geometry: Mapping[str, Any], stm: ShortTermMemory) -> Iterator[str]:
    """What is wrong with the shapes and types of short-term memory."""
    tokens, tail = stm.tokens, stm.tail
    base, kept, hidden = tail.shape
    wanted = {
        "layers": (tokens.layout[0], _layers(geometry.get("memory_layers"), base)),
        "retriever layers": (
            tokens.retriever_keys.shape[0],
            _layers(geometry["retriever_layers"], base) if "retriever_layers" in geometry else None,
        ),
        "numbers in a retriever key": (
            tokens.retriever_keys.shape[2],
            hidden if geometry.get("scorer") == "cosine" else geometry.get("retriever_width"),
        ),
    }
    for what, (found, expected) in wanted.items():
        if expected is not None and found != expected:
            yield f"has {found} {what}, not {expected}"
    if kept > geometry.get("new_tokens", kept):
        yield f"has a tail of {kept} tokens"
    if len(stm) > geometry.get("stm_tokens", len(stm)):
        yield f"has {len(stm)} tokens: more than short-term memory holds"
    if 0 in (*tokens.layout, *tokens.retriever_keys.shape[::2], base, hidden):
        yield "has tensors without numbers"
    yield from _check_types(tokens, tokens.keys, tail)
    yield from _check_shared(tokens, stm.ages)


def check_segment(segment: Segment, stm: ShortTermMemory) -> Iterator[str]:
    """What is wrong with the shapes and types of a segment, beside short-term memory."""
    tokens, own = segment.tokens, stm.tokens
    if tokens.layout != own.layout or _rows(tokens) != _rows(own):
        yield "has another shape than short-term memory"
    yield from _check_types(tokens, own.keys)
    yield from _check_shared(tokens, segment.born)


def check_numbers(tensors: Mapping[str, Tensor]) -> Iterator[str]:
    """What is wrong with the numbers in tensors (L, ...): not finite, or too large."""
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or not tensor.numel():
            continue
        for layer in tensor:
            low, high = (float(bound) for bound in layer.aminmax())
            least = 0.0 if name.endswith("_scales") else -LARGEST
            if math.isnan(low) or low < least or high > LARGEST:
                yield f"has {name} that are not numbers, or too large"
                break


def is_like(memory: Memory, other: Memory) -> bool:
    """Whether two memories have the shapes of one model, apart from how much they hold."""
    tails = (memory.stm.tail.shape, other.stm.tail.shape)
    return tails[0][::2] == tails[1][::2] and all(
        tokens.layout == other.stm.tokens.layout and _rows(tokens) == _rows(other.stm.tokens)
        for tokens in (memory.stm.tokens, *(segment.tokens for segment in memory.segments))
    )


def _rows(tokens: TokenRows) -> tuple[int, ...]:
    """Of the retriever's keys (R, n, P): R and P."""
    return tuple(tokens.tensors()["retriever_keys"].shape[::2])


def _layers(named: Any, base: int) -> int | None:
    """The number of layers named, of those of the base; None if one is beyond it."""
    if named is None:
        return base
    return len(set(named)) if max(named) < base else -1


def _check_types(tokens: TokenRows, keys: Tensor, *others: Tensor) -> Iterator[str]:
    """Check that everything but packed tensors has the dtype of short-term memory's keys."""
    from models.memory import Tokens

    whole = isinstance(tokens, Tokens)
    parts = [
        tensor
        for name, tensor in tokens.tensors().items()
        if name != "chunks" and (whole or name.endswith("_scales"))
    ]
    types = {str(tensor.dtype) for tensor in (keys, *parts, *others)}
    if len(types) > 1 or not types <= set(FLOATS):
        yield f"has tensors of {', '.join(sorted(types))}"


def _check_shared(tokens: TokenRows, times: Tensor) -> Iterator[str]:
    """Check that what all layers may share is there once, or once per layer."""
    for name, tensor in (("chunk numbers", tokens.chunks), ("times", times)):
        if tensor.shape[0] not in (1, tokens.layout[0]):
            yield f"has {name} of {tensor.shape[0]} layers"
