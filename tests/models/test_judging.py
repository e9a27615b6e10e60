"""Continuations of a prompt in one pass, each as if it were read alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from models.checkpoints import load
from models.decoder import Decoder
from models.judging import TextPrompt, follow, read_prompts
from models.stack import Stack, filled

PROMPT = [3, 9, 27, 81, 243, 5, 15]
CONTINUATIONS = [[45, 135], [7], [45, 135, 21, 63], [189, 17, 51]]


def read(reader: Decoder, *prompts: list[int]) -> TextPrompt:
    """The last of prompts that are read in one pass."""
    return read_prompts(reader, prompts, spare=10)[-1]


def windowed(stack: Stack, window: int | None) -> Stack:
    """The stack with a window in its first layer and its last one."""
    first, *middle, last = stack.architecture.layers
    layers = (replace(first, window=window), *middle, replace(last, window=window))
    return filled(replace(stack.architecture, layers=layers), stack.state_dict())


@pytest.mark.parametrize("attention", ["sdpa", "eager", "grouped_causal"])
@pytest.mark.parametrize("window", [None, 9, 3])
def test_each_is_followed_as_if_alone(
    build_stack: Callable[..., Stack], attention: str, window: int | None
) -> None:
    reader, stops = Decoder(windowed(build_stack(), window), attention=attention), (1, 2)
    prompt = read(reader, PROMPT)
    found = follow(reader, [prompt], [CONTINUATIONS], stops)[0]
    assert [list(one.ids) for one in found] == CONTINUATIONS
    for ids, one in zip(CONTINUATIONS, found, strict=True):
        alone = reader.logits(torch.tensor([PROMPT + ids]))[0].float().log_softmax(dim=-1)
        rows = alone[len(PROMPT) - 1 :]
        wanted = rows[:-1].gather(1, torch.tensor(ids)[:, None])[:, 0]
        torch.testing.assert_close(torch.tensor(one.nats), wanted, atol=1e-4, rtol=0)
        ends = rows[1:, list(stops)].amax(dim=1)
        torch.testing.assert_close(torch.tensor(one.ends), ends, atol=1e-4, rtol=0)


def test_a_prompt_can_be_followed_again(build_stack: Callable[..., Any]) -> None:
    reader = Decoder(build_stack())
    prompt = read(reader, PROMPT)
    first = follow(reader, [prompt], [CONTINUATIONS], (1,))
    assert follow(reader, [prompt], [CONTINUATIONS], (1,)) == first
    assert follow(reader, [prompt], [[]], (1,)) == [[]]


def test_what_several_begin_with_is_read_once(
    build_stack: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, seen = Decoder(build_stack()), list[int]()
    prompt = read(reader, PROMPT)
    embed = reader.embed
    monkeypatch.setattr(reader, "embed", lambda ids: seen.extend(ids[0].tolist()) or embed(ids))
    again = [[45, 135, 21], [45], [45, 135, 21]]
    found = follow(reader, [prompt], [again], (1,))[0]
    assert seen == [45, 135, 21]
    assert found[0] == found[2]
    assert found[1].nats == found[0].nats[:1]


@pytest.mark.parametrize("keep", [True, False])
def test_prompts_of_one_pass_are_read_as_if_alone_and_weights_merged_once(
    tiny_checkpoint_folder: Path, monkeypatch: pytest.MonkeyPatch, keep: bool
) -> None:
    reader = load(tiny_checkpoint_folder, dtype=torch.float32, keep=keep).model.generate
    several = [PROMPT, PROMPT[::-1], PROMPT[:3]]
    continued = [CONTINUATIONS, [], [[9]]]
    alone = [read(reader, ids) for ids in several]
    wanted = [
        follow(reader, [prompt], [each], (1,))[0]
        for prompt, each in zip(alone, continued, strict=True)
    ]
    made = list[int]()
    joined = reader.joined
    monkeypatch.setattr(
        reader, "joined", lambda index, *rest: made.append(index) or joined(index, *rest)
    )
    prompts = read_prompts(reader, several, spare=10)
    assert sorted(set(made)) == ([] if keep else list(range(reader.layers)))
    assert len(made) == len(set(made)) * 4, "four projections of each layer"
    for prompt, other in zip(prompts, alone, strict=True):
        assert torch.equal(prompt.chances, other.chances)
    assert follow(reader, prompts, continued, (1,)) == wanted
