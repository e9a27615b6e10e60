"""How likely continuations of a prompt are to a reader that has no memory: all of them in one pass.

Each continues the prompt, and none sees another. Works on token ids, independent of text and memory.

Shapes: V vocabulary; T tokens of a pass, behind n in the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.attention import KERNELS
from models.cache import KeyValueCache
from models.decoder import Decoder, Rotary
from models.layer import run_layer

ROWS = 32
"""Tokens whose logits are there at a time: those of all would take more memory than the pass."""


@dataclass(frozen=True, slots=True)
class Followed:
    """A continuation of a prompt, with log-probabilities."""

    ids: tuple[int, ...]
    nats: tuple[float, ...]
    """Of each id."""
    ends: tuple[float, ...]
    """Of ending behind each id."""


@dataclass(frozen=True, slots=True)
class TextPrompt:
    """A prompt that was read."""

    length: int
    """In tokens."""
    chances: Tensor
    """Log-probabilities of the next token (V,)."""
    cache: KeyValueCache
    """With room for one call of `follow`."""


@torch.no_grad()
def read_prompt(reader: Decoder, ids: Sequence[int], *, spare: int) -> TextPrompt:
    """Read a prompt, of which the first token is at position 0.

    Args:
        spare: the most tokens of all continuations together.
    """
    shape = (1, reader.kv_heads, len(ids) + spare, reader.head_size)
    cache = KeyValueCache([shape] * reader.layers, reader.dtype, reader.device)
    mask = reader.mask(len(ids), 0)

    def layer(index: int, hidden: Tensor, rotary: Rotary) -> Tensor:
        return reader.layer(index, hidden, rotary, mask, cache)

    last = _through(reader, ids, range(len(ids)), layer)[:, -1:]
    return TextPrompt(len(ids), reader.final(last)[0, 0].float().log_softmax(dim=-1), cache)


@torch.no_grad()
def follow(
    reader: Decoder,
    prompt: TextPrompt,
    continuations: Sequence[Sequence[int]],
    stop_ids: Sequence[int],
) -> list[Followed]:
    """Follow continuations of a prompt, each of at least one token. The cache is left unchanged."""
    ids = [id for one in continuations for id in one]
    if not ids:
        return []
    sizes = [len(one) for one in continuations]
    positions = [prompt.length + at for size in sizes for at in range(size)]
    mark = prompt.cache.mark()
    masks = {window: _apart(reader, prompt.length, sizes, window) for window in set(reader.windows)}

    def layer(index: int, hidden: Tensor, rotary: Rotary) -> Tensor:
        return run_layer(
            reader.stack.architecture,
            *(reader.weights(index), index, hidden, rotary[index]),
            *(masks[reader.windows[index]], prompt.cache, KERNELS[reader.attention]),
        )

    hidden = _through(reader, ids, positions, layer)
    prompt.cache.rewind(mark)
    wanted = torch.tensor([*ids[1:], ids[0]], device=reader.device)  # of the last row, nothing
    ends, behind = list[float](), list[float]()
    for rows, next_ids in zip(hidden[0].split(ROWS), wanted.split(ROWS), strict=True):
        chances = reader.final(rows[None])[0].float().log_softmax(dim=-1)  # (rows, V)
        ends += chances[:, sorted(stop_ids)].amax(dim=1).tolist()
        behind += chances.gather(1, next_ids[:, None])[:, 0].tolist()
    found, start = [], 0
    for one, size in zip(continuations, sizes, strict=True):
        nats = (float(prompt.chances[one[0]]), *behind[start : start + size - 1])
        found.append(Followed(tuple(one), nats, tuple(ends[start : start + size])))
        start += size
    return found


def _through(
    reader: Decoder,
    ids: Sequence[int],
    positions: Sequence[int],
    layer: Callable[[int, Tensor, Rotary], Tensor],
) -> Tensor:
    """What leaves the last layer (1, T, D)."""
    rotary = reader.rotary_at(torch.tensor([list(positions)], device=reader.device))
    with reader.active():
        hidden = reader.embed(torch.tensor([list(ids)], device=reader.device))
        for index in range(reader.layers):
            hidden = layer(index, hidden, rotary)
    return hidden


def _apart(reader: Decoder, before: int, sizes: Sequence[int], window: int | None) -> Tensor:
    """The additive mask (1, 1, T, n + T) of texts of these sizes behind the same n tokens, none of which sees
    another, and each token so many back as a layer's window lets it."""
    total = sum(sizes)
    owner = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    seen = torch.ones(total, before + total, dtype=torch.bool)
    seen[:, before:] = (owner[:, None] == owner).tril()
    if window is not None:
        position = torch.cat([torch.arange(size) for size in (before, *sizes)])
        position[before:] += before
        seen &= position[before:, None] - position < window
    mask = torch.zeros(seen.shape, dtype=reader.dtype)
    return mask.masked_fill(~seen, torch.finfo(reader.dtype).min)[None, None].to(reader.device)
