"""Configuration of an M+ checkpoint: the geometry of its memory and how it is written and recalled.

Knows no tensors and no files; `models.checkpoints` reads and writes it as JSON.
"""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass
from typing import Any, Literal

MemoryState = Literal["input", "output"]
MemoryPositions = Literal["strided", "pooled", "salient", "last"]
Drop = Literal["oldest", "random"]
Recall = Literal["chunks", "tokens"]
Scorer = Literal["maxsim", "sigmoid", "cosine"]
LtmFormat = Literal["exact", "k8v8", "k8v4", "k4v4"]


class ConfigError(ValueError):
    """A configuration that cannot work; the message names the field and the limit."""


@dataclass(frozen=True, slots=True)
class MPlusConfig:
    """Memory geometry and behaviour of a checkpoint. All sizes are in tokens unless said otherwise.

    The names follow M+ (arXiv 2502.00592); the paper's 8B checkpoint is chunk 512, K 256,
    N 10,240, K0 2,560, `output`, `last`, `random`, recall of `tokens`.
    """

    chunk_tokens: int = 512
    """T: text tokens one update pass reads at most."""
    new_tokens: int = 256
    """K: memory tokens a full chunk becomes; the compression ratio is T / K."""
    stm_tokens: int = 2048
    """N: memory tokens short-term memory holds per layer."""
    recalled_tokens: int = 1024
    """K0: long-term memory tokens recalled per layer and question, at most."""
    max_prompt_tokens: int = 1024
    """Positions kept free for the prompt and the answer."""

    memory_state: MemoryState = "input"
    """Which hidden state layer l remembers: what entered it, or what left it (published)."""
    memory_positions: MemoryPositions = "pooled"
    """Which states of a chunk are kept: every r-th, the mean of every r, those of the rarest tokens
    (`models.salience`), or the last K (published)."""
    drop: Drop = "oldest"
    """Which short-term tokens make room for new ones; `random` draws per layer (published)."""
    recall: Recall = "chunks"
    """Whole chunks for all layers, or the best single tokens of each layer (published)."""
    ages_in_stm: bool = True
    """Whether a token ages while in short-term memory; the published checkpoint's does not."""
    memory_layers: tuple[int, ...] | None = None
    """Layers whose attention sees memory when answers are read; the others keep nothing of what was
    read. None: every layer."""
    ltm_capacity: int | None = None
    """Memory tokens long-term memory keeps per layer (the newest); None: all, for ever."""
    ltm_format: LtmFormat = "exact"
    """Bits of keys and values in long-term memory (`models.packing`); `exact`: the model's type."""

    scorer: Scorer = "cosine"
    """How the retriever compares: `maxsim` (trained), `sigmoid` (published), `cosine` (untrained)."""
    relevance_weight: float = 0.0
    """How much a chunk's score weighs when it is read: this times (its score - the best one's) is
    added to the attention logits of its memory tokens; 0: all that is in the prefix weighs alike."""
    window_weight: float = 0.0
    """How much nearness to the question's words weighs inside a chunk: this times (the score of the
    best window that holds a memory token - that of the chunk's best window) is added too; 0: the
    tokens of a chunk weigh alike."""
    window_tokens: int = 64
    """Text tokens of such a window; one starts every half window."""
    window_limit: float = 12.0
    """No memory token loses more than this, in nats of attention logits, to the windows: the answer may
    stand outside the best one."""
    quote_weight: float = 0.0
    """What it costs an answer, in nats a token, to leave the text of the chunks at hand, where the
    caller has that text (`models.generate.Guide`); 0: nothing."""
    lookahead: int = 1
    """Tokens, the likeliest, of which a greedy answer takes that which goes on best, one token ahead; for
    its first few tokens. 1: the likeliest itself."""
    least_coverage: float = 0.0
    """A question whose best chunk covers less of it than this (`models.scan.ChunkScore`) is answered
    with the refusal; 0: every question is put to the reader."""
    retriever_width: int = 64
    """P: width of a retriever key."""
    retriever_hidden: int = 256
    """Hidden width of the retriever's two-layer perceptrons."""
    retriever_layers: tuple[int, ...] | None = None
    """Layers that have a retriever; None: every layer."""

    update_lora_rank: int = 0
    """Rank of the update adapter; 0: none."""
    generate_lora_rank: int = 0
    """Rank of the generate adapter; 0: none."""

    def __post_init__(self) -> None:
        for name in (
            "chunk_tokens",
            "new_tokens",
            "stm_tokens",
            "retriever_width",
            "window_tokens",
            "lookahead",
        ):
            _at_least(self, name, 1)
        for name in ("recalled_tokens", "max_prompt_tokens", "retriever_hidden"):
            _at_least(self, name, 0)
        for name in ("update_lora_rank", "generate_lora_rank"):
            _at_least(self, name, 0)
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConfigError(f"{name} is {getattr(self, name)!r}: choose one of {choices}")
        if self.ltm_capacity is not None and self.ltm_capacity < 1:
            raise ConfigError(f"ltm_capacity is {self.ltm_capacity}: give 1 or more, or null")
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
            raise ConfigError("recall 'chunks' needs drop 'oldest': random drops tear chunks apart")
        for name in ("retriever_layers", "memory_layers"):
            if getattr(self, name) == ():
                raise ConfigError(f"{name} is empty: name a layer, or null for every layer")
        for name in set(_WEIGHTS) - {"least_coverage"}:
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}: give 0 or more")
        if not 0 <= self.least_coverage <= 1:
            raise ConfigError(f"least_coverage is {self.least_coverage}: give 0 to 1")
        for name in ("relevance_weight", "window_weight", "least_coverage"):
            if self.recall == "tokens" and getattr(self, name):
                raise ConfigError(f"{name} needs recall of 'chunks': tokens have no chunk's score")
        if self.window_weight and self.scorer == "sigmoid":
            raise ConfigError("window_weight needs a scorer 'maxsim' or 'cosine'")
        if self.recall == "tokens" and self.retriever_layers is not None:
            raise ConfigError("recall 'tokens' needs a retriever in every layer")
        if self.recall == "tokens" and self.memory_layers is not None:
            raise ConfigError("recall 'tokens' needs memory in every layer")

    @property
    def ratio(self) -> int:
        """Text tokens a memory token stands for in a full chunk, rounded down."""
        return self.chunk_tokens // self.new_tokens

    @property
    def window_memory_tokens(self) -> int:
        """Memory tokens of a window (`window_tokens`), at least one."""
        return max(self.window_tokens * self.new_tokens // self.chunk_tokens, 1)

    @property
    def prefix_tokens(self) -> int:
        """Positions the generate pass's prefix takes at most: BOS, recalled, short-term."""
        return 1 + self.recalled_tokens + self.stm_tokens

    def layers_with_retriever(self, layers: int) -> tuple[int, ...]:
        """The layers (of `layers`) that have a retriever, ascending."""
        chosen = range(layers) if self.retriever_layers is None else self.retriever_layers
        return tuple(sorted(chosen))

    def layers_with_memory(self, layers: int) -> tuple[int, ...]:
        """The layers (of `layers`) whose attention sees memory, ascending."""
        chosen = range(layers) if self.memory_layers is None else self.memory_layers
        return tuple(sorted(set(chosen)))

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
            ("retriever_layers", self.layers_with_retriever(layers)),
            ("memory_layers", self.layers_with_memory(layers)),
        ):
            if max(chosen) >= layers or min(chosen) < 0:
                raise ConfigError(f"{name} names layer {max(chosen)}: the base has {layers}")

    def to_dict(self) -> dict[str, Any]:
        """This configuration as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> MPlusConfig:
        """A configuration from JSON values.

        Raises:
            ConfigError: an unknown field, a value of the wrong type, or one out of range.
        """
        fields = {field.name: field for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - set(fields))
        if unknown:
            raise ConfigError(f"unknown field {unknown[0]!r}: known are {', '.join(fields)}")
        hints = typing.get_type_hints(cls)
        given: dict[str, Any] = {}
        for name, value in values.items():
            if name in _LAYERS and isinstance(value, list):
                value = tuple(value)
            _check_type(name, value, hints[name])
            given[name] = value
        return cls(**given)


_WEIGHTS = ("relevance_weight", "window_weight", "window_limit", "quote_weight", "least_coverage")
_LAYERS = ("retriever_layers", "memory_layers")
_CHOICES: dict[str, tuple[str, ...]] = {
    "memory_state": typing.get_args(MemoryState),
    "memory_positions": typing.get_args(MemoryPositions),
    "drop": typing.get_args(Drop),
    "recall": typing.get_args(Recall),
    "scorer": typing.get_args(Scorer),
    "ltm_format": typing.get_args(LtmFormat),
}


def _at_least(config: MPlusConfig, name: str, least: int) -> None:
    value = getattr(config, name)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{name} is {value!r}: give a whole number of {least} or more")


def _check_type(name: str, value: Any, hint: Any) -> None:
    if name in _CHOICES:
        return
    if name in _LAYERS:
        fits = value is None or (
            isinstance(value, tuple) and all(type(layer) is int for layer in value)
        )
    elif name in _WEIGHTS:
        fits = type(value) in (int, float)
    elif name == "ltm_capacity":
        fits = value is None or type(value) is int
    else:
        fits = type(value) is hint
    if not fits:
        raise ConfigError(f"{name} is {value!r}: not of type {hint}")
