from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from models.cache import Prefix
from models.fast_decode import FastDecoder
from models.generate import Finished, Generated, PromptTooLong, Recalled, prefill, stream
from models.recall import look_up
from models.rotary import rotate
from models.sampling import Sampling, draw, is_repeating
from models.update import read_chunk

Ids = Callable[[int, int], list[int]]
Build = Callable[..., Any]


def answer(model: Any, memory: Any, prompt: list[int], **options: Any) -> list[Any]:
    options = {"max_new_tokens": 6} | options
    found = look_up(model, memory, prompt)
    return list(stream(model, memory, found, prompt, **options))


@pytest.fixture
def read_network(build_network: Build, chunk_ids: Ids) -> tuple[Any, Any]:
    model = build_network()
    memory = model.empty_memory()
    for number in range(4):
        memory = read_chunk(model, memory, chunk_ids(number, 8))
    return model, memory


def test_events_come_in_order(read_network: tuple[Any, Any], chunk_ids: Ids) -> None:
    events = answer(*read_network, chunk_ids(99, 5))
    assert isinstance(events[0], Recalled)
    assert (events[0].stm_tokens, events[0].ltm_tokens, events[0].prompt_tokens) == (16, 16, 5)
    assert events[0].recalled_tokens == 16
    assert len(events[0].ranked) == 4
    assert all(isinstance(event, Generated) for event in events[1:-1])
    assert len(events) == 8
    assert events[-1] == Finished("length", 6)


def test_a_stop_token_ends_the_answer_unseen(read_network: tuple[Any, Any], chunk_ids: Ids) -> None:
    prompt = chunk_ids(99, 5)
    ids = [event.id for event in answer(*read_network, prompt)[1:-1]]
    stop = ids[2]
    events = answer(*read_network, prompt, stop_ids={stop})
    kept = ids[: ids.index(stop)]
    assert [event.id for event in events[1:-1]] == kept
    assert events[-1] == Finished("stop", len(kept))


def test_no_token_asked_for(read_network: tuple[Any, Any], chunk_ids: Ids) -> None:
    assert answer(*read_network, chunk_ids(99, 5), max_new_tokens=0)[1:] == [Finished("length", 0)]


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("lookahead", [1, 2, 5])
def test_greedy_answers_go_on_with_the_token_that_goes_on_best(
    build_network: Build,
    chunk_ids: Ids,
    monkeypatch: pytest.MonkeyPatch,
    lookahead: int,
    quick: bool,
) -> None:
    monkeypatch.setattr("models.sampling.LOOKAHEAD_TOKENS", 4)
    model = build_network(lookahead=lookahead, relevance_weight=3.0)
    if quick:
        model.step_decoder = FastDecoder(model.generate)
    memory = read_chunk(model, model.empty_memory(), chunk_ids(0, 8))
    others = 0
    for number in range(40, 50):
        prompt = chunk_ids(number, 5)
        said = [event.id for event in answer(model, memory, prompt)[1:-1]]

        def chances(ids: list[int], asked: list[int] = prompt) -> torch.Tensor:
            recall = look_up(model, memory, asked).recall
            logits, _ = prefill(model, memory, recall, asked + ids, spare=1)
            return logits[-1].log_softmax(dim=-1)

        for place in range(6):
            before = said[:place]
            best = chances(before).topk(lookahead if place < 4 else 1)
            pairs = {
                token: value + float(chances([*before, token]).max())
                for value, token in zip(best.values.tolist(), best.indices.tolist(), strict=True)
            }
            assert pairs[said[place]] == pytest.approx(max(pairs.values()), abs=1e-4)
            others += said[place] != int(best.indices[0])
    assert (others > 5) == (lookahead > 1)


