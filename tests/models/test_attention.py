"""Attention by matrix products computes what SDPA computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn import functional

from models.attention import causal_attention, grouped_attention


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
    found, weights = grouped_attention(torch.nn.Identity(), query, key, value, mask, scaling=0.3)
    assert weights is None
    torch.testing.assert_close(found, expected.transpose(1, 2))
    along = torch.randn(found.shape, generator=torch.Generator().manual_seed(1))
    wanted = torch.autograd.grad((expected.transpose(1, 2) * along).sum(), (query, key, value))
    got = torch.autograd.grad((found * along).sum(), (query, key, value))
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other)


def test_scale_defaults_to_that_of_the_head_size() -> None:
    query, key, value = tensors(4, 2, 3, 3)
    given, _ = grouped_attention(torch.nn.Identity(), query, key, value, None, scaling=8**-0.5)
    default, _ = grouped_attention(torch.nn.Identity(), query, key, value, None)
    assert torch.equal(given, default)


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
    found, _ = causal_attention(torch.nn.Identity(), strided, key, value, given)
    torch.testing.assert_close(found, expected.transpose(1, 2))


@pytest.mark.filterwarnings("ignore:`past_key_values`:FutureWarning")  # its name until 5.23
def test_the_whole_stack_is_causal_behind_a_cache(build_network: Callable[..., Any]) -> None:
    """As `transformers` calls it: without a mask, with and without keys of earlier tokens."""
    exact, quick = build_network().generate.llama, build_network("grouped_causal").generate.llama
    ids = torch.arange(3, 15)[None]
    expected = exact(ids).logits
    torch.testing.assert_close(quick(ids).logits, expected, atol=1e-4, rtol=0)
    first = quick(ids[:, :7], use_cache=True)
    rest = quick(ids[:, 7:], past_key_values=first.past_key_values).logits
    torch.testing.assert_close(rest, expected[:, 7:], atol=1e-4, rtol=0)
