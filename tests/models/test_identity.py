"""Identity memory is the base itself: the same logits as with the text in the prompt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from models import checkpoints
from models.checkpoints import load
from models.generate import prefill
from models.memory import concatenate
from models.network import MPlusModel
from models.prompts import PromptFormat
from models.recall import ChunkRecall, TokenRecall, look_up
from models.sampling import Sampling, decode
from models.update import read_chunk

Ids = Callable[[int, int], list[int]]


@pytest.mark.parametrize("attention", ["sdpa", "eager", "grouped_causal"])
@pytest.mark.parametrize("lengths", [(8,), (5,), (8, 8), (8, 3)])
def test_identity_memory_gives_the_base_s_logits(
    build_network: Callable[..., Any],
    chunk_ids: Ids,
    tiny_llama: Any,
    attention: str,
    lengths: tuple[int, ...],
) -> None:
    model = build_network(attention)
    memory, text = model.empty_memory(), [0]
    for number, length in enumerate(lengths):
        ids = chunk_ids(number, length)
        memory = read_chunk(model, memory, ids)
        text += ids
    prompt = chunk_ids(99, 6)
    nothing = ChunkRecall(memory.stm.tokens.slice(0, 0))
    logits, _ = prefill(model, memory, nothing, prompt, spare=0, all_logits=True)
    base = tiny_llama(torch.tensor([text + prompt])).logits[0, len(text) :]
    assert base.std() > 0.1
    torch.testing.assert_close(logits, base, atol=1e-4, rtol=0)


@pytest.mark.parametrize("attention", ["sdpa", "grouped_causal"])
@pytest.mark.parametrize("lengths", [(8,), (5,), (8, 8), (8, 3)])
def test_memory_where_text_would_stand_is_that_text(
    build_network: Callable[..., Any],
    chunk_ids: Ids,
    tiny_llama: Any,
    attention: str,
    lengths: tuple[int, ...],
) -> None:
    """Behind a header, which the chunks were written behind as well."""
    header = chunk_ids(50, 4)
    bare = build_network(attention)
    model = MPlusModel(
        bare.config, bare.generate, bare.generate, bare.retriever, bos_id=0, header=header
    )
    memory, text = model.empty_memory(), [0, *header]
    for number, length in enumerate(lengths):
        ids = chunk_ids(number, length)
        memory = read_chunk(model, memory, ids)
        text += ids
    prompt = chunk_ids(99, 6)
    recall = ChunkRecall(memory.stm.tokens.slice(0, 0))
    logits, cache = prefill(model, memory, recall, prompt, spare=4, all_logits=True)
    base = tiny_llama(torch.tensor([text + prompt])).logits[0, len(text) :]
    torch.testing.assert_close(logits, base, atol=1e-4, rtol=0)
    for _ in range(3):  # and so does what is decoded behind it
        prompt.append(int(logits[-1].argmax()))
        logits = model.generate.step(prompt[-1], cache)
        base = tiny_llama(torch.tensor([text + prompt])).logits[0, -1:]
        torch.testing.assert_close(logits, base, atol=1e-4, rtol=0)


def test_an_untrained_base_reads_memory_inside_the_user_s_message(
    tiny_base_folder: Path, tiny_llama: Any, chunk_ids: Ids
) -> None:
    """From a folder, with its own prompt: the same logits as with the chunks' ids in that message."""
    loaded = load(tiny_base_folder, dtype=torch.float32)
    model, tokenizer = loaded.model, loaded.tokenizer
    header = loaded.prompt.header(tokenizer)
    assert tokenizer.decode(list(header)) == "<|im_start|>user\n"
    rest, query = loaded.prompt.render(tokenizer, "Who?")
    assert tokenizer.decode(rest) == (
        "\n\nAnswer in a few words, from the text above: Who?<|im_end|>\n<|im_start|>assistant\n"
    )
    memory, text = model.empty_memory(), [loaded.model.bos_id, *header]
    for number, length in enumerate((model.config.chunk_tokens, 30)):
        ids = chunk_ids(number, length)
        memory = read_chunk(model, memory, ids)
        text += ids
    found = look_up(model, memory, query)
    logits, _ = prefill(model, memory, found.recall, rest, spare=0, all_logits=True)
    base = tiny_llama(torch.tensor([text + rest])).logits[0, len(text) :]
    torch.testing.assert_close(logits, base, atol=1e-4, rtol=0)