@pytest.mark.parametrize("most", [1, 2, 6])
def test_answers_do_not_depend_on_how_long_they_may_be(
    build_network: Build, chunk_ids: Ids, most: int
) -> None:
    model = build_network(lookahead=3)
    memory = read_chunk(model, model.empty_memory(), chunk_ids(0, 8))
    prompt = chunk_ids(9, 5)
    whole, part = (
        [event.id for event in answer(model, memory, prompt, max_new_tokens=count)[1:-1]]
        for count in (12, most)
    )
    assert part == whole[:most]


def test_drawn_answers_do_not_look_ahead(build_network: Build, chunk_ids: Ids) -> None:
    said = []
    for starts in (1, 5):
        model = build_network(lookahead=starts)
        memory = read_chunk(model, model.empty_memory(), chunk_ids(0, 8))
        drawn = Sampling(temperature=1.0, seed=5)
        said.append([answer(model, memory, chunk_ids(n, 5), sampling=drawn) for n in range(6)])
    assert said[0] == said[1]


def test_layers_without_memory_see_bos_and_the_prompt_alone(
    build_network: Build, chunk_ids: Ids
) -> None:
    """Against the network with memory everywhere, whose other layers get it hidden by hand."""
    some = build_network(memory_layers=(2,))
    everywhere = build_network()
    memories = []
    for model in (some, everywhere):
        memory = model.empty_memory()
        for number in range(4):
            memory = read_chunk(model, memory, chunk_ids(number, 8))
        memories.append(memory)
    assert [memory.stm.tokens.keys.shape[0] for memory in memories] == [1, 3]
    assert torch.equal(memories[0].stm.tokens.keys[0], memories[1].stm.tokens.keys[2])
    prompt = chunk_ids(99, 5)
    recall = look_up(some, memories[0], prompt).recall
    logits, cache = prefill(some, memories[0], recall, prompt, spare=2, all_logits=True)
    expected = _hidden_from_layers(everywhere, memories[1], prompt, {0, 1})
    torch.testing.assert_close(logits, expected[: len(prompt)], atol=1e-4, rtol=1e-4)
    step = some.generate.step(7, cache)
    expected = _hidden_from_layers(everywhere, memories[1], [*prompt, 7], {0, 1})
    torch.testing.assert_close(step[0], expected[-1], atol=1e-4, rtol=1e-4)


def _hidden_from_layers(model: Any, memory: Any, prompt: list[int], hidden: set[int]) -> Any:
    """Logits (T, V) of a prompt behind all of a memory, masked out in some layers."""
    decoder, text = model.generate, len(prompt)
    recall = look_up(model, memory, prompt).recall
    before = 1 + len(recall) + len(memory.stm)
    seen = decoder.mask(text, before)
    blind = seen.clone()
    blind[..., 1:before] = torch.finfo(seen.dtype).min
    states = decoder.embed(torch.tensor([prompt]))
    for index in range(decoder.layers):
        bos = decoder.keys_values(index, model.generate_bos[index][None])
        recalled = recall.layer(index, states)
        stm = (memory.stm.tokens.keys[index], memory.stm.tokens.values[index])
        keys, values = (
            torch.cat([lead[0], part, own])[None]
            for lead, part, own in zip(bos, recalled, stm, strict=True)
        )
        prefix = Prefix(rotate(keys, decoder.rotary(0, before)[index]), values.transpose(1, 2))
        mask = blind if index in hidden else seen
        states = decoder.layer(index, states, decoder.rotary(before, text), mask, prefix)
    return decoder.final(states)[0].float()


def test_the_same_seed_gives_the_same_answer(read_network: tuple[Any, Any], chunk_ids: Ids) -> None:
    def sampled(seed: int) -> list[Any]:
        sampling = Sampling(temperature=2.0, seed=seed)
        return answer(*read_network, chunk_ids(99, 5), max_new_tokens=12, sampling=sampling)

    assert sampled(1) == sampled(1)
    assert sampled(1) != sampled(2)


