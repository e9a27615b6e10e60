"""Attention by matrix products computes what SDPA computes."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from models.attention import Scoring, causal_attention, few, for_heads, grouped_attention, sdpa


def tensors(heads: int, groups: int, queries: int, keys: int) -> tuple[torch.Tensor, ...]:
    draw = torch.Generator().manual_seed(0)
    shapes = ((2, heads, queries, 8), (2, groups, keys, 8), (2, groups, keys, 8))
    return tuple(torch.randn(shape, generator=draw).requires_grad_() for shape in shapes)


@pytest.mark.parametrize(("heads", "groups"), [(6, 2), (4, 4), (3, 1)])
@pytest.mark.parametrize("masked", [True, False])
def test_values_and_gradients_are_those_of_sdpa(heads: int, groups: int, masked: bool) -> None:
    query, key, value = tensors(heads, groups, 5, 9)
    mask = torch.zeros(2, 1, 5, 9)
    mask[0, :, :, 7:] = torch.finfo(torch.float32).min
    mask = mask if masked else None
    repeated = [part.repeat_interleave(heads // groups, dim=1) for part in (key, value)]
    expected = functional.scaled_dot_product_attention(query, *repeated, attn_mask=mask, scale=0.3)
    given = mask if masked else torch.zeros(1, 1, 5, 9)
    found = grouped_attention(query, key, value, Scoring(given, 0.3))
    torch.testing.assert_close(found, expected.transpose(1, 2))
    along = torch.randn(found.shape, generator=torch.Generator().manual_seed(1))
    wanted = torch.autograd.grad((expected.transpose(1, 2) * along).sum(), (query, key, value))
    got = torch.autograd.grad((found * along).sum(), (query, key, value))
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(("queries", "keys"), [(5, 9), (5, 5), (1, 9), (1, 1), (4, 10)])
@pytest.mark.parametrize("masked", [True, False])
def test_causal_attention_block_by_block(
    monkeypatch: pytest.MonkeyPatch, queries: int, keys: int, masked: bool
) -> None:
    monkeypatch.setattr("models.attention.BLOCK", 2)
    query, key, value = tensors(6, 2, queries, keys)
    allowed = torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)
    mask = torch.zeros(1, 1, queries, keys).masked_fill(~allowed, -torch.inf)
    if masked:
        mask = mask - torch.arange(keys) / 7
    repeated = [part.repeat_interleave(3, dim=1) for part in (key, value)]
    expected = functional.scaled_dot_product_attention(query, *repeated, attn_mask=mask)
    given = mask if masked else None
    strided = query.transpose(1, 2).contiguous().transpose(1, 2)  # as projections leave it
    for attention in (causal_attention, grouped_attention, sdpa, few):
        found = attention(strided, key, value, Scoring(given, 8**-0.5))
        torch.testing.assert_close(found, expected.transpose(1, 2))


@pytest.mark.parametrize("queries", [1, 5])
def test_capped_logits(queries: int) -> None:
    query, key, value = tensors(6, 2, queries, 9)
    repeated = [part.repeat_interleave(3, dim=1) for part in (key, value)]
    logits = query @ repeated[0].transpose(2, 3) * 8**-0.5
    allowed = torch.ones(queries, 9, dtype=torch.bool).tril(9 - queries)
    capped = ((logits / 0.5).tanh() * 0.5).masked_fill(~allowed, -torch.inf)
    expected = (capped.softmax(dim=-1) @ repeated[1]).transpose(1, 2)
    for attention in (causal_attention, grouped_attention, sdpa, few):
        found = attention(query, key, value, Scoring(None, 8**-0.5, 0.5))
        torch.testing.assert_close(found, expected)


def test_a_mask_of_all_heads_that_is_made_once_gives_the_same_bits() -> None:
    query, key, value = torch.randn(1, 6, 3, 8), torch.randn(1, 2, 9, 8), torch.randn(1, 2, 9, 8)
    mask, single = torch.randn(1, 1, 3, 9), torch.randn(1, 1, 1, 9)
    whole, same, alone, nothing = for_heads([mask, mask, single, None], 3)
    assert whole is same and alone is single and nothing is None
    assert whole is not None and whole.shape == (1, 1, 9, 9)
    made, given = (few(query, key, value, Scoring(one, 0.3)) for one in (mask, whole))
    assert torch.equal(made, given)
