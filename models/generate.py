"""Reading memory: the prompt behind [BOS][recalled][short-term], then the answer, token by token.

Three layers: `prefill` and `decode` over tensors, `stream` of typed events, and the sampling that
turns logits into ids. Knows token ids, not text.

Shapes: T prompt tokens, n prefix tokens, H key/value heads, d head size, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from models.decoder import KeyValueCache, rotate
from models.memory import Memory
from models.network import MPlusModel
from models.recall import Found, Recall, look_up
from models.scan import ChunkScore

LOOKAHEAD_TOKENS = 8
"""Only the first tokens of a greedy answer are chosen by looking ahead."""
LOOKAHEAD_NATS = 2.0
"""Tokens less likely than the likeliest one by more than this are not candidates."""
LEAST_TEMPERATURE = 1e-6
"""Lower temperatures would overflow the logits, and this one is greedy already."""


class PromptTooLong(ValueError):
    """The prompt and the answer do not fit the base's positions behind the memory."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How ids are drawn from logits: greedy at temperature 0, else from the top-p nucleus."""

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf:
            raise ValueError(f"temperature is {self.temperature}: give 0 (greedy) or more")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}: give more than 0, up to 1")


class Guide(Protocol):
    """Where an answer stands in a text, and which tokens may follow. A value."""

    def bias(self, logits: Tensor) -> Tensor:
        """What is added to the logits (V,) of the next token."""

    def after(self, token: int) -> Guide:
        """The guide behind one more token."""


@dataclass(frozen=True, slots=True)
class Recalled:
    """What the question brought back, before the first token."""

    ranked: tuple[ChunkScore, ...]
    """Chunks by their fit, best first."""
    recalled_tokens: int
    stm_tokens: int
    ltm_tokens: int
    prompt_tokens: int


