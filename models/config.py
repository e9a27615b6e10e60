"""Configuration of an M+ checkpoint: the memory, its retriever, and how it is read.

Three values: `Geometry`, `RetrieverShape` and `Reading`; `MPlusConfig` holds all three. In files they are
one flat JSON object. Handles no tensors and does no I/O; `models.checkpoints` reads and writes it.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from models.schema import (
    Boolean,
    ConfigError,
    Integer,
    LayerNumbers,
    Number,
    OneOf,
    check_fields,
    file_name,
    setting,
    shown,
)

__all__ = ["ConfigError", "Geometry", "LtmFormat", "MPlusConfig", "Reading", "RetrieverShape"]

MemoryState = Literal["input", "output"]
MemoryPositions = Literal["strided", "pooled", "last"]
Drop = Literal["oldest", "random"]
Recall = Literal["chunks", "tokens"]
Scorer = Literal["maxsim", "sigmoid", "cosine"]
LtmFormat = Literal["exact", "k8v8", "k8v4", "k4v4"]

_SIZE = Integer(1)
_COUNT = Integer(0)
_WEIGHT = Number(0)
_LATER: typing.Final = "where it is not the default"
_RETIRED = {"least_coverage": 0}
"""Removed settings, with the value at which files that name them still load."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """What a memory is and how it is written. All sizes are in tokens unless said otherwise.

    The names follow M+ (arXiv 2502.00592); the paper's 8B checkpoint is chunk 512, K 256,
    N 10,240, K0 2,560, `output`, `last`, `random`, recall of `tokens`.
    """

    chunk_tokens: int = setting(512, _SIZE)
    """T: the most text tokens that one update pass reads."""
    new_tokens: int = setting(256, _SIZE)
    """K: the memory tokens of a full chunk; the compression ratio is T / K."""
    stm_tokens: int = setting(2048, _SIZE)
    """N: memory tokens in short-term memory, per layer."""
    recalled_tokens: int = setting(1024, _COUNT)
    """K0: the most long-term memory tokens recalled per layer and question."""
    max_prompt_tokens: int = setting(1024, _COUNT)
    """Positions kept free for the prompt and the answer."""

    memory_state: MemoryState = setting("input", OneOf(typing.get_args(MemoryState)))
    """The hidden state that layer l remembers: its input, or its output (published)."""
    memory_positions: MemoryPositions = setting("pooled", OneOf(typing.get_args(MemoryPositions)))
    """Which states of a chunk are kept: every r-th, the mean of every r, or the last K (published)."""
    drop: Drop = setting("oldest", OneOf(typing.get_args(Drop)))
    """Which short-term tokens are dropped for new ones; `random` draws per layer (published)."""
    recall: Recall = setting("chunks", OneOf(typing.get_args(Recall)))
    """Whole chunks for all layers, or the best single tokens of each layer (published)."""
    ages_in_stm: bool = setting(True, Boolean())
    """Whether tokens age while in short-term memory; in the published checkpoint they do not."""
    memory_layers: tuple[int, ...] | None = setting(None, LayerNumbers(), counts=_LATER)
    """Layers whose attention sees memory when a question is answered; the others store none. None: every
    layer."""
    ltm_capacity: int | None = setting(None, Integer(1, 1 << 40, optional=True))
    """Memory tokens that long-term memory keeps per layer, the newest ones; None: all of them."""
    ltm_format: LtmFormat = setting("exact", OneOf(typing.get_args(LtmFormat)), counts=_LATER)
    """Bits of keys and values in long-term memory (`models.packing`); `exact`: the model's type."""

    update_lora_rank: int = setting(0, _COUNT)
    """Rank of the update adapter; 0: none."""
    generate_lora_rank: int = setting(0, _COUNT)
    """Rank of the generate adapter; 0: none."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.new_tokens > self.chunk_tokens:
            raise ConfigError(
                f"new_tokens ({self.new_tokens}) is more than chunk_tokens ({self.chunk_tokens})"
            )
        if self.new_tokens > self.stm_tokens:
            raise ConfigError(
                f"new_tokens ({self.new_tokens}) is more than stm_tokens ({self.stm_tokens})"
            )
        if self.memory_positions != "last" and self.chunk_tokens % self.new_tokens:
            raise ConfigError(
                f"chunk_tokens ({self.chunk_tokens}) is not a multiple of new_tokens "
                f"({self.new_tokens}), which {self.memory_positions} memory needs"
            )
        if self.recall == "chunks" and self.drop == "random":
            raise ConfigError("recall 'chunks' needs drop 'oldest': random drops split chunks")
        if self.recall == "tokens" and self.memory_layers is not None:
            raise ConfigError("recall 'tokens' needs memory in every layer")

    @property
    def ratio(self) -> int:
        """Text tokens a memory token stands for in a full chunk, rounded down."""
        return self.chunk_tokens // self.new_tokens

    @property
    def prefix_tokens(self) -> int:
        """Positions the generate pass's prefix takes at most: BOS, recalled, short-term."""
        return 1 + self.recalled_tokens + self.stm_tokens

    def layers_with_memory(self, layers: int) -> tuple[int, ...]:
        """The layers (of `layers`) whose attention sees memory, ascending."""
        return _layers(self.memory_layers, layers)


