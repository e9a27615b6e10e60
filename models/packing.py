"""Long-term memory in fewer bits: integers with one scale per token and head.

Symmetric: code = round(x / scale), scale = max |x| / largest code, rounded to the model's type
before the codes are taken. Vectors of 4 bits are first rotated by an orthonormal cosine transform, which
spreads the few large channels of keys over all channels (the idea of QuaRot, arXiv 2404.00456), and
rotated back when they are unpacked. Retriever keys take 8 bits.

Needs no model and does no I/O. Shapes: as in `models.memory`; d is even.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from models import compat
from models.config import LtmFormat
from models.memory import TokenRows, Tokens

EIGHT, FOUR = 127, 7
"""The largest code of 8 and of 4 bits."""
UNPACKED = 1 << 18
"""4-bit numbers that are unpacked at a time: intermediate values stay in a core's cache."""


@dataclass(frozen=True, slots=True)
class Packed(TokenRows):
    """Memory tokens as codes and scales; the scales have the dtype of the tokens."""

    keys: Tensor
    """(L, n, H, d) int8, or (L, n, H, d / 2) uint8 with two codes a byte; not rotated."""
    values: Tensor
    """The like."""
    retriever_keys: Tensor
    """(R, n, P) int8."""
    chunks: Tensor
    """As in `TokenRows`."""
    key_scales: Tensor
    """(L, n, H)."""
    value_scales: Tensor
    """(L, n, H)."""
    retriever_scales: Tensor
    """(R, n)."""

    @property
    def layout(self) -> tuple[int, int, int]:
        layers, _, heads, size = self.keys.shape
        return layers, heads, size if self.keys.dtype == torch.int8 else 2 * size

    @property
    def is_whole(self) -> bool:
        """Whether the types and shapes of the tensors fit together."""
        pairs = (
            (self.keys, self.key_scales),
            (self.values, self.value_scales),
            (self.retriever_keys, self.retriever_scales),
        )
        sizes = {
            2 * part.shape[-1] if part.dtype == torch.uint8 else part.shape[-1]
            for part in (self.keys, self.values)
        }
        return (
            all(codes.dtype in (torch.int8, torch.uint8) for codes, _ in pairs)
            and all(scales.is_floating_point() for _, scales in pairs)
            and all(codes.shape[:-1] == scales.shape for codes, scales in pairs)
            and self.retriever_keys.dtype == torch.int8
            and self.keys.shape[:-1] == self.values.shape[:-1]
            and len(sizes) == 1
        )

    def unpack(self) -> Tokens:
        return Tokens(
            _decoded(self.keys, self.key_scales),
            _decoded(self.values, self.value_scales),
            _decoded(self.retriever_keys, self.retriever_scales),
            self.chunks,
        )

    def lookup(self, row: int, start: int, stop: int) -> Tensor:
        scales = self.retriever_scales[row, start:stop, None]
        # In float32, since products of mixed types are many times slower on a CPU.
        return self.retriever_keys[row, start:stop].float().mul_(scales.float())

    @property
    def codes(self) -> RetrieverCodes:
        """The retriever's codes, for scanning."""
        return RetrieverCodes(self.retriever_keys, self.retriever_scales)

    def of_layers(self, layers: slice) -> Packed:
        return Packed(
            self.keys[layers],
            self.values[layers],
            self.retriever_keys[:0],
            self.chunks if self.chunks.shape[0] == 1 else self.chunks[layers],
            self.key_scales[layers],
            self.value_scales[layers],
            self.retriever_scales[:0],
        )


@dataclass(frozen=True, slots=True)
class RetrieverCodes:
    """Retriever keys in 8 bits, to be multiplied as integers."""

    keys: Tensor
    """(R, n, P) int8."""
    scales: Tensor
    """(R, n)."""

    @classmethod
    def joined(cls, parts: Sequence[RetrieverCodes]) -> RetrieverCodes:
        """Several concatenated."""
        keys = torch.cat([part.keys for part in parts], dim=1)
        return cls(keys, torch.cat([part.scales for part in parts], dim=1))

    def copy(self) -> RetrieverCodes:
        """The same, in memory of their own."""
        return RetrieverCodes(self.keys.clone(), self.scales.clone())

    def slice(self, start: int, stop: int) -> RetrieverCodes:
        """Those of tokens start..stop, as views."""
        return RetrieverCodes(self.keys[:, start:stop], self.scales[:, start:stop])

    def nearest(self, row: int, start: int, stop: int, length: int, query: CodedQuery) -> Tensor:
        """The largest similarity (q, r) to a token of each of r runs of `length` tokens.

        The sums are exact.
        """
        count = len(query.steps)
        sums = compat.int8_matmul(query.codes, self.keys[row, start:stop].T)  # (q or 2 q, m)
        if len(sums) > count:
            sums = torch.add(sums[count:], sums[:count], alpha=CodedQuery.FINE)
        scores = sums * self.scales[row, start:stop].float()
        largest: Tensor = scores.unflatten(1, (-1, length)).amax(dim=2)
        return largest * query.steps


