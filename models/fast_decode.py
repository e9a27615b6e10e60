"""Decoding on a CPU: one token at a time over the raw weights.

The time of a single-token step goes into reading the weights and into Python. So projections of the same
input are joined into one, and nothing but tensor operations is called. The weights of the layers become
integers of 8 bits with a scale per output row (`pack8`), which changes the distributions more than bfloat16
does and leaves answers as good (`docs/performance.md`), or stay as they are (`join`). The prefill is not
affected. Knows a `Decoder` and its cache; no memory.

Shapes: A attention heads, H key/value heads, d head size, D hidden size, T tokens side by side,
V vocabulary, O outputs, I inputs of a projection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

from models import compat
from models.attention import CAUSAL
from models.decoder import Decoder, KeyValueCache
from models.network import MPlusModel

LARGEST = 2_000_000_000
"""Parameters up to which a model is laid out anew: that comes on top of the weights."""


Projection = Callable[[Tensor], Tensor]
"""Inputs (T, I) to outputs (T, O)."""


def optimise_for_device(model: MPlusModel) -> None:
    """Give a model faster ways to read and to decode, where there are any for its device and weights."""
    if fits(model.generate):
        model.step_decoder = FastDecoder(
            model.generate, pack8 if compat.has_int8_linear() else None
        )
    for llama in {model.update.llama, model.generate.llama}:
        faster = llama.device.type == "cpu" and not compat.has_matrix_units()
        if faster and compat.attention_kernel(llama) == "sdpa":
            compat.set_attention_kernel(llama, CAUSAL)


def fits(decoder: Decoder) -> bool:
    """Whether a decoder can be laid out: on a CPU, adapters merged, a plain Llama, not too large."""
    config = decoder.llama.config
    plain = not config.attention_bias and not config.mlp_bias and config.hidden_act == "silu"
    return (
        decoder.device.type == "cpu"
        and decoder.adapter is None
        and plain
        and sum(weight.numel() for weight in decoder.llama.parameters()) <= LARGEST
    )


@dataclass(frozen=True, slots=True)
class JoinedWeights:
    """Projections of the same input, as one."""

    weight: Tensor
    """(O, I)."""

    def __call__(self, inputs: Tensor) -> Tensor:
        """Inputs (T, I) to outputs (T, O)."""
        return functional.linear(inputs, self.weight)


@dataclass(frozen=True, slots=True)
class Packed8:
    """A projection in 8 bits, symmetric, with a scale a row."""

    codes: Tensor
    """(O, I) int8."""
    scales: Tensor
    """(O,), in the type of what is projected."""

    def __call__(self, inputs: Tensor) -> Tensor:
        """Inputs (T, I) to outputs (T, O)."""
        return compat.int8_linear(inputs, self.codes, self.scales)


@dataclass(frozen=True, slots=True)
class _Layer:
    input_norm: Tensor
    """(D,) float32; norms are not folded into weights, whose rows would then need more bits."""
    attention: Projection
    """D -> (A + 2 H) d: queries, keys, values."""
    out: Projection
    mlp_norm: Tensor
    gate_up: Projection
    down: Projection


class FastDecoder:
    """A decoder's weights, laid out for steps of one token when the first is asked for.

    Args:
        lay_out: makes one projection of weights (O, I) of a layer that read the same input: `join` or
            `pack8`.
    """

    def __init__(
        self,
        decoder: Decoder,
        lay_out: Callable[[Sequence[Tensor]], Projection] | None = None,
    ) -> None:
        self._decoder = decoder
        self._lay_out = lay_out or join
        self._epsilon: float = decoder.llama.config.rms_norm_eps
        self._heads = int(decoder.llama.config.num_attention_heads)

    @cached_property
    def _layers(self) -> list[_Layer]:
        return [self._packed_layer(layer) for layer in self._decoder.llama.model.layers]

    @cached_property
    def _head(self) -> tuple[Tensor, Projection]:
        """The last norm, and D -> V."""
        llama = self._decoder.llama
        # As it is: one matrix of this size is read as quickly as memory gives it.
        return llama.model.norm.weight.float(), join([llama.lm_head.weight])

    def _packed_layer(self, layer: LlamaDecoderLayer) -> _Layer:
        attention, mlp = layer.self_attn, layer.mlp
        return _Layer(
            layer.input_layernorm.weight.float(),
            self._lay_out(
                [part.weight for part in (attention.q_proj, attention.k_proj, attention.v_proj)]
            ),
            self._lay_out([attention.o_proj.weight]),
            layer.post_attention_layernorm.weight.float(),
            self._lay_out([mlp.gate_proj.weight, mlp.up_proj.weight]),
            self._lay_out([mlp.down_proj.weight]),
        )

    def step(self, token: int, cache: KeyValueCache) -> Tensor:
        """Read one token behind the cache: logits (1, V) in float32."""
        return self.fork([token], cache)

    @torch.no_grad()
    def fork(self, tokens: Sequence[int], cache: KeyValueCache) -> Tensor:
        """As `models.decoder.StepDecoder.fork`: the weights are read once for all tokens."""
        decoder = self._decoder
        turn, masks = _Turn.of(decoder, len(cache)), cache.masks(len(tokens))
        # In float32 between the layers: at one token it costs nothing, and rounding adds up.
        hidden = decoder.embed(torch.tensor(tokens, device=decoder.device)).float()  # (T, D)
        for index, layer in enumerate(self._layers):
            hidden = hidden + layer.out(
                self._attend(index, layer, hidden, turn, masks[index], cache)
            )
            gate, up = layer.gate_up(self._normed(hidden, layer.mlp_norm)).chunk(2, dim=1)
            hidden = hidden + layer.down(functional.silu(gate) * up)
        norm, head = self._head
        return head(self._normed(hidden, norm)).float()

    def _attend(
        self,
        index: int,
        layer: _Layer,
        hidden: Tensor,
        turn: _Turn,
        mask: Tensor | None,
        cache: KeyValueCache,
    ) -> Tensor:
        """What the attention of a layer reads from the cache and its own token (T, A d)."""
        groups, size, tokens = self._decoder.kv_heads, self._decoder.head_size, len(hidden)
        parts = layer.attention(self._normed(hidden, layer.input_norm)).view(
            tokens, -1, size
        )  # (T, A + 2 H, d)
        turned = turn(parts[:, : self._heads + groups])
        keys, values = cache.update(
            turned[:, self._heads :].transpose(0, 1)[None],
            parts[:, self._heads + groups :].transpose(0, 1)[None],
            index,
        )
        # The heads that share a key head stand as its queries, T tokens of each: keys are read once.
        queries = turned[:, : self._heads].transpose(0, 1).reshape(1, groups, -1, size)
        if mask is not None and tokens > 1:
            mask = mask.repeat(1, 1, self._heads // groups, 1)
        out = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        return out.view(self._heads, tokens, size).transpose(0, 1).reshape(tokens, -1)

    def _normed(self, hidden: Tensor, weight: Tensor) -> Tensor:
        normed = functional.rms_norm(hidden, hidden.shape[-1:], weight, self._epsilon)
        return normed.to(self._decoder.dtype)


@dataclass(frozen=True, slots=True)
class _Turn:
    """Rotation to one position."""

    cosines: Tensor
    """(1, d)."""
    sines: Tensor
    """(1, d), the first half negative."""

    @classmethod
    def of(cls, decoder: Decoder, position: int) -> _Turn:
        cosines, sines = (part[0] for part in decoder.rotary(position, 1))
        half = decoder.head_size // 2
        return cls(cosines, torch.cat([-sines[:, :half], sines[:, half:]], dim=1))

    def __call__(self, vectors: Tensor) -> Tensor:
        """Vectors (T, heads, d), rotated."""
        swapped = vectors.roll(vectors.shape[-1] // 2, dims=-1)
        return torch.addcmul(vectors * self.cosines, swapped, self.sines)


def join(weights: Sequence[Tensor]) -> JoinedWeights:
    """Weights (O, I), one under the other; a single one is not copied."""
    return JoinedWeights(weights[0] if len(weights) == 1 else torch.cat(list(weights)))


def pack8(weights: Sequence[Tensor]) -> Packed8:
    """Weights (O, I), one under the other, in 8 bits."""
    exact = torch.cat(list(weights)).float()
    scales = (exact.abs().amax(dim=1) / 127).to(weights[0].dtype)
    steps = torch.where(scales > 0, scales, 1).float()[:, None]
    return Packed8(exact.div_(steps).round_().clamp_(-127, 127).to(torch.int8), scales)
