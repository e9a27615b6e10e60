"""Bases that have a short name, with what is to be known before one is fetched.

Bytes are those of the Hub's files that are fetched; shapes are those of each model's `config.json`.
"""

from __future__ import annotations

from dataclasses import dataclass

PREFIX_TOKENS = 3072
"""Short-term and recalled tokens of identity memory (`models.checkpoints.identity`)."""
PROGRAM_BYTES = 400_000_000
"""What the process takes without weights."""
PACKED_BELOW = 2_000_000_000
"""Parameters up to which decoding on a CPU takes a second copy of the layers, in 8 bits
(`models.fast_decode.LARGEST`)."""


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A base by its short name."""

    name: str
    repository: str
    licence: str
    bytes: int
    parameters: int
    layers: int
    kv_heads: int
    head_size: int
    is_gated: bool = False
    """Whether the Hub gives it to those alone who accepted its licence there."""

    @property
    def token_bytes(self) -> int:
        """What a token of text takes in identity memory: keys and values of every layer, in bfloat16."""
        return 2 * 2 * self.layers * self.kv_heads * self.head_size


_LLAMA = "Llama 3.2 Community License"
_GEMMA = "Gemma Terms of Use"
_APACHE = "Apache-2.0"

KNOWN = (
    KnownModel(
        "smollm2-360m", "HuggingFaceTB/SmolLM2-360M-Instruct", _APACHE,
        727_000_000, 361_821_120, 32, 5, 64,
    ),
    KnownModel(
        "smollm2-1.7b", "HuggingFaceTB/SmolLM2-1.7B-Instruct", _APACHE,
        3_426_000_000, 1_711_376_384, 24, 32, 64,
    ),
    KnownModel("qwen3-0.6b", "Qwen/Qwen3-0.6B", _APACHE, 1_519_000_000, 596_049_920, 28, 8, 128),
    KnownModel("qwen3-1.7b", "Qwen/Qwen3-1.7B", _APACHE, 4_080_000_000, 1_720_574_976, 28, 8, 128),
    KnownModel("qwen3-4b", "Qwen/Qwen3-4B", _APACHE, 8_060_000_000, 4_022_468_096, 36, 8, 128),
    KnownModel("qwen3-8b", "Qwen/Qwen3-8B", _APACHE, 16_397_000_000, 8_190_735_360, 36, 8, 128),
    KnownModel(
        "llama-3.2-1b", "meta-llama/Llama-3.2-1B-Instruct", _LLAMA,
        2_488_000_000, 1_235_814_400, 16, 8, 64, is_gated=True,
    ),
    KnownModel(
        "llama-3.2-3b", "meta-llama/Llama-3.2-3B-Instruct", _LLAMA,
        6_443_000_000, 3_212_749_824, 28, 8, 128, is_gated=True,
    ),
    KnownModel(
        "gemma-3-1b", "google/gemma-3-1b-it", _GEMMA,
        2_038_000_000, 999_885_952, 26, 1, 256, is_gated=True,
    ),
    KnownModel(
        "gemma-3-4b", "google/gemma-3-4b-it", _GEMMA,
        8_640_000_000, 3_880_099_328, 34, 4, 256, is_gated=True,
    ),
)  # fmt: skip


def known(name: str) -> KnownModel | None:
    """The model of a short name or a Hub id, whatever the case."""
    wanted = name.lower()
    return next((one for one in KNOWN if wanted in (one.name, one.repository.lower())), None)


def memory_in_use(parameters: int, token_bytes: int = 0) -> int:
    """About what a model takes in memory when it answers on a CPU in bfloat16, computed."""
    packed = parameters if parameters <= PACKED_BELOW else 0
    return 2 * parameters + packed + PREFIX_TOKENS * token_bytes + PROGRAM_BYTES
