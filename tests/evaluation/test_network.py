"""`mplus_cli.evaluation.network`: ways to recall, losses, and the base on its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from models.config import MPlusConfig
from models.decoder import Decoder
from models.fast_decode import FastDecoder, optimise_for_device
from models.generate import Generated, stream
from models.memory import Memory
from models.network import MPlusModel
from models.recall import ChunkRecall, Found, TokenRecall, look_up, recall_chunks
from models.retriever import make_retriever
from models.scan import question_queries, score_chunks
from models.update import read_chunk
from mplus_cli.evaluation.network import (
    PriorityRecall,
    identity_network,
    long_term_bytes,
    memory_loss,
    recall_as,
    window_loss,
)

CONFIG: dict[str, Any] = {
    "chunk_tokens": 8,
    "new_tokens": 8,
    "stm_tokens": 16,
    "recalled_tokens": 16,
    "max_prompt_tokens": 64,
}
PUBLISHED: dict[str, Any] = {
    "memory_state": "output",
    "memory_positions": "last",
    "drop": "random",
    "recall": "tokens",
    "scorer": "sigmoid",
    "ages_in_stm": False,
    "retriever_width": 6,
    "retriever_hidden": 5,
}


def ids(number: int, length: int = 8) -> list[int]:
    generator = torch.Generator().manual_seed(number)
    return torch.randint(3, 300, (length,), generator=generator).tolist()


@pytest.fixture(scope="module")
def networks(build_stack: Callable[..., Any]) -> dict[str, MPlusModel]:
    stack = build_stack()
    torch.manual_seed(3)
    config = MPlusConfig.from_dict(CONFIG | PUBLISHED)
    retriever = make_retriever(config.retriever, 3, 32).requires_grad_(False)
    decoder = Decoder(stack)
    return {
        "chunks": identity_network(stack, MPlusConfig.from_dict(CONFIG), 0),
        "tokens": MPlusModel(config, decoder, decoder, retriever, bos_id=0),
    }


def read(network: MPlusModel, chunks: int) -> Memory:
    memory = network.empty_memory()
    for number in range(chunks):
        memory = read_chunk(network, memory, ids(number))
    return memory


def find(network: MPlusModel, memory: Memory, mode: Any, **options: Any) -> Found:
    """What the question of these tests finds, recalled in a way."""
    return recall_as(network, memory, look_up(network, memory, ids(99)), mode, **options)


def answer(
    network: MPlusModel,
    memory: Memory,
    found: Found,
    prompt: list[int],
    limit: int,
    stop_ids: set[int],
) -> list[int]:
    events = stream(network, memory, found, prompt, max_new_tokens=limit, stop_ids=stop_ids)
    return [event.id for event in events if isinstance(event, Generated)]


def test_the_oracle_recalls_what_it_is_told(networks: dict[str, MPlusModel]) -> None:
    network = networks["chunks"]
    memory = read(network, 8)
    for gold in range(6):
        assert gold in find(network, memory, "oracle", gold={gold}).present(memory)


def test_the_newest_and_any(networks: dict[str, MPlusModel]) -> None:
    network = networks["chunks"]
    memory = read(network, 8)

    def recalled(mode: Any, seed: str = "") -> tuple[set[int], list[float]]:
        found = find(network, memory, mode, seed=seed)
        assert len(found.recall) == 16
        keys, _ = found.recall.layer(0, torch.zeros(1, 1, 32))
        return set(found.present(memory)), keys.flatten().tolist()

    stored = torch.cat([segment.tokens.keys[0] for segment in memory.segments])
    assert recalled("newest") == ({4, 5, 6, 7}, stored[-16:].flatten().tolist())
    drawn = [recalled("random", str(seed)) for seed in range(6)]
    assert recalled("random", "0") == drawn[0]
    assert len({tuple(keys) for _, keys in drawn}) > 1


@pytest.mark.parametrize("mode", ["oracle", "random", "newest"])
def test_chunks_are_not_chosen_where_layers_choose_tokens(
    networks: dict[str, MPlusModel], mode: Any
) -> None:
    network = networks["tokens"]
    with pytest.raises(ValueError, match="recalls chunks, and this model tokens"):
        find(network, read(network, 8), mode)


def test_each_layers_best_tokens_of_whatever_chunk(networks: dict[str, MPlusModel]) -> None:
    """Those that plain loops find, in every layer, by the retriever there is."""
    network = networks["chunks"]
    memory = read(network, 8)
    recall = find(network, memory, "tokens").recall
    assert isinstance(recall, PriorityRecall)
    (queries,) = question_queries(network, torch.tensor([ids(99)]))
    keys = torch.cat(
        [segment.tokens.lookup(0, 0, len(segment)) for segment in memory.segments]
    ).float()
    scores = [
        max(float(network.retriever.token_scores(0, query[None], key[None])) for query in queries)
        for key in keys
    ]
    best = sorted(range(len(scores)), key=lambda place: -scores[place])[: len(recall)]
    assert [len(layer) for layer in recall.indices.values()] == [16] * 3
    for layer in recall.indices.values():
        assert sorted(layer.tolist()) == sorted(best)
    chunks = torch.cat([segment.tokens.chunks[0] for segment in memory.segments])
    assert recall.recalled_chunks() == frozenset(chunks[best].tolist())
    born = torch.cat([segment.born[0] for segment in memory.segments])
    for row, layer in recall.indices.items():
        assert torch.equal(born[layer], born[layer].sort().values), "oldest first"
        keys, _ = recall.layer(row, torch.zeros(1, 1, 32))
        stored = torch.cat([segment.tokens.keys[row] for segment in memory.segments])
        assert torch.equal(keys, stored[layer])
    published = find(networks["tokens"], read(networks["tokens"], 8), "tokens").recall
    assert type(published) is TokenRecall, "what it does anyway"


@pytest.mark.parametrize("kind", ["chunks", "tokens"])
def test_nothing_is_recalled(kind: str, networks: dict[str, MPlusModel]) -> None:
    memory = read(networks[kind], 8)
    found = find(networks[kind], memory, "none")
    assert len(found.recall) == 0
    stm = set(memory.stm.tokens.chunks.unique().tolist())
    assert set(found.present(memory)) == stm


def test_learned_recall_is_the_products(networks: dict[str, MPlusModel]) -> None:
    network = networks["chunks"]
    memory = read(network, 8)
    found = find(network, memory, "learned")
    assert list(found.ranked) == score_chunks(network, memory, ids(99))
    wanted = recall_chunks(memory, found.ranked, 16).chunks.unique().tolist()
    assert isinstance(found.recall, ChunkRecall)
    assert set(found.present(memory)) == {*wanted, 6, 7}


def test_the_base_answers_as_transformers_does(
    build_llama: Callable[..., Any], as_stack: Callable[[Any], Any]
) -> None:
    llama = build_llama()
    prompt = ids(1, 20)
    whole = llama.generate(torch.tensor([[0, *prompt]]), max_new_tokens=10, do_sample=False)
    wanted = whole[0, 21:].tolist()
    network = identity_network(as_stack(llama), MPlusConfig.from_dict(CONFIG), 0)
    optimise_for_device(network)
    assert isinstance(network.step_decoder, FastDecoder)

    def said(stop_ids: set[int]) -> list[int]:
        memory = network.empty_memory()
        return answer(network, memory, find(network, memory, "none"), prompt, 10, stop_ids)

    assert said({2}) == wanted
    assert said({wanted[4]}) == wanted[: wanted.index(wanted[4])]


def test_the_loss_of_identity_memory_is_that_of_the_text(networks: dict[str, MPlusModel]) -> None:
    network = networks["chunks"]
    memory = read(network, 2)
    lead, chunk = ids(50, 1), ids(51, 7)
    behind = memory_loss(network, memory, find(network, memory, "none").recall, lead, chunk)
    before = [0, *ids(0), *ids(1), *lead]
    assert behind.shape == (7,)
    torch.testing.assert_close(behind, window_loss(network.generate.stack, before, chunk))
    without = window_loss(network.generate.stack, [0, *lead], chunk)
    assert not torch.allclose(behind, without, atol=1e-2)


def test_the_loss_is_the_cross_entropy(
    build_llama: Callable[..., Any], as_stack: Callable[[Any], Any]
) -> None:
    llama = build_llama()
    text = ids(3, 12)
    out = llama(input_ids=torch.tensor([text]), labels=torch.tensor([[-100] * 4 + text[4:]]))
    assert float(window_loss(as_stack(llama), text[:4], text[4:]).mean()) == pytest.approx(
        float(out.loss), abs=1e-5
    )


@pytest.mark.parametrize("form", ["exact", "k8v4"])
def test_what_long_term_memory_takes(form: Any, networks: dict[str, MPlusModel]) -> None:
    exact = networks["chunks"]
    config = replace(exact.config, ltm_format=form)
    network = MPlusModel(config, exact.update, exact.generate, exact.retriever, bos_id=0)
    memory = read(network, 8)
    tensors = [part for one in memory.segments for part in one.tokens.tensors().values()]
    held = sum(part.nbytes for part in tensors)
    assert held == memory.ltm_tokens * long_term_bytes(network)


def test_swapped_adapters(bench: Any) -> None:
    model = bench.session.model
    swapped = model.with_decoders(model.generate, model.update)
    assert swapped.update is model.generate
    assert swapped.generate is model.update
    assert not torch.equal(swapped.generate_bos[1], model.generate_bos[1])
    memory = read_chunk(swapped, swapped.empty_memory(), ids(0))
    assert len(answer(swapped, memory, find(swapped, memory, "learned"), ids(1), 5, set())) == 5
