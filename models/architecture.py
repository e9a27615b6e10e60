"""The architecture of a decoder-only base, whatever its family: values only, no weights.

Shapes: A attention heads, H key/value heads, d head size, D hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

FAMILIES = (
    *("llama", "mistral", "qwen2", "qwen3", "smollm3", "phi3"),
    *("gemma2", "gemma3_text", "olmo2", "granite"),
)
"""The values of `model_type` in `config.json` that are read, besides `gemma3`, whose text model is one."""

NormKind = Literal["llama", "wide", "offset"]
"""RMSNorm's last product: `llama` rounds before it, the others after it; `offset` adds 1 to the weight."""
NormPlace = Literal["before", "after", "both"]
"""Whether attention and MLP are normed as they read, as they add to the stream, or both."""
Activation = Literal["silu", "gelu_tanh", "gelu"]


@dataclass(frozen=True, slots=True)
class RotarySpec:
    """How positions turn queries and keys (`models.rotary`)."""

    kind: str = "default"
    theta: float = 10000.0
    share: float = 1.0
    """Of each head that is turned, its first part."""
    scaling: Mapping[str, Any] = field(default_factory=dict)
    """The parameters of a kind that is not `default`, as `config.json` names them."""


@dataclass(frozen=True, slots=True)
class LayerKind:
    """What differs from layer to layer."""

    rotary: RotarySpec | None
    """None: the layer knows no positions."""
    window: int | None = None
    """Tokens, itself included, that a token sees back; None: all."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """A family's choices and a model's sizes."""

    family: str
    vocabulary: int
    hidden: int
    inner: int
    """Width of the MLP."""
    heads: int
    kv_heads: int
    head_size: int
    positions: int
    layers: tuple[LayerKind, ...]
    epsilon: float = 1e-6
    activation: Activation = "silu"
    norm: NormKind = "llama"
    norm_place: NormPlace = "before"
    head_norms: Literal["none", "each", "joint"] = "none"
    """RMSNorm of queries and keys: of each head, or of all heads as one vector."""
    qkv_bias: bool = False
    out_bias: bool = False
    mlp_bias: bool = False
    tied: bool = False
    """Whether the output head is the embedding."""
    attention_scale: float | None = None
    """Of the products of queries and keys; None: 1 / sqrt(d)."""
    attention_cap: float | None = None
    """Attention logits x become c tanh(x / c)."""
    logit_cap: float | None = None
    embedding_scale: float = 1.0
    residual_scale: float = 1.0
    """Of what attention and MLP add to the stream."""
    logit_scale: float = 1.0

    @property
    def scale(self) -> float:
        """The factor that scales products of queries and keys."""
        return self.head_size**-0.5 if self.attention_scale is None else self.attention_scale