def test_the_published_way_names_chunks_after_the_prefill(
    build_network: Build, chunk_ids: Ids
) -> None:
    model = build_network(published=True)
    memory = model.empty_memory()
    for number in range(5):
        memory = read_chunk(model, memory, chunk_ids(number, 8))
    recalled = answer(model, memory, chunk_ids(99, 5))[0]
    assert recalled.recalled_tokens == 16
    assert {score.chunk for score in recalled.ranked} <= set(range(5))
    assert recalled.ranked


def test_a_prompt_has_a_limit(build_network: Build, chunk_ids: Ids) -> None:
    model = build_network(positions=64, max_prompt_tokens=16)
    memory = read_chunk(model, model.empty_memory(), chunk_ids(0, 8))
    room = 64 - 1 - 16 - 8
    assert answer(model, memory, [5] * (room - 6))[-1].reason == "length"
    with pytest.raises(PromptTooLong, match=f"{room} fit"):
        answer(model, memory, [5] * (room - 5))
    with pytest.raises(PromptTooLong):
        answer(model, memory, [])


def test_greedy_takes_the_likeliest() -> None:
    logits = torch.tensor([0.1, 3.0, -1.0, 2.9])
    assert draw(logits, Sampling(), torch.Generator()) == 1


@pytest.mark.parametrize(
    ("top_p", "allowed"), [(0.5, {0}), (0.51, {0, 2}), (0.85, {0, 2, 1}), (1.0, {0, 1, 2, 3})]
)
def test_top_p_keeps_the_smallest_nucleus(top_p: float, allowed: set[int]) -> None:
    logits = torch.tensor([0.5, 0.1, 0.3, 0.1]).log()
    generator = torch.Generator().manual_seed(0)
    sampling = Sampling(temperature=1.0, top_p=top_p)
    assert {draw(logits, sampling, generator) for _ in range(300)} == allowed


def test_draws_follow_the_temperature() -> None:
    logits, generator = torch.tensor([1.0, 0.0]), torch.Generator().manual_seed(0)
    for temperature in (0.5, 1.0, 4.0):
        sampling = Sampling(temperature=temperature)
        drawn = [draw(logits, sampling, generator) for _ in range(3000)]
        expected = float(torch.softmax(logits / temperature, 0)[0])
        assert drawn.count(0) / 3000 == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize(
    ("options", "names"),
    [({"temperature": -0.1}, "temperature"), ({"top_p": 0.0}, "top_p"), ({"top_p": 1.1}, "top_p")],
)
def test_sampling_is_checked(options: dict[str, float], names: str) -> None:
    with pytest.raises(ValueError, match=names):
        Sampling(**options)  # type: ignore[arg-type]


def test_circles_are_seen_and_lists_are_not() -> None:
    loop = [5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]
    assert is_repeating([1, 2, 3] + loop * 3)
    assert is_repeating([4] * 32)
    assert not is_repeating([4] * 31)
    assert not is_repeating([1, 2, 3] + loop * 2 + loop[:-1] + [99])
    assert not is_repeating([n for item in range(12) for n in (7, 8, 100 + item)])
    assert not is_repeating([])


@pytest.mark.parametrize("temperature", [5e-324, 1e-38, 1e-7, 1e300])
def test_any_temperature_draws_an_id(temperature: float) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.tensor([40.0, -1e4, 39.0, 1e4])
    drawn = draw(logits, Sampling(temperature), generator)
    assert drawn in range(4) if temperature > 1 else drawn == 3


@pytest.mark.parametrize("temperature", [float("nan"), float("inf"), -1e-9])
def test_what_is_no_temperature(temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature is"):
        Sampling(temperature)


def test_an_answer_that_repeats_itself_ends(
    build_network: Build, chunk_ids: Ids, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build_network()
    memory = read_chunk(model, model.empty_memory(), chunk_ids(1, 8))
    monkeypatch.setattr("models.sampling.draw", lambda *_: 7)
    events = answer(model, memory, chunk_ids(2, 5), max_new_tokens=100)
    assert events[-1] == Finished("repetition", 32)