def test_the_fingerprint_counts_what_stands_in_front_of_chunks(
    tiny_base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were they written behind something else, memories would be others; what the base was called before
    that counted is still known."""
    loaded, prompt_of = load(tiny_base_folder), checkpoints.identity_prompt

    def another(tokenizer: Any, room: int) -> PromptFormat:
        prompt = prompt_of(tokenizer, room)
        return replace(prompt, template=prompt.template.replace("user", "text"))

    monkeypatch.setattr(checkpoints, "identity_prompt", another)
    changed = load(tiny_base_folder)
    assert changed.prompt.header(changed.tokenizer) != loaded.prompt.header(loaded.tokenizer)
    assert changed.fingerprint != loaded.fingerprint
    assert changed.earlier_fingerprints == loaded.earlier_fingerprints
    assert len(loaded.earlier_fingerprints) == 1
    assert loaded.fingerprint not in loaded.earlier_fingerprints


def test_only_the_best_chunks_are_read(build_network: Callable[..., Any], chunk_ids: Ids) -> None:
    """The same logits as from a memory that holds these alone, wherever they are."""
    model = build_network(best_chunks=2)
    memory = model.empty_memory()
    for number in range(5):
        memory = read_chunk(model, memory, chunk_ids(number, 8))
    prior = {number: 100.0 if number in (1, 4) else 0.0 for number in range(5)}  # one in STM
    found = look_up(model, memory, chunk_ids(99, 6), prior)
    assert len(found.ranked) == 5
    assert sorted(found.present(memory)) == [1, 4]
    logits, _ = prefill(model, memory, found.recall, chunk_ids(99, 6), spare=0)
    held = [*(part.tokens for part in memory.segments), memory.stm.tokens]
    kept = [
        part.take((part.chunks == number).nonzero()[None, :, 1])
        for number in (1, 4)
        for part in held
    ]
    stm = replace(memory.stm, tokens=concatenate(kept))
    alone = replace(memory, stm=stm, segments=())
    everything = ChunkRecall(stm.tokens.slice(0, 0))
    expected, _ = prefill(model, alone, everything, chunk_ids(99, 6), spare=0)
    torch.testing.assert_close(logits, expected)


@pytest.mark.parametrize("published", [False, True])
def test_decoding_with_the_cache_is_reading_again(
    build_network: Callable[..., Any], chunk_ids: Ids, published: bool
) -> None:
    model = build_network(published=published)
    memory = model.empty_memory()
    for number in range(4):
        memory = read_chunk(model, memory, chunk_ids(number, 8))
    prompt = chunk_ids(99, 6)
    recall = look_up(model, memory, prompt).recall
    logits, cache = prefill(model, memory, recall, prompt, spare=5)
    steps = decode(model, cache, logits, Sampling())
    drawn = [next(steps) for _ in range(6)]
    if isinstance(recall, TokenRecall):
        recall = _frozen(recall)
    for count in range(5):
        again, _ = prefill(model, memory, recall, prompt + drawn[: count + 1], spare=0)
        assert int(again[-1].argmax()) == drawn[count + 1]
    assert next(steps, None) is None, "the cache is full"


def _frozen(recall: TokenRecall) -> Any:
    """The same recalled tokens whatever the query: recall happens once, at the prompt."""
    chosen = dict(recall.indices)

    class Frozen:
        def __len__(self) -> int:
            return len(recall)

        def layer(self, index: int, _: torch.Tensor) -> Any:
            parts = [segment.tokens for segment in recall._segments]
            keys = torch.cat([part.keys[index] for part in parts])
            values = torch.cat([part.values[index] for part in parts])
            return keys[chosen[index]], values[chosen[index]]

        def short_term(self, stm: Any) -> Any:
            return stm

        def bias(self, _: torch.Tensor) -> None:
            return None

    return Frozen()


def test_an_empty_memory_is_the_base_behind_bos(
    build_network: Callable[..., Any], chunk_ids: Ids, tiny_llama: Any
) -> None:
    model = build_network()
    memory = model.empty_memory()
    assert memory.is_empty
    prompt = chunk_ids(0, 4)
    found = look_up(model, memory, prompt)
    ranked, recall = found.ranked, found.recall
    assert not ranked and len(recall) == 0
    logits, _ = prefill(model, memory, recall, prompt, spare=0)
    base = tiny_llama(torch.tensor([[0, *prompt]])).logits[0, -1:]
    torch.testing.assert_close(logits, base, atol=1e-4, rtol=0)
