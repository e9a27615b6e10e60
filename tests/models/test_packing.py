from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from models.checkpoints.fingerprint import fingerprint
from models.config import ConfigError, MPlusConfig
from models.gathering import gather
from models.memory import Memory, Tokens, concatenate
from models.packing import CodedQuery, Packed, pack
from models.recall import TokenRecall, recall_chunks
from models.scan import score_chunks
from models.update import compact, read_chunk

Build = Callable[..., Any]
Ids = Callable[[int, int], list[int]]

FORMS = ("k8v8", "k8v4", "k4v4")


def read(build_network: Build, chunk_ids: Ids, **changes: Any) -> tuple[Any, Memory]:
    model = build_network(**changes)
    memory = model.empty_memory()
    for number in range(7):
        memory = read_chunk(model, memory, chunk_ids(number, 8))
    return model, memory


def tokens(dtype: torch.dtype = torch.float32, *, outlier: float = 1.0) -> Tokens:
    generator = torch.Generator().manual_seed(4)
    keys = torch.randn(3, 40, 2, 64, generator=generator)
    keys[..., 5] *= outlier
    return Tokens(
        keys.to(dtype),
        torch.randn(3, 40, 2, 64, generator=generator).to(dtype),
        torch.randn(2, 40, 16, generator=generator).to(dtype),
        torch.arange(40)[None] // 8,
    )


def error(found: torch.Tensor, exact: torch.Tensor) -> float:
    """The largest relative error of any layer and head."""
    off = (found.float() - exact.float()).norm(dim=(1, 3)) / exact.float().norm(dim=(1, 3))
    return float(off.max())


