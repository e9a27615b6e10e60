"""How likely continuations of a prompt are to a reader that has no memory: all of them in one pass.

Each continues the prompt, and none sees another; tokens with which several begin are read once. Several
prompts may share a pass, layer by layer, so that a reader that does not keep its merged weights makes each
layer's once for all; the results are those of passes of their own, bit by bit. Works on token ids,
independent of text and memory.

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


@dataclass(frozen=True, slots=True)
class _Pass:
    """Tokens to be read."""

    ids: Sequence[int]
    positions: Sequence[int]
    layer: Callable[[int, Tensor, Rotary], Tensor]
    """Runs a layer, by its number, over the states that enter it (1, T, D): those that leave it."""


@torch.no_grad()
def read_prompts(
    reader: Decoder, prompts: Sequence[Sequence[int]], *, spare: int
) -> list[TextPrompt]:
    """Read prompts, each by itself, with its first token at position 0.

    Args:
        spare: the most tokens of all continuations of a prompt together.
    """
    caches = [_cache(reader, len(ids) + spare) for ids in prompts]

    def reading(ids: Sequence[int], cache: KeyValueCache) -> _Pass:
        mask = reader.mask(len(ids), 0)
        return _Pass(
            ids,
            range(len(ids)),
            lambda index, hidden, rotary: reader.layer(index, hidden, rotary, mask, cache),
        )

    left = _through(reader, [reading(*one) for one in zip(prompts, caches, strict=True)])
    chances = [reader.final(one[:, -1:])[0, 0].float().log_softmax(dim=-1) for one in left]
    lengths = [len(ids) for ids in prompts]
    return [TextPrompt(*one) for one in zip(lengths, chances, caches, strict=True)]


def _cache(reader: Decoder, tokens: int) -> KeyValueCache:
    shape = (1, reader.kv_heads, tokens, reader.head_size)
    return KeyValueCache([shape] * reader.layers, reader.dtype, reader.device)


@torch.no_grad()
def follow(
    reader: Decoder,
    prompts: Sequence[TextPrompt],
    continuations: Sequence[Sequence[Sequence[int]]],
    stop_ids: Sequence[int],
) -> list[list[Followed]]:
    """Follow continuations of each prompt, each of at least one token. The caches are left unchanged."""
    trees = [_Tree.of(each) for each in continuations]
    marks = [prompt.cache.mark() for prompt in prompts]
    pairs = list(zip(prompts, trees, strict=True))
    left = _through(reader, [_following(reader, *pair) for pair in pairs if pair[1].ids])
    for prompt, mark in zip(prompts, marks, strict=True):
        prompt.cache.rewind(mark)
    found, rows = list[list[Followed]](), iter(left)
    for (prompt, tree), each in zip(pairs, continuations, strict=True):
        hidden = next(rows)[0] if tree.ids else None
        found.append(
            [] if hidden is None else _judged(reader, prompt, tree, hidden, each, stop_ids)
        )
    return found


def _following(reader: Decoder, prompt: TextPrompt, tree: _Tree) -> _Pass:
    """The pass of a tree's tokens behind a prompt."""
    positions = [prompt.length + len(path) - 1 for path in tree.paths]
    masks = {window: tree.mask(reader, prompt.length, window) for window in set(reader.windows)}

    def layer(index: int, hidden: Tensor, rotary: Rotary) -> Tensor:
        return run_layer(
            reader.stack.architecture,
            *(reader.weights(index), index, hidden, rotary[index]),
            *(masks[reader.windows[index]], prompt.cache, KERNELS[reader.attention]),
        )

    return _Pass(tree.ids, positions, layer)


def _judged(
    reader: Decoder,
    prompt: TextPrompt,
    tree: _Tree,
    hidden: Tensor,
    continuations: Sequence[Sequence[int]],
    stop_ids: Sequence[int],
) -> list[Followed]:
    """Continuations with log-probabilities, of what left the last layer of a tree's tokens (T, D)."""
    nats = prompt.chances[tree.ids].tolist()  # right for the first tokens, the others follow
    ends, stops = list[float](), sorted(stop_ids)
    for start in range(0, len(hidden), ROWS):
        logits = reader.final(hidden[None, start : start + ROWS])[0].float()  # (rows, V)
        sums = logits.logsumexp(dim=-1, keepdim=True)
        ends += (logits[:, stops].amax(dim=1, keepdim=True) - sums)[:, 0].tolist()
        for row in range(len(logits)):
            for child in tree.children[start + row]:
                nats[child] = float(logits[row, tree.ids[child]] - sums[row])
    return [
        Followed(tuple(one), tuple(nats[at] for at in path), tuple(ends[at] for at in path))
        for one, path in zip(continuations, tree.whole, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Tree:
    """Continuations as a tree of tokens, which come behind those that they continue."""

    ids: list[int]
    paths: list[list[int]]
    """Of each token, those that lead to it from the prompt, itself last, by their numbers."""
    children: list[list[int]]
    """Of each token, those that come next behind it."""
    whole: list[list[int]]
    """The path of each continuation."""

    @classmethod
    def of(cls, continuations: Sequence[Sequence[int]]) -> _Tree:
        known = dict[tuple[int, ...], int]()
        tree = cls([], [], [], [])
        for one in continuations:
            path: list[int] = []
            for end in range(1, len(one) + 1):
                begun = tuple(one[:end])
                if begun not in known:
                    known[begun] = len(tree.ids)
                    if path:
                        tree.children[path[-1]].append(len(tree.ids))
                    tree.paths.append([*path, len(tree.ids)])
                    tree.ids.append(one[end - 1])
                    tree.children.append([])
                path = tree.paths[known[begun]]
            tree.whole.append(path)
        return tree

    def mask(self, reader: Decoder, before: int, window: int | None) -> Tensor:
        """The additive mask (1, 1, T, n + T) behind n tokens: each token sees those and its path, and so many
        back as a layer's window lets it."""
        least = torch.finfo(reader.dtype).min
        mask = torch.full((len(self.ids), before + len(self.ids)), least, dtype=reader.dtype)
        for row, path in enumerate(self.paths):
            hidden = 0 if window is None else max(before + len(path) - window, 0)
            mask[row, hidden:before] = 0
            mask[row, [before + at for at in path[max(hidden - before, 0) :]]] = 0
        return mask[None, None].to(reader.device)


def _through(reader: Decoder, passes: Sequence[_Pass]) -> list[Tensor]:
    """What leaves the last layer (1, T, D) in each pass."""
    device = reader.device
    turns = [reader.rotary_at(torch.tensor([list(one.positions)], device=device)) for one in passes]
    with reader.active():
        hidden = [reader.embed(torch.tensor([list(one.ids)], device=device)) for one in passes]
        for index in range(reader.layers if passes else 0):
            for number, one in enumerate(passes):
                hidden[number] = one.layer(index, hidden[number], turns[number])
    return hidden
