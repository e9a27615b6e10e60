"""Decoding on a CPU: the layers' weights laid out for steps of one token.

The time of a single-token step goes into reading the weights and into Python. So projections of the same
input are joined into one, and the weights of the layers become integers of 8 bits with a scale per output row
(`pack8`), which changes the distributions more than bfloat16 does and leaves answers as good
(`docs/performance.md`), or stay as they are (`join`). Those that a file has in 4 bits stay in these. What a
layer computes is the same as in every pass (`models.layer.run_layer`); the prefill is not affected.

Shapes: D hidden size, T tokens side by side, V vocabulary, O outputs, I inputs of a projection.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor, nn

from models import compat
from models.attention import CAUSAL, SDPA
from models.blocks import Blocks4
from models.cache import KeyValueCache, Paths
from models.decoder import Decoder
from models.layer import LayerWeights, layer_weights
from models.network import MPlusModel
from models.projections import LayOut, Projection, bias_of, join, pack4, pack8
from models.stack import Norm

__all__ = ["FastDecoder", "fits", "join", "optimise_for_device", "optimise_reading", "pack8"]

LARGEST = 2_000_000_000
"""Parameters up to which a model is laid out again: that takes memory beside the weights."""


def optimise_for_device(model: MPlusModel) -> None:
    """Give a model faster ways to read and to decode, where there are any for its device and weights."""
    if fits(model.generate):
        model.step_decoder = FastDecoder(
            model.generate, pack8 if compat.has_int8_linear() else join
        )
    for decoder in (model.update, model.generate):
        optimise_reading(decoder)


def optimise_reading(decoder: Decoder) -> Decoder:
    """Give a decoder a faster way to read, where there is one for its device, and return it."""
    faster = decoder.device.type == "cpu" and not compat.has_matrix_units()
    if faster and decoder.attention == SDPA:
        decoder.attention = CAUSAL
    return decoder


def fits(decoder: Decoder) -> bool:
    """Whether a decoder can be laid out: on a CPU, no live adapter, not too large."""
    return (
        decoder.device.type == "cpu"
        and decoder.adapter is None
        and sum(weight.numel() for weight in decoder.stack.parameters()) <= LARGEST
    )


class FastDecoder:
    """A decoder's weights, laid out for steps of one token when the first is asked for.

    Args:
        lay_out: `join` or `pack8`.
    """

    def __init__(self, decoder: Decoder, lay_out: LayOut = join) -> None:
        self._decoder = decoder
        self._lay_out = lay_out
        self._thread: threading.Thread | None = None

    def prepare(self) -> None:
        """Begin to lay out the weights in a thread, while the question is looked up and read."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._lay_out_all, name="mplus-pack", daemon=True
            )
            self._thread.start()

    def release(self) -> None:
        """Forget the weights that were laid out."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.__dict__.pop("_layers", None)

    def _lay_out_all(self) -> None:
        with contextlib.suppress(
            Exception
        ):  # then the first step does it again, and says what is wrong
            _ = self._layers

    @cached_property
    def _layers(self) -> list[LayerWeights]:
        return [self._laid_out(index) for index in range(self._decoder.layers)]

    @cached_property
    def _final_norm(self) -> Projection:
        return WideNorm.of(self._decoder.stack.model.norm, self._decoder.dtype)

    def _laid_out(self, index: int) -> LayerWeights:
        """A layer at a time, so that its merged weights go before the next one's are made."""
        decoder = self._decoder
        return layer_weights(
            decoder.stack.model.layers[index],
            decoder.stack.architecture,
            partial(self._joined, index),
            partial(WideNorm.of, dtype=decoder.dtype),
        )

    def _joined(self, index: int, linears: Sequence[nn.Linear], names: Sequence[str]) -> Projection:
        """As `Decoder.joined`; in the 4 bits that a file has, where others would be in 8."""
        if self._lay_out is pack8 and compat.has_int4_linear():
            blocks = self._blocks([f"model.layers.{index}.{name}" for name in names])
            if blocks:
                return pack4(blocks, bias_of(linears))
        return self._decoder.joined(index, self._lay_out, linears, names)

    def _blocks(self, names: Sequence[str]) -> list[Blocks4]:
        """The weights of projections as their file has them; none unless all are in blocks, and no adapter
        is for any."""
        stack, apart = self._decoder.stack, self._decoder.apart
        adapted = apart is not None and any(name in apart.weights for name in names)
        keys = [f"{name}.weight" for name in names]
        if adapted or any(key not in stack.blocks for key in keys):
            return []
        found = [stack.blocks[key]() for key in keys]
        return found if sum(len(part.codes) for part in found) % 16 == 0 else []

    def step(self, token: int, cache: KeyValueCache) -> Tensor:
        """Read one token behind the cache: logits (1, V) in float32."""
        return self.fork([token], cache)

    @torch.inference_mode()
    def fork(
        self, tokens: Sequence[int], cache: KeyValueCache, paths: Paths | None = None
    ) -> Tensor:
        """As `models.decoder.StepDecoder.fork`: the weights are read once for all tokens."""
        decoder = self._decoder
        if self._thread is not None:
            self._thread.join()
        # In float32 between the layers: at one token it costs nothing, and rounding adds up.
        hidden = decoder.embed(torch.tensor([tokens], device=decoder.device)).float()  # (1, T, D)
        hidden = decoder.side_by_side(hidden, cache, paths, self._layers.__getitem__)
        # The head as it is: one matrix of this size is read as quickly as memory gives it.
        return decoder.logits_of(decoder.head(self._final_norm(hidden)))[0].float()


@dataclass(frozen=True, slots=True)
class WideNorm:
    """RMSNorm of states in float32, rounded at its end; in fewer kernels than torch's own takes on a CPU."""

    weight: Tensor
    """(D,) float32; it is not folded into projections, whose rows would then need more bits."""
    epsilon: Tensor
    """(1,) float32."""
    dtype: torch.dtype
    """Of what comes out."""

    @classmethod
    def of(cls, norm: Norm, dtype: torch.dtype) -> WideNorm:
        return cls(norm.wide_weight(), torch.tensor([norm.epsilon]), dtype)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Inputs (..., D) to as many outputs."""
        wide, share = inputs.float(), 1 / inputs.shape[-1]
        length = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
        scale = torch.addcmul(self.epsilon, length, length, value=share).rsqrt_()
        return (wide * scale).mul_(self.weight).to(self.dtype)