@dataclass(frozen=True, slots=True)
class Generated:
    """One token of the answer."""

    id: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of an answer."""

    reason: str
    """`stop` at a stop token, `length` at the limit, `repetition` where it kept repeating itself."""
    new_tokens: int


Event = Recalled | Generated | Finished


def stream(
    model: MPlusModel,
    memory: Memory,
    found: Found,
    prompt_ids: Sequence[int],
    *,
    max_new_tokens: int,
    stop_ids: Collection[int] = (),
    sampling: Sampling | None = None,
    guide: Callable[[Sequence[int]], Guide | None] | None = None,
) -> Iterator[Event]:
    """Answer a prompt from what its question found in memory.

    Args:
        found: of the bare question (`models.recall.look_up`).
        prompt_ids: the whole prompt as the model is to see it, without BOS.
        guide: makes the answer's guide from the chunks in the prefix, best first.

    Yields:
        `Recalled` once, `Generated` per token (stop tokens are not yielded), `Finished` once.

    Raises:
        PromptTooLong: prompt and answer do not fit behind the memory.
    """
    prompt = read(model, memory, found, prompt_ids, spare=max_new_tokens)
    yield prompt.recalled
    if not max_new_tokens:
        yield Finished("length", 0)
        return
    guided = None if guide is None else guide(prompt.found.present(memory))
    ids: list[int] = []
    for token in decode(model, prompt.cache, prompt.logits, sampling or Sampling(), guided):
        if token in stop_ids:
            yield Finished("stop", len(ids))
            return
        ids.append(token)
        yield Generated(token)
        if is_repeating(ids):
            yield Finished("repetition", len(ids))
            return
        if len(ids) == max_new_tokens:
            break
    yield Finished("length", len(ids))


@dataclass(frozen=True, slots=True)
class ReadPrompt:
    """A prompt that was read behind what its question found in memory."""

    recalled: Recalled
    found: Found
    logits: Tensor
    """Of the next token (1, V)."""
    cache: KeyValueCache
    """To go on with."""


def read(
    model: MPlusModel, memory: Memory, found: Found, prompt_ids: Sequence[int], *, spare: int
) -> ReadPrompt:
    """Read a prompt.

    Args:
        found: of the bare question (`models.recall.look_up`).
        spare: tokens that the answer may have.

    Raises:
        PromptTooLong: prompt and answer do not fit behind the memory.
    """
    room = model.generate.positions - 1 - model.config.recalled_tokens - len(memory.stm)
    if not prompt_ids or len(prompt_ids) + spare > room:
        raise PromptTooLong(
            f"the prompt has {len(prompt_ids)} tokens and the answer up to {spare}: {room} fit"
        )
    logits, cache = prefill(model, memory, found.recall, prompt_ids, spare=spare)
    found = found.settled()
    sizes = len(memory.stm), memory.ltm_tokens, len(prompt_ids)
    return ReadPrompt(Recalled(found.ranked, len(found.recall), *sizes), found, logits, cache)


def is_repeating(ids: Sequence[int], *, tokens: int = 32, times: int = 3) -> bool:
    """Whether the newest `tokens` ids, or more, are the same few tokens over and over.

    Small models at temperature 0 fall into such loops and never leave them.
    """
    for period in range(1, len(ids) // times + 1):
        span = max(tokens, times * period)
        if span > len(ids):
            break
        if all(ids[-at] == ids[-at - period] for at in range(1, span - period + 1)):
            return True
    return False


def rank_by_prefill(
    model: MPlusModel, memory: Memory, query_ids: Sequence[int]
) -> tuple[ChunkScore, ...]:
    """The chunks by their fit to a question, best first, with the bare question as the prompt: where
    layers choose tokens nothing less tells."""
    found = look_up(model, memory, query_ids)
    prefill(model, memory, found.recall, query_ids, spare=0)
    return found.settled().ranked


@torch.no_grad()
def prefill(
    model: MPlusModel,
    memory: Memory,
    recall: Recall,
    prompt_ids: Sequence[int],
    *,
    spare: int,
    all_logits: bool = False,
) -> tuple[Tensor, KeyValueCache]:
    """Read the prompt behind the memory.

    Args:
        spare: room to leave in the cache for tokens to come.
        all_logits: logits of every prompt token instead of the last one's.

    Returns:
        Logits (T or 1, V) in float32, and the cache to go on with.
    """
    decoder, stm = model.generate, memory.stm.tokens
    text, before = len(prompt_ids), 1 + len(recall) + len(stm)
    rows = {index: row for row, index in enumerate(model.memory_layers)}
    shapes = [
        (1, decoder.kv_heads, (before if index in rows else 1) + text + spare, decoder.head_size)
        for index in range(decoder.layers)
    ]
    bias = recall.bias(stm.chunks[0])
    if bias is not None:
        bias = torch.nn.functional.pad(bias, (1, 0))  # BOS counts in full
    forks = model.config.reading.lookahead
    cache = KeyValueCache(shapes, decoder.dtype, decoder.device, bias, forks)
    prefix_rotary, rotary = decoder.rotary(0, before), decoder.rotary(before, text)
    mask, plain = decoder.mask(text, before, bias), decoder.mask(text, 1)
    with decoder.active():
        hidden = decoder.embed(torch.tensor([list(prompt_ids)], device=decoder.device))
        for index in range(decoder.layers):
            bos_keys, bos_values = decoder.keys_values(index, model.generate_bos[index][None])
            parts = [(bos_keys[0], bos_values[0])]
            row = rows.get(index)
            if row is not None and len(recall):
                parts.append(recall.layer(row, hidden))
            if row is not None:
                parts.append((stm.keys[row], stm.values[row]))
            keys = torch.cat([part[0] for part in parts])[None]
            values = torch.cat([part[1] for part in parts])[None]
            cache.update(rotate(keys, prefix_rotary), values.transpose(1, 2), index)
            hidden = decoder.layer(index, hidden, rotary, plain if row is None else mask, cache)
        logits = decoder.final(hidden if all_logits else hidden[:, -1:])
    return logits[0].float(), cache


@torch.no_grad()
def decode(
    model: MPlusModel,
    cache: KeyValueCache,
    logits: Tensor,
    sampling: Sampling,
    guide: Guide | None = None,
) -> Iterator[int]:
    """Ids one after the other, for as long as the caller asks and the cache has room.

    Args:
        logits: of the last token read (..., V); the first id is drawn from them.
        guide: of the answer that begins here.
    """
    generator = torch.Generator(device="cpu").manual_seed(sampling.seed)
    left = LOOKAHEAD_TOKENS if sampling.temperature == 0 else 0
    while True:
        ahead = look_ahead(model, cache, logits[-1], guide) if left else None
        left = max(left - 1, 0)
        token = ahead[0] if ahead else draw(guided(logits[-1], guide), sampling, generator)
        guide = None if guide is None else guide.after(token)
        yield token
        if ahead:
            logits = ahead[1]
            continue
        if len(cache) == cache.capacity:
            return
        logits = model.step_decoder.step(token, cache)


def look_ahead(
    model: MPlusModel, cache: KeyValueCache, logits: Tensor, guide: Guide | None
) -> tuple[int, Tensor] | None:
    """The first token of the likeliest two-token continuation, with its step taken, and the logits after
    it (1, V): a beam of `lookahead`. None where there is only one candidate.

    Args:
        logits: of the next token (V,).
    """
    if model.config.reading.lookahead == 1 or len(cache) == cache.capacity:
        return None
    chances = guided(logits, guide).log_softmax(dim=-1)
    best = chances.topk(min(model.config.reading.lookahead, len(chances)))
    tokens = best.indices[best.values >= best.values[0] - LOOKAHEAD_NATS].tolist()
    if len(tokens) == 1:
        return None
    after = model.step_decoder.fork(tokens, cache)
    pairs = []
    for token, chance, behind in zip(tokens, best.values.tolist(), after, strict=False):
        later = None if guide is None else guide.after(token)
        pairs.append(chance + float(guided(behind, later).log_softmax(dim=-1).max()))
    chosen = pairs.index(max(pairs))
    cache.keep(chosen, len(tokens))
    return tokens[chosen], after[chosen : chosen + 1]


def guided(logits: Tensor, guide: Guide | None) -> Tensor:
    """Logits (V,) as the guide of an answer has them."""
    return logits if guide is None else logits + guide.bias(logits)


def draw(logits: Tensor, sampling: Sampling, generator: torch.Generator) -> int:
    """One id from logits (V,)."""
    if sampling.temperature == 0:
        return int(logits.argmax())
    temperature = max(sampling.temperature, LEAST_TEMPERATURE)
    chances = torch.softmax(logits.cpu() / temperature, dim=-1)
    ordered, ids = chances.sort(descending=True, stable=True)
    outside = ordered.cumsum(0) - ordered >= sampling.top_p
    ordered[outside] = 0
    return int(ids[torch.multinomial(ordered, 1, generator=generator)])
