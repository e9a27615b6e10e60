"""The likeliest spans behind a prompt: whole ones with their log-probabilities, the cache left alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
import torch

from models import spans
from models.generate import prefill, read
from models.recall import look_up
from models.spans import BRANCHES, Candidate, likeliest_spans
from models.update import read_chunk

STOP, REFUSAL = 2, (7, 8)


@dataclass(frozen=True)
class Listed:
    """A span of lists of tokens; those in `dull` alone are not answers."""

    texts: tuple[tuple[int, ...], ...]
    places: tuple[tuple[int, int], ...] | None = None
    dull: frozenset[int] = frozenset()
    said: tuple[int, ...] = ()

    @property
    def may_end(self) -> bool:
        return not self.dull.issuperset(self.said)

    def ahead(self) -> Mapping[int, Listed]:
        places = self.places
        if places is None:
            places = tuple((t, at) for t, text in enumerate(self.texts) for at in range(len(text)))
        found: dict[int, list[tuple[int, int]]] = {}
        for text, at in places:
            if at < len(self.texts[text]):
                found.setdefault(self.texts[text][at], []).append((text, at + 1))
        return {
            token: Listed(self.texts, tuple(stops), self.dull, (*self.said, token))
            for token, stops in found.items()
        }


@pytest.fixture
def prompt(build_network: Callable[..., Any], chunk_ids: Callable[..., list[int]]) -> Any:
    """A model, a memory and a prompt that was read."""
    model = build_network()
    memory = model.empty_memory()
    for number in range(3):
        memory = read_chunk(model, memory, chunk_ids(number, 8))
    ids = chunk_ids(99, 5)
    found = look_up(model, memory, ids)
    behind = read(model, memory, found, ids, spare=24, branches=BRANCHES)
    return model, memory, ids, found, behind


def nats(prompt: Any, answer: tuple[int, ...]) -> float:
    """What the network says of an answer and its end, read in one go."""
    model, memory, ids, found, _ = prompt
    logits, _ = prefill(model, memory, found.recall, [*ids, *answer], spare=0, all_logits=True)
    chances = logits[len(ids) - 1 :].log_softmax(dim=-1)
    said = sum(float(chances[at, token]) for at, token in enumerate(answer))
    return said + float(chances[len(answer), STOP])


def search(prompt: Any, start: Listed, **options: Any) -> Any:
    model, *_, read_prompt = prompt
    return likeliest_spans(
        model,
        read_prompt.cache,
        read_prompt.logits[-1],
        start,
        stop_ids={STOP},
        refusal=REFUSAL,
        **options,
    )


def test_spans_stand_in_a_text_and_have_their_log_probability(prompt: Any) -> None:
    texts = ((5, 9, 11, 40), (60, 9, 70))
    found, refusing = search(prompt, Listed(texts))
    assert found and all(one.nats >= other.nats for one, other in pairwise(found))
    rows = ["".join(f" {token} " for token in text) for text in texts]
    for candidate in found:
        assert any("".join(f" {token} " for token in candidate.ids) in row for row in rows)
        assert candidate.nats == pytest.approx(nats(prompt, candidate.ids), abs=1e-3)
    model, memory, ids, recalled, _ = prompt
    logits, _ = prefill(
        model, memory, recalled.recall, [*ids, REFUSAL[0]], spare=0, all_logits=True
    )
    chances = logits[-2:].log_softmax(dim=-1)
    told = float(chances[0, REFUSAL[0]] + chances[1, REFUSAL[1]])
    assert refusing == pytest.approx(told, abs=1e-3)


def test_the_cache_is_left_as_it_was(prompt: Any) -> None:
    cache = prompt[-1].cache
    before = cache.mark()
    first = search(prompt, Listed(((5, 9, 11),)))
    assert cache.mark() == before
    assert search(prompt, Listed(((5, 9, 11),))) == first


def test_what_may_not_end_is_no_candidate(prompt: Any) -> None:
    found, _ = search(prompt, Listed(((5, 9, 11),), dull=frozenset({5, 9})))
    assert found and all(11 in candidate.ids for candidate in found)


def test_nothing_to_say_and_a_limit(prompt: Any) -> None:
    assert search(prompt, Listed(()))[0] == []
    found, _ = search(prompt, Listed((tuple(range(20, 60)),)), longest=2)
    assert found and all(len(candidate.ids) <= 2 for candidate in found)


def one_after_the_other(prompt: Any, start: Listed, longest: int) -> tuple[list[Candidate], int]:
    """What `likeliest_spans` promises, with each beginning followed to its end before the next one."""
    model, *_, behind = prompt
    cache, first = behind.cache, behind.logits[-1].log_softmax(dim=-1)
    mark, steps = cache.mark(), 0

    def step(token: int) -> torch.Tensor:
        nonlocal steps
        steps += 1
        return model.step_decoder.step(token, cache)[0].log_softmax(dim=-1)

    best = float(first[REFUSAL[0]] + step(REFUSAL[0])[REFUSAL[1]])
    cache.rewind(mark)
    found: list[Candidate] = []
    ahead = start.ahead()
    for token in sorted(ahead, key=lambda token: -float(first[token]))[: spans.BEGINNINGS]:
        span, ids, nats = ahead[token], (token,), float(first[token])
        if nats < best - spans.MARGIN:
            break
        while True:
            chances = step(ids[-1])
            end, onward = float(chances[STOP]), span.ahead()
            if span.may_end:
                found.append(Candidate(ids, nats + end))
                best = max(best, nats + end)
            likeliest = max(onward, key=lambda token: float(chances[token]), default=None)
            if likeliest is None or (span.may_end and end > float(chances[likeliest])):
                break
            if nats < best - spans.MARGIN or len(ids) == longest:
                break
            span, ids, nats = (
                onward[likeliest],
                (*ids, likeliest),
                nats + float(chances[likeliest]),
            )
        cache.rewind(mark)
    return sorted(found, key=lambda answer: -answer.nats), steps


@pytest.mark.parametrize("margin", [0.05, 0.5, 1.5, 6.0])
@pytest.mark.parametrize("longest", [1, 3, 8, 24])
def test_side_by_side_finds_what_one_after_the_other_does(
    prompt: Any, monkeypatch: pytest.MonkeyPatch, margin: float, longest: int
) -> None:
    monkeypatch.setattr(spans, "MARGIN", margin)
    model, fork, forks = prompt[0], prompt[0].step_decoder.fork, 0

    def counted(*arguments: Any) -> torch.Tensor:
        nonlocal forks
        forks += 1
        return fork(*arguments)

    for seed in range(12):
        draw = torch.Generator().manual_seed(seed)
        tokens = torch.randint(3, 40, (6, 9), generator=draw).tolist()
        start = Listed(tuple(map(tuple, tokens)), dull=frozenset(range(3, 3 + seed)))
        expected, steps = one_after_the_other(prompt, start, longest)
        forks = 0
        monkeypatch.setattr(model.step_decoder, "fork", counted)
        found, _ = search(prompt, start, longest=longest)
        monkeypatch.setattr(model.step_decoder, "fork", fork)
        assert [answer.ids for answer in found] == [answer.ids for answer in expected]
        for one, other in zip(found, expected, strict=True):
            assert one.nats == pytest.approx(other.nats, abs=1e-4)
        assert forks <= min(steps, longest)


def test_a_prior_moves_chunks_and_what_is_recalled(prompt: Any) -> None:
    model, memory, ids, found, _ = prompt
    assert len(found.ranked) == 3
    last = found.ranked[-1]
    moved = look_up(model, memory, ids, {last.chunk: 1000.0})
    assert moved.ranked[0].chunk == last.chunk
    assert moved.ranked[0].score == pytest.approx(last.score + 1000.0)
    kept = {entry.chunk: entry.score for entry in moved.ranked[1:]}
    assert kept == {entry.chunk: entry.score for entry in found.ranked[:-1]}
    assert torch.equal(
        look_up(model, memory, ids, {}).recall.layer(0, torch.zeros(1))[0],
        found.recall.layer(0, torch.zeros(1))[0],
    )
