"""Answering from memory: the prompt behind [BOS][recalled][short-term], then the answer as typed events.

Works on token ids, not on text; `models.sampling` turns logits into ids.

Shapes: T prompt tokens, n prefix tokens, H key/value heads, d head size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.cache import KeyValueCache
from models.memory import Memory
from models.network import MPlusModel
from models.recall import Found, Recall, look_up
from models.rotary import rotate
from models.sampling import Guide, Sampling, decode, is_repeating
from models.scan import ChunkScore


class PromptTooLong(ValueError):
    """The prompt and the answer do not fit the base's positions behind the memory."""


@dataclass(frozen=True, slots=True)
class Recalled:
    """What was recalled for the question; comes before the first token."""

    ranked: tuple[ChunkScore, ...]
    """Chunks by their score, best first."""
    recalled_tokens: int
    stm_tokens: int
    ltm_tokens: int
    prompt_tokens: int


@dataclass(frozen=True, slots=True)
class Generated:
    """One token of the answer."""

    id: int
    """Of the vocabulary."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of an answer."""

    reason: str
    """`stop` at a stop token, `length` at the limit, `repetition` if it kept repeating itself."""
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
    """Answer a prompt from what was recalled for its question.

    Args:
        found: for the bare question, by `models.recall.look_up`.
        prompt_ids: the whole prompt, without BOS.
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
    """A prompt that was read behind the memory recalled for its question."""

    recalled: Recalled
    found: Found
    logits: Tensor
    """Of the next token (1, V)."""
    cache: KeyValueCache
    """To continue from."""


def read(
    model: MPlusModel,
    memory: Memory,
    found: Found,
    prompt_ids: Sequence[int],
    *,
    spare: int,
    branches: int = 1,
) -> ReadPrompt:
    """Read a prompt.

    Args:
        found: of the bare question (`models.recall.look_up`).
        spare: the most tokens of the answer.
        branches: how many answers will be followed side by side.

    Raises:
        PromptTooLong: prompt and answer do not fit behind the memory.
    """
    room = model.room + model.config.stm_tokens - len(memory.stm)
    if not prompt_ids or len(prompt_ids) + spare > room:
        raise PromptTooLong(
            f"the prompt has {len(prompt_ids)} tokens and the answer up to {spare}: {room} fit"
        )
    logits, cache = prefill(model, memory, found.recall, prompt_ids, spare=spare, branches=branches)
    model.generate.give_back()
    found = found.settled()
    sizes = len(memory.stm), memory.ltm_tokens, len(prompt_ids)
    return ReadPrompt(Recalled(found.ranked, len(found.recall), *sizes), found, logits, cache)


def rank_by_prefill(
    model: MPlusModel, memory: Memory, query_ids: Sequence[int]
) -> tuple[ChunkScore, ...]:
    """The chunks by their score for a question, best first, with the bare question as the prompt: where
    layers choose tokens, only a prefill tells."""
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
    branches: int = 1,
    all_logits: bool = False,
) -> tuple[Tensor, KeyValueCache]:
    """Read the prompt behind the memory.

    Args:
        spare: room to leave in the cache for later tokens.
        branches: of so many continuations side by side.
        all_logits: logits of every prompt token instead of the last one's.

    Returns:
        Logits (T or 1, V) in float32, and the cache to continue from.
    """
    decoder, stm = model.generate, recall.short_term(memory.stm.tokens)
    text, lead = len(prompt_ids), len(model.lead)
    before = lead + len(recall) + len(stm)
    rows = {index: row for row, index in enumerate(model.memory_layers)}
    shapes = [
        (1, decoder.kv_heads, (before if index in rows else lead) + text + spare, decoder.head_size)
        for index in range(decoder.layers)
    ]
    bias = recall.bias(stm.chunks[0])
    if bias is not None:
        bias = torch.nn.functional.pad(bias, (lead, 0))  # what leads is not weighed
    forks = max(model.config.reading.lookahead, (branches - 1) * spare + 1)
    cache = KeyValueCache(shapes, decoder.dtype, decoder.device, bias, forks, decoder.windows)
    prefix_rotary, rotary = decoder.rotary(0, before), decoder.rotary(before, text)
    mask, plain = decoder.mask(text, before, bias), decoder.mask(text, lead)
    with decoder.active():
        hidden = decoder.embed(torch.tensor([list(prompt_ids)], device=decoder.device))
        for index in range(decoder.layers):
            bos_keys, bos_values = model.generate_bos.keys_values(index)
            parts = [(bos_keys[0], bos_values[0])]
            row = rows.get(index)
            if row is not None and len(recall):
                parts.append(recall.layer(row, hidden))
            if row is not None:
                parts.append((stm.keys[row], stm.values[row]))
            keys = torch.cat([part[0] for part in parts])[None]
            values = torch.cat([part[1] for part in parts])[None]
            cache.update(rotate(keys, prefix_rotary[index]), values.transpose(1, 2), index)
            hidden = decoder.layer(index, hidden, rotary, plain if row is None else mask, cache)
        logits = decoder.final(hidden if all_logits else hidden[:, -1:])
    return logits[0].float(), cache
