"""The weights of a decoder-only transformer of any supported family, under the names that the Hub has.

Modules hold weights and little else; what a layer computes is `models.layer`. Independent of adapters and
memories; does no I/O.

Shapes: D hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn

from models.architecture import Architecture
from models.blocks import Unpack

_EMPTY = torch.empty(0)
"""What stands for a weight until it is filled in. (Weights on the `meta` device take a second to import.)"""


class Linear(nn.Linear):
    """A projection whose weights are filled in later."""

    def __init__(self, inputs: int, outputs: int, bias: bool) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = inputs, outputs
        self.weight = nn.Parameter(_EMPTY, requires_grad=False)
        empty = nn.Parameter(_EMPTY, requires_grad=False) if bias else None
        self.register_parameter("bias", empty)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """What is to be filled in."""
        found: dict[str, tuple[int, ...]] = {"weight": (self.out_features, self.in_features)}
        return found if self.bias is None else found | {"bias": (self.out_features,)}


class Embedding(nn.Embedding):
    """Vectors of tokens, filled in later."""

    def __init__(self, count: int, size: int) -> None:
        super().__init__(count, size, _weight=torch.empty(1).expand(count, size))
        self.weight = nn.Parameter(_EMPTY, requires_grad=False)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """What is to be filled in."""
        return {"weight": (self.num_embeddings, self.embedding_dim)}


class Norm(nn.Module):
    """RMSNorm (arXiv 1910.07467) in float32, with the last product as the family has it."""

    def __init__(self, size: int, architecture: Architecture) -> None:
        super().__init__()
        self.size = size
        self.weight = nn.Parameter(_EMPTY, requires_grad=False)
        self.epsilon = architecture.epsilon
        self.kind = architecture.norm

    def forward(self, inputs: Tensor) -> Tensor:
        """Inputs (..., size), normed over the last dimension, in their own type."""
        wide = inputs.float()
        normed = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.epsilon)
        if self.kind == "llama":
            return self.weight * normed.to(inputs.dtype)
        return (normed * self.wide_weight()).to(inputs.dtype)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """What is to be filled in."""
        return {"weight": (self.size,)}

    def wide_weight(self) -> Tensor:
        """What normed inputs are multiplied by, in float32."""
        return self.weight.float() + 1.0 if self.kind == "offset" else self.weight.float()


class SelfAttention(nn.Module):
    """The weights of grouped-query attention; `q_norm` and `k_norm` where the family norms heads."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        queries, keys = shape.heads * shape.head_size, shape.kv_heads * shape.head_size
        self.q_proj = Linear(shape.hidden, queries, bias=shape.qkv_bias)
        self.k_proj = Linear(shape.hidden, keys, bias=shape.qkv_bias)
        self.v_proj = Linear(shape.hidden, keys, bias=shape.qkv_bias)
        self.o_proj = Linear(queries, shape.hidden, bias=shape.out_bias)
        if shape.head_norms != "none":
            each = shape.head_norms == "each"
            self.q_norm = Norm(shape.head_size if each else queries, shape)
            self.k_norm = Norm(shape.head_size if each else keys, shape)


class MLP(nn.Module):
    """The weights of a gated feed-forward block (SwiGLU and its kin, arXiv 2002.05202)."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.gate_proj = Linear(shape.hidden, shape.inner, bias=shape.mlp_bias)
        self.up_proj = Linear(shape.hidden, shape.inner, bias=shape.mlp_bias)
        self.down_proj = Linear(shape.inner, shape.hidden, bias=shape.mlp_bias)


class Layer(nn.Module):
    """The weights of a layer; `input_layernorm` and the like are there where the family norms there."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.self_attn = SelfAttention(shape)
        self.mlp = MLP(shape)
        names = {
            "before": ("input_layernorm", "post_attention_layernorm"),
            "after": ("post_attention_layernorm", "post_feedforward_layernorm"),
            "both": (
                *("input_layernorm", "post_attention_layernorm"),
                *("pre_feedforward_layernorm", "post_feedforward_layernorm"),
            ),
        }
        for name in names[shape.norm_place]:
            self.add_module(name, Norm(shape.hidden, shape))


class Backbone(nn.Module):
    """Embeddings, layers and the last norm."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.embed_tokens = Embedding(shape.vocabulary, shape.hidden)
        self.layers = nn.ModuleList(Layer(shape) for _ in shape.layers)
        self.norm = Norm(shape.hidden, shape)


class Stack(nn.Module):
    """The weights of a base: empty ones, until `fill`."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.give_back: Callable[[str], object] = str
        """Told the name of a weight whose bytes in memory may go, where they are those of a file: they
        come back from there."""
        self.blocks: dict[str, Unpack] = {}
        """By the names of weights that a file has in 4 bits, what reads them."""
        self.model = Backbone(architecture)
        self.lm_head = Linear(architecture.hidden, architecture.vocabulary, bias=False)
        self.head: Callable[[Tensor], Tensor] | None = None
        """The output head laid out for many passes, once a decoder has asked for that."""
        self._tie()

    @property
    def device(self) -> torch.device:
        """Where the embeddings are."""
        return self.model.embed_tokens.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Of the embeddings."""
        return self.model.embed_tokens.weight.dtype

    def wanted(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """The names and shapes of the weights that are to be filled in, each once."""
        for name, module in self.named_modules():
            if isinstance(module, Linear | Embedding | Norm) and not self._is_tied(module):
                for leaf, shape in module.shapes().items():
                    yield f"{name}.{leaf}", shape

    def fill(self, name: str, weight: Tensor) -> None:
        """Put a weight in its place, frozen; it is not copied."""
        module, _, leaf = name.rpartition(".")
        setattr(self.get_submodule(module), leaf, nn.Parameter(weight, requires_grad=False))
        self.head = None
        self._tie()

    def _is_tied(self, module: nn.Module) -> bool:
        return self.architecture.tied and module is self.lm_head

    def _tie(self) -> None:
        if self.architecture.tied:
            self.lm_head.weight = self.model.embed_tokens.weight


def filled(architecture: Architecture, weights: Mapping[str, Tensor]) -> Stack:
    """A stack over weights by their names; they are not copied."""
    stack = Stack(architecture)
    for name, _ in list(stack.wanted()):
        stack.fill(name, weights[name])
    return stack.eval()
