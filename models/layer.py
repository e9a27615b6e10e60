"""What one layer of a decoder-only transformer computes, for every supported family.

It is written once (`run_layer`), for the update pass, the prefill, the decode steps and training, over
`LayerWeights`: the modules themselves, the same with adapters merged, or what is laid out for decode steps.

Shapes: B batch, T tokens, A attention heads, H key/value heads, d head size, D hidden size, I width of
the MLP, n tokens of a prefix.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.architecture import Activation, Architecture
from models.attention import Attention, Scoring
from models.projections import Projection
from models.rotary import Turn, turned
from models.stack import Norm

Turner = Callable[[Tensor, Turn], Tensor]
"""Turns vectors (B, T, h, d) to their positions."""

ACTIVATIONS: Mapping[Activation, Projection] = {
    "silu": functional.silu,
    "gelu_tanh": lambda inputs: functional.gelu(inputs, approximate="tanh"),
    "gelu": functional.gelu,
}


class KeyValues(Protocol):
    """What a layer attends to besides its own tokens."""

    def update(self, keys: Tensor, values: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Take a layer's new keys and values (B, H, T, d); return all it shall attend to."""

    def held(self, layer: int) -> int:
        """Tokens that a layer attends to before its own."""


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """What a layer computes with. Norms that a family does not have are None."""

    input_norm: Projection | None
    qkv: Projection
    """D -> (A + 2 H) d: queries, keys, values."""
    q_norm: Projection | None
    k_norm: Projection | None
    out: Projection
    attended_norm: Projection | None
    """Of what attention adds to the stream."""
    mlp_norm: Projection | None
    gate_up: Projection
    """D -> 2 I."""
    down: Projection
    added_norm: Projection | None
    """Of what the MLP adds to the stream."""


Join = Callable[[Sequence[nn.Linear], Sequence[str]], Projection]
"""One projection of several that read the same input; with their names in the layer."""


def each(linears: Sequence[nn.Linear], names: Sequence[str]) -> Projection:
    """Every module by itself, their outputs side by side."""
    if len(linears) == 1:
        return linears[0]
    return lambda inputs: torch.cat([linear(inputs) for linear in linears], dim=-1)


def layer_weights(
    layer: nn.Module,
    architecture: Architecture,
    join: Join = each,
    norm: Callable[[Norm], Projection] = lambda norm: norm,
) -> LayerWeights:
    """What a layer of a stack computes with.

    Args:
        join: makes the projections.
        norm: makes the norms.
    """
    attention: Any = layer.self_attn
    mlp: Any = layer.mlp
    place = architecture.norm_place

    def named(name: str, there: bool = True) -> Projection | None:
        return norm(getattr(layer, name)) if there else None

    heads = architecture.head_norms != "none"
    return LayerWeights(
        named("input_layernorm", place != "after"),
        _joined(join, attention, "self_attn", ("q_proj", "k_proj", "v_proj")),
        norm(attention.q_norm) if heads else None,
        norm(attention.k_norm) if heads else None,
        _joined(join, attention, "self_attn", ("o_proj",)),
        named("post_attention_layernorm", place != "before"),
        named(
            "post_attention_layernorm" if place == "before" else "pre_feedforward_layernorm",
            place != "after",
        ),
        _joined(join, mlp, "mlp", ("gate_proj", "up_proj")),
        _joined(join, mlp, "mlp", ("down_proj",)),
        named("post_feedforward_layernorm", place != "before"),
    )


def _joined(join: Join, owner: nn.Module, prefix: str, names: Sequence[str]) -> Projection:
    linears: list[Any] = [getattr(owner, name) for name in names]
    return join(linears, [f"{prefix}.{name}" for name in names])


def run_layer(
    architecture: Architecture,
    weights: LayerWeights,
    index: int,
    hidden: Tensor,
    turn: Turn | None,
    mask: Tensor | None,
    cache: KeyValues | None,
    attention: Attention,
    turner: Turner = turned,
) -> Tensor:
    """Layer `index` over hidden (B, T, D) behind what `cache` holds: (B, T, D).

    Args:
        turn: of the positions of the T tokens; None: the layer knows none.
        mask: as of `models.attention.Scoring`.
        turner: `turned`, or a quicker one.
    """
    normed = hidden if weights.input_norm is None else weights.input_norm(hidden)
    turning, values = heads_of(architecture, weights, weights.qkv(normed))
    turning = turning if turn is None else turner(turning, turn)
    turning = turning.transpose(1, 2)  # (B, A + H, T, d)
    queries, keys = turning[:, : architecture.heads], turning[:, architecture.heads :]
    values = values.transpose(1, 2)
    if cache is not None:
        keys, values = cache.update(keys, values, index)
    scoring = Scoring(mask, architecture.scale, architecture.attention_cap)
    read = attention(queries, keys, values, scoring).flatten(2)
    hidden = _added(architecture, hidden, weights.out(read), weights.attended_norm)
    normed = hidden if weights.mlp_norm is None else weights.mlp_norm(hidden)
    gate, up = weights.gate_up(normed).chunk(2, dim=-1)
    inner = ACTIVATIONS[architecture.activation](gate) * up
    return _added(architecture, hidden, weights.down(inner), weights.added_norm)


def heads_of(
    architecture: Architecture, weights: LayerWeights, projected: Tensor
) -> tuple[Tensor, Tensor]:
    """Projected (B, T, (A + 2 H) d) as queries and keys (B, T, A + H, d), normed where the family does, and
    values (B, T, H, d)."""
    parts = projected.unflatten(-1, (-1, architecture.head_size))
    both = architecture.heads + architecture.kv_heads
    turning, values = parts[:, :, :both], parts[:, :, both:]
    if weights.q_norm is None or weights.k_norm is None:
        return turning, values
    queries = _normed(architecture, weights.q_norm, turning[:, :, : architecture.heads])
    keys = _normed(architecture, weights.k_norm, turning[:, :, architecture.heads :])
    return torch.cat([queries, keys], dim=2), values


def keys_values_of(
    architecture: Architecture, k_norm: Projection | None, projected: Tensor
) -> tuple[Tensor, Tensor]:
    """Projected (B, n, 2 H d) as keys, normed where the family does, and values (B, n, H, d)."""
    keys, values = projected.unflatten(-1, (-1, architecture.head_size)).chunk(2, dim=2)
    return keys if k_norm is None else _normed(architecture, k_norm, keys), values


def _normed(architecture: Architecture, norm: Projection, vectors: Tensor) -> Tensor:
    """Vectors (B, T, heads, d), normed one by one or all heads of a token together."""
    if architecture.head_norms == "each":
        return norm(vectors)
    return norm(vectors.flatten(2)).view(vectors.shape)


def _added(
    architecture: Architecture, hidden: Tensor, part: Tensor, norm: Projection | None
) -> Tensor:
    part = part if norm is None else norm(part)
    if architecture.residual_scale != 1.0:
        part = part * architecture.residual_scale
    return hidden + part
