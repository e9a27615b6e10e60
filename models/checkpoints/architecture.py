"""What a base says of itself, checked before anything of that size is built.

A file of a few hundred bytes can claim a million layers, and building them takes minutes and gigabytes.
Knows the configuration of a Llama as JSON values, and how large files are; no weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.checkpoints.loaded import CheckpointError
from models.schema import ConfigError, Number, Rule, Switch, Text, Whole, check

_DEFAULTS: Mapping[str, Any] = {
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "max_position_embeddings": 2048,
}
"""Those of `transformers`, for a configuration that leaves one out."""
_RULES: Mapping[str, Rule] = {
    "vocab_size": Whole(1, 1 << 22),
    "hidden_size": Whole(1, 1 << 16),
    "intermediate_size": Whole(1, 1 << 20),
    "num_hidden_layers": Whole(1, 1024),
    "num_attention_heads": Whole(1, 1024),
    "num_key_value_heads": Whole(1, 1024, optional=True),
    "head_dim": Whole(2, 4096, optional=True),
    "max_position_embeddings": Whole(1, 1 << 27),
    "rms_norm_eps": Number(0, 1, optional=True),
    "initializer_range": Number(0, 1e3, optional=True),
    "rope_theta": Number(1e-6, 1e15, optional=True),
    "hidden_act": Text(64, optional=True),
    "attention_bias": Switch(optional=True),
    "mlp_bias": Switch(optional=True),
    "tie_word_embeddings": Switch(optional=True),
    "attention_dropout": Number(0, 1, optional=True),
}
_FULLEST = 8
"""Parameters that a byte of a weights file holds at most."""


def check_llama(config: Mapping[str, Any], source: Path, weights: int) -> None:
    """Check the configuration of a Llama.

    Args:
        source: the file it is from.
        weights: bytes of the files that are to hold its weights.

    Raises:
        CheckpointError: a value that no Llama has, or more parameters than the files can hold.
    """
    values = {**_DEFAULTS, **config}
    try:
        for name, rule in _RULES.items():
            check(name, values.get(name), rule)
        _check_heads(values)
        _check_rotary(values)
    except ConfigError as error:
        raise CheckpointError(f"{source}: {error}") from error
    if parameters(values) > _FULLEST * weights:
        raise CheckpointError(
            f"{source}: describes {parameters(values):,} parameters, the weights beside it have "
            f"{weights:,} bytes: fetch the model again"
        )


def parameters(values: Mapping[str, Any]) -> int:
    """Parameters of a Llama with these values, but for its norms."""
    hidden, heads = values["hidden_size"], values["num_attention_heads"]
    size = values.get("head_dim") or hidden // heads
    groups = values.get("num_key_value_heads") or heads
    attention = 2 * hidden * size * (heads + groups)
    layer = attention + 3 * hidden * values["intermediate_size"]
    return int(values["num_hidden_layers"] * layer + values["vocab_size"] * hidden)


def _check_heads(values: Mapping[str, Any]) -> None:
    hidden, heads = values["hidden_size"], values["num_attention_heads"]
    groups, size = values.get("num_key_value_heads") or heads, values.get("head_dim")
    if heads % groups:
        raise ConfigError(
            f"num_attention_heads ({heads}) is no multiple of the key heads ({groups})"
        )
    if size is None and hidden % heads:
        raise ConfigError(f"hidden_size ({hidden}) is no multiple of num_attention_heads ({heads})")
    if (size or hidden // heads) % 2:
        raise ConfigError("the size of a head is odd: positions turn its halves")


def _check_rotary(values: Mapping[str, Any]) -> None:
    """Whatever is said of positions: numbers that are some, and texts."""
    for name in ("rope_scaling", "rope_parameters"):
        given = values.get(name)
        if given is None:
            continue
        if not isinstance(given, Mapping):
            check(name, given, Text(0, optional=True))
            continue
        for inner, value in given.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                check(f"{name}.{inner}", value, Number(0, 1e15))
