"""Grouped attention computes what SDPA and the eager implementation compute."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from models.attention import grouped_attention


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