@dataclass(frozen=True, slots=True)
class RetrieverShape:
    """What the retriever compares, and how. All of it is in the fingerprint: memories hold the
    retriever's keys."""

    scorer: Scorer = setting("cosine", OneOf(typing.get_args(Scorer)))
    """How the retriever compares: `maxsim` (trained), `sigmoid` (published), `cosine` (untrained)."""
    width: int = setting(64, Integer(1, 1 << 16), name="retriever_width")
    """P: width of a retriever key."""
    hidden: int = setting(256, Integer(0, 1 << 16), name="retriever_hidden")
    """Hidden width of the retriever's two-layer perceptrons."""
    layers: tuple[int, ...] | None = setting(None, LayerNumbers(), name="retriever_layers")
    """Layers that have a retriever; None: every layer."""

    def __post_init__(self) -> None:
        check_fields(self)

    def of_layers(self, layers: int) -> tuple[int, ...]:
        """The layers (of `layers`) that have a retriever, ascending."""
        return _layers(self.layers, layers)


@dataclass(frozen=True, slots=True)
class Reading:
    """How a memory is read. It can change without rewriting memories."""

    # Affects only reading, like the others, but was in the fingerprint from the start. Left out now, the
    # memories of every checkpoint that sets it would be refused, so it stays in.
    relevance_weight: float = setting(0.0, _WEIGHT, counts=_LATER)
    """How much a chunk's score weighs when it is read: this times (its score - the best one's) is
    added to the attention logits of its memory tokens; 0: the whole prefix weighs the same."""
    window_weight: float = setting(0.0, _WEIGHT, counts="never")
    """How much nearness to the question's words weighs inside a chunk: this times (the score of the
    best window that holds a memory token - that of the chunk's best window) is added too; 0: all tokens
    of a chunk weigh the same."""
    window_tokens: int = setting(64, _SIZE, counts="never")
    """Text tokens of such a window; one starts every half window."""
    window_limit: float = setting(12.0, _WEIGHT, counts="never")
    """Windows take at most this much from a memory token, in nats of attention logits: the answer may be
    outside the best one."""
    together_weight: float = setting(0.0, _WEIGHT, counts="never")
    """What one of the best chunks loses if what fits the question is scattered over it: this times (its
    score by memory tokens - that of its best window); 0: nothing."""
    best_chunks: int = setting(0, Integer(0, 4096), counts="never")
    """How many chunks are read, those that fit the question best, wherever they are; 0: the recalled ones,
    and all of short-term memory."""
    quote_weight: float = setting(0.0, _WEIGHT, counts="never")
    """The cost, in nats a token, of leaving the text of the chunks in the prefix, if the caller has that
    text (`models.sampling.Guide`); 0: none."""
    lookahead: int = setting(1, Integer(1, 256), counts="never")
    """Beam width of a greedy answer's first few tokens: of the likeliest tokens, the one with the
    likeliest successor is taken. 1: plain greedy."""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class MPlusConfig(Geometry):
    """All settings of a checkpoint: its geometry, its retriever and how it is read."""

    retriever: RetrieverShape = field(default_factory=RetrieverShape)
    reading: Reading = field(default_factory=Reading)

    def __post_init__(self) -> None:
        Geometry.__post_init__(self)  # super() does not work in a dataclass with slots
        scorer, reading = self.retriever.scorer, self.reading
        if (self.recall == "tokens") != (scorer == "sigmoid"):
            fits = "scorer 'sigmoid'" if self.recall == "tokens" else "'maxsim' or 'cosine'"
            raise ConfigError(f"recall {self.recall!r} needs {fits}, not {scorer!r}")
        if self.recall == "tokens" and self.retriever.layers is not None:
            raise ConfigError("recall 'tokens' needs a retriever in every layer")
        for name in ("relevance_weight", "window_weight", "together_weight", "best_chunks"):
            if self.recall == "tokens" and getattr(reading, name):
                raise ConfigError(f"{name} needs recall of 'chunks': tokens have no chunk's score")
        for name in ("relevance_weight", "window_weight"):
            if reading.best_chunks and getattr(reading, name):
                raise ConfigError(f"best_chunks needs {name} 0: what is read weighs the same")
        if reading.together_weight and self.memory_positions == "last":
            raise ConfigError(
                "together_weight needs memory_positions 'strided' or 'pooled': with 'last', memory "
                "tokens do not stand for places all over the chunk"
            )

    @property
    def window_memory_tokens(self) -> int:
        """Memory tokens of a window (`Reading.window_tokens`), at least one."""
        return max(self.reading.window_tokens * self.new_tokens // self.chunk_tokens, 1)

    def check_base(self, *, layers: int, positions: int) -> None:
        """Check this geometry against a base model.

        Raises:
            ConfigError: the base has too few positions or layers.
        """
        read = 1 + self.new_tokens + self.chunk_tokens
        asked = self.prefix_tokens + self.max_prompt_tokens
        if max(read, asked) > positions:
            raise ConfigError(
                f"the base has {positions} positions: reading needs {read} "
                f"(1 + new_tokens + chunk_tokens), answering {asked} "
                "(1 + recalled_tokens + stm_tokens + max_prompt_tokens)"
            )
        for name, chosen in (
            ("retriever_layers", self.retriever.of_layers(layers)),
            ("memory_layers", self.layers_with_memory(layers)),
        ):
            if not chosen or max(chosen) >= layers:
                names = f"names layer {max(chosen)}" if chosen else "names no layer"
                raise ConfigError(f"{name} {names}: the base has {layers}")

    def to_dict(self) -> dict[str, Any]:
        """This configuration as one flat object of JSON values."""
        return {file_name(entry): value for entry, value in self._settings()}

    def counting(self) -> dict[str, Any]:
        """The part of `to_dict` that is in the fingerprint: what a memory's content depends on."""
        return {
            file_name(entry): value
            for entry, value in self._settings()
            if entry.metadata["counts"] == "always"
            or (entry.metadata["counts"] == _LATER and value != entry.default)
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MPlusConfig:
        """A configuration from a flat object of JSON values.

        Raises:
            ConfigError: an unknown field, a value of the wrong type, or one out of range.
        """
        if not isinstance(values, Mapping):
            raise ConfigError(f"the configuration is {shown(values)}: give an object")
        parts: dict[type[Any], dict[str, Any]] = {Geometry: {}, RetrieverShape: {}, Reading: {}}
        known = {
            file_name(entry): (part, entry) for part in parts for entry in dataclasses.fields(part)
        }
        for name, value in values.items():
            if name in _RETIRED:
                if value != _RETIRED[name]:
                    raise ConfigError(
                        f"{name} is {shown(value)}: this setting no longer exists: remove it"
                    )
                continue
            if name not in known:
                raise ConfigError(f"unknown field {shown(name)}: known are {', '.join(known)}")
            part, entry = known[name]
            is_list = isinstance(value, list) and isinstance(entry.metadata["rule"], LayerNumbers)
            parts[part][entry.name] = tuple(value) if is_list else value
        return cls(
            **parts[Geometry],
            retriever=RetrieverShape(**parts[RetrieverShape]),
            reading=Reading(**parts[Reading]),
        )

    def _settings(self) -> Iterator[tuple[dataclasses.Field[Any], Any]]:
        """Every setting's field with its value."""
        for kind, part in (
            (Geometry, self),
            (RetrieverShape, self.retriever),
            (Reading, self.reading),
        ):
            for entry in dataclasses.fields(kind):
                yield entry, getattr(part, entry.name)


def _layers(chosen: tuple[int, ...] | None, layers: int) -> tuple[int, ...]:
    """Layers that are named (None: all of `layers`), ascending, each once."""
    return tuple(range(layers)) if chosen is None else tuple(sorted(set(chosen)))