@pytest.mark.parametrize(
    ("form", "keys", "values"), [("k8v8", 0.01, 0.01), ("k8v4", 0.01, 0.12), ("k4v4", 0.12, 0.12)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_errors_a_head(form: Any, keys: float, values: float, dtype: torch.dtype) -> None:
    exact = tokens(dtype)
    found = pack(exact, form).unpack()
    assert found.keys.dtype == dtype
    assert error(found.keys, exact.keys) < keys
    assert error(found.values, exact.values) < values
    far = (
        found.retriever_keys - exact.retriever_keys
    ).abs().max() / exact.retriever_keys.abs().max()
    assert far < 0.01
    assert torch.equal(found.chunks, exact.chunks)


def test_a_large_channel_costs_the_others_little() -> None:
    exact = tokens(outlier=20.0)
    assert error(pack(exact, "k4v4").unpack().keys, exact.keys) < 0.12


def test_nothing_and_zeros_pack() -> None:
    exact = tokens().each(lambda rows: torch.zeros_like(rows))
    for form in FORMS:
        found = pack(exact, form).unpack()
        assert not found.keys.any() and not found.values.any()
        assert len(pack(exact.slice(0, 0), form).unpack()) == 0
    assert pack(exact, "exact") is exact


@pytest.mark.parametrize(("form", "size"), [("k8v8", 132), ("k8v4", 100), ("k4v4", 68)])
def test_bytes_a_head(form: Any, size: int) -> None:
    """Of keys and values of 64 numbers each, in bfloat16: 256 bytes as they are."""
    packed = pack(tokens(torch.bfloat16), form)
    assert isinstance(packed, Packed)
    parts = (packed.keys, packed.values, packed.key_scales, packed.value_scales)
    assert sum(part.nbytes for part in parts) == size * 3 * 40 * 2


@pytest.mark.parametrize("form", FORMS)
def test_a_slice_unpacks_as_the_whole_does(form: Any) -> None:
    packed = pack(tokens(), form)
    whole = packed.unpack()
    part = packed.slice(8, 24).unpack()
    again = concatenate([packed.slice(0, 8), packed.slice(8, 40)]).unpack()
    for name, rows in whole.tensors().items():
        torch.testing.assert_close(part.tensors()[name], rows[:, 8:24], atol=1e-6, rtol=0)
        torch.testing.assert_close(again.tensors()[name], rows, atol=1e-6, rtol=0)
    taken = packed.of_layers(slice(1, 2)).take(torch.tensor([[3, 30]])).unpack()
    torch.testing.assert_close(taken.keys[0], whole.keys[1, [3, 30]], atol=1e-6, rtol=0)


@pytest.mark.parametrize("form", FORMS)
def test_what_is_dropped_is_packed_and_recalled_nearly_the_same(
    build_network: Build, chunk_ids: Ids, form: Any
) -> None:
    _, exact = read(build_network, chunk_ids)
    model, memory = read(build_network, chunk_ids, ltm_format=form)
    assert all(isinstance(segment.tokens, Packed) for segment in memory.segments)
    assert torch.equal(memory.stm.tokens.keys, exact.stm.tokens.keys), "reading is as it was"
    ranked = score_chunks(model, memory, chunk_ids(1, 8)[2:6])
    assert ranked[0].chunk == score_chunks(model, exact, chunk_ids(1, 8)[2:6])[0].chunk == 1
    found, wanted = recall_chunks(memory, ranked, 16), recall_chunks(exact, ranked, 16)
    assert torch.equal(found.chunks, wanted.chunks)
    assert error(found.keys, wanted.keys) < 0.2
    assert error(found.values, wanted.values) < 0.2
    merged = compact(memory)
    for name, rows in recall_chunks(merged, ranked, 16).tensors().items():
        torch.testing.assert_close(rows, found.tensors()[name], atol=1e-6, rtol=0)


SCANNED = {"ltm_format": "k8v4", "scorer": "maxsim", "retriever_layers": (0, 2)}
needs_whole_numbers = pytest.mark.skipif(
    not CodedQuery.is_quick(), reason="this processor has no exact products of 8 bits"
)


@needs_whole_numbers
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("width", [5, 64])
def test_scanning_codes_finds_what_plain_loops_find(dtype: torch.dtype, width: int) -> None:
    draw = torch.Generator().manual_seed(8)
    exact = tokens(dtype)
    keys = torch.nn.functional.normalize(torch.randn(2, 40, width, generator=draw), dim=-1)
    packed = pack(replace(exact, retriever_keys=keys.to(dtype)), "k8v4")
    assert isinstance(packed, Packed)
    queries = torch.randn(7, width, generator=draw) * torch.tensor([[3.0]] * 6 + [[0.0]])
    for row in range(2):
        found = packed.codes.nearest(row, 8, 40, 16, CodedQuery.of(queries))
        codes, scales = packed.retriever_keys[row], packed.retriever_scales[row]
        for number, query in enumerate(queries):
            for run, start in enumerate((8, 24)):
                products = [
                    float(query @ (codes[place].float() * scales[place].float()))
                    for place in range(start, start + 16)
                ]
                assert float(found[number, run]) == pytest.approx(max(products), abs=1e-3)


@needs_whole_numbers
def test_chunks_rank_as_by_the_numbers_that_the_codes_stand_for(
    build_network: Build, chunk_ids: Ids, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, memory = read(build_network, chunk_ids, **SCANNED)
    found = score_chunks(model, memory, chunk_ids(3, 8)[1:6])
    monkeypatch.setattr(CodedQuery, "is_quick", staticmethod(lambda: False))
    exact = score_chunks(model, memory, chunk_ids(3, 8)[1:6])
    assert [one.chunk for one in found] == [one.chunk for one in exact]
    for one, other in zip(found, exact, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-3)


@needs_whole_numbers
def test_of_many_chunks_those_that_a_first_look_likes_are_scored_in_full(
    build_network: Build, chunk_ids: Ids, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, memory = read(build_network, chunk_ids, **SCANNED)
    memory = compact(memory)
    question = chunk_ids(3, 8)[1:6]
    full = {one.chunk: one.score for one in score_chunks(model, memory, question)}
    short = set(memory.stm.tokens.chunks[0].tolist())
    monkeypatch.setattr("models.scan.RESCORED", 2)
    monkeypatch.setattr("models.scan.COARSE_TOKENS", 3)
    model.config = replace(model.config, recalled_tokens=8)
    assert memory.chunks > 2 * 2
    found = score_chunks(model, memory, question)
    assert len({one.chunk for one in found} - short) == 2
    assert short < {one.chunk for one in found}
    assert found[0].chunk == max(full, key=lambda chunk: full[chunk])
    for one in found:
        assert one.score == pytest.approx(full[one.chunk], abs=1e-4)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    # For a single question memory is given back as it is looked through.
    model.generate.keep, calls = False, list[int]()
    segments = [replace(one, give_back=lambda: calls.append(1)) for one in memory.segments]
    assert score_chunks(model, memory.with_segments(segments), question) == found
    assert len(calls) == 3 * len(segments)


@needs_whole_numbers
def test_a_chunk_that_short_term_memory_holds_a_part_of_is_scored_whole(
    build_network: Build, chunk_ids: Ids, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, memory = read(build_network, chunk_ids, **SCANNED)
    memory = compact(read_chunk(model, memory, chunk_ids(90, 3)))
    short, long = (
        set(part.chunks[0].tolist()) for part in (memory.stm.tokens, memory.segments[0].tokens)
    )
    (both,) = short & long
    question = chunk_ids(1, 8)[1:6]
    full = {one.chunk: one.score for one in score_chunks(model, memory, question)}
    monkeypatch.setattr("models.scan.RESCORED", 1)
    model.config = replace(model.config, recalled_tokens=0)
    found = {one.chunk: one.score for one in score_chunks(model, memory, question)}
    assert short < found.keys() < full.keys()
    assert found[both] == pytest.approx(full[both], abs=1e-4)


@needs_whole_numbers
def test_as_many_chunks_are_scored_as_can_be_recalled(
    build_network: Build, chunk_ids: Ids, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, memory = read(build_network, chunk_ids, **SCANNED)
    monkeypatch.setattr("models.scan.RESCORED", 1)
    question = chunk_ids(3, 8)[1:6]
    ranked = score_chunks(model, memory, question)
    budget = model.config.recalled_tokens
    assert len(recall_chunks(memory, ranked, budget)) == budget < memory.ltm_tokens


def test_recall_of_tokens_from_packed_memory(build_network: Build, chunk_ids: Ids) -> None:
    model, memory = read(build_network, chunk_ids, published=True, ltm_format="k8v8")
    recall = TokenRecall(model, memory, 6)
    hidden = model.generate.embed(torch.tensor([chunk_ids(50, 5)]))
    keys, values = recall.layer(2, hidden)
    layer = gather(memory.segments, recall.indices[2][None], layers=slice(2, 3))
    assert torch.equal(keys, layer.keys[0]) and torch.equal(values, layer.values[0])
    assert len(recall) == 6 and keys.isfinite().all()


def test_the_oldest_are_forgotten_in_packed_memory_too(
    build_network: Build, chunk_ids: Ids
) -> None:
    _, memory = read(build_network, chunk_ids, ltm_format="k4v4", ltm_capacity=12)
    assert memory.ltm_tokens == 12


def test_old_checkpoints_stay_exact_and_keep_their_fingerprint() -> None:
    values = MPlusConfig().to_dict()
    reading = {"window_weight": 1.0, "window_tokens": 48, "window_limit": 3.0, "lookahead": 2}
    reading |= {"quote_weight": 4.0, "least_coverage": 0, "best_chunks": 0, "together_weight": 0.5}
    young = ("ltm_format", "relevance_weight", "memory_layers", *reading)
    old = {name: value for name, value in values.items() if name not in young}
    assert MPlusConfig.from_dict(old).ltm_format == "exact"

    def mark(**changes: Any) -> str:
        return fingerprint(MPlusConfig.from_dict(old | changes).counting(), [])

    assert mark() == fingerprint(old, []) == mark(**values) == mark(**reading)
    for changes in ({"ltm_format": "k8v8"}, {"memory_layers": [1]}, {"relevance_weight": 2.0}):
        assert mark(**changes) != mark()
    with pytest.raises(ConfigError, match="ltm_format"):
        MPlusConfig(ltm_format="int3")  # type: ignore[arg-type]