@dataclass(frozen=True, slots=True)
class CodedQuery:
    """A question's queries (q, P) in 15 bits, to be multiplied with 8-bit keys."""

    codes: Tensor
    """(2 q, P) int8: the coarse halves, worth `FINE` fine ones each, then the fine ones; or the coarse
    ones alone (q, P)."""
    steps: Tensor
    """(q, 1) float32."""

    FINE: ClassVar[int] = 128

    @classmethod
    def of(cls, queries: Tensor) -> CodedQuery:
        """Queries (q, P) coded, on the CPU."""
        exact = queries.float().cpu()
        steps = exact.abs().amax(dim=1, keepdim=True) / (EIGHT * cls.FINE)
        whole = (exact / torch.where(steps > 0, steps, 1)).round()
        coarse = (whole / cls.FINE).round()
        return cls(torch.cat([coarse, whole - coarse * cls.FINE]).to(torch.int8), steps)

    @property
    def coarse(self) -> CodedQuery:
        """The queries in 8 bits alone, to be multiplied in half the time."""
        return CodedQuery(self.codes[: len(self.steps)], self.steps * self.FINE)

    @staticmethod
    def is_quick() -> bool:
        """Whether this processor multiplies 8-bit integers, exactly and faster than floats."""
        return compat.multiplies_bytes()


def pack(tokens: Tokens, form: LtmFormat) -> TokenRows:
    """Tokens in the form that long-term memory keeps them in."""
    if form == "exact":
        return tokens
    keys, key_scales = _coded(tokens.keys, FOUR if form == "k4v4" else EIGHT)
    values, value_scales = _coded(tokens.values, EIGHT if form == "k8v8" else FOUR)
    retriever_keys, retriever_scales = _coded(tokens.retriever_keys, EIGHT)
    return Packed(
        keys, values, retriever_keys, tokens.chunks, key_scales, value_scales, retriever_scales
    )


def _coded(vectors: Tensor, largest: int) -> tuple[Tensor, Tensor]:
    """Vectors (L, ..., d) as codes (L, ..., d or d / 2) and scales (L, ...)."""
    size = vectors.shape[-1]
    shape, kind = (size, torch.int8) if largest == EIGHT else (size // 2, torch.uint8)
    codes = torch.empty(*vectors.shape[:-1], shape, dtype=kind, device=vectors.device)
    scales = vectors.new_empty(vectors.shape[:-1])
    turn = _cosines(size, vectors.device).T if largest == FOUR else None
    # Layer by layer, so that intermediate values stay in a core's cache.
    for layer, vector in enumerate(vectors):
        exact = vector.float() if turn is None else vector.float() @ turn
        scales[layer] = exact.abs().amax(dim=-1) / largest
        steps = torch.where(scales[layer] > 0, scales[layer], 1).float()[..., None]
        whole = (exact / steps).round_().clamp_(-largest, largest)
        if largest == FOUR:
            low, high = whole.add_(8).to(kind).unflatten(-1, (2, -1)).unbind(dim=-2)
            whole = low | high << 4
        codes[layer] = whole
    return codes, scales


def _decoded(codes: Tensor, scales: Tensor) -> Tensor:
    """Vectors (L, ..., d) from codes and scales (L, ...), in the scales' dtype."""
    size = codes.shape[-1] if codes.dtype == torch.int8 else 2 * codes.shape[-1]
    vectors = scales.new_empty(*scales.shape, size)
    if codes.dtype == torch.int8:
        # Codes are exact in every type: the product is rounded once, as in float32.
        return torch.mul(codes, scales[..., None], out=vectors)
    turn = _cosines(size, codes.device)
    most = max(UNPACKED // max(math.prod(vectors.shape[1:]), 1), 1)
    for start in range(0, len(codes), most):
        code, scale = codes[start : start + most], scales[start : start + most, ..., None]
        numbers = torch.cat([code & 15, code >> 4], dim=-1).float().sub_(8)
        vectors[start : start + most] = numbers.mul_(scale.float()) @ turn
    return vectors


def _cosines(size: int, device: torch.device) -> Tensor:
    """The orthonormal cosine transform (size, size), one row per frequency."""
    number = torch.arange(size, dtype=torch.float64)
    rows = torch.cos(math.pi / size * number[:, None] * (number[None] + 0.5))
    rows[0] /= math.sqrt(2)
    return (rows * math.sqrt(2 / size)).to(device, torch.float32)
