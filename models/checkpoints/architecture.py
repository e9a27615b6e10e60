"""Checks what a base's `config.json` claims before anything of that size is built.

A file of a few hundred bytes can claim a million layers, and building them takes minutes and gigabytes.
Each family's own defaults are those of `transformers`, for a configuration that leaves something out.
Works on JSON values and the sizes of files; reads no weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.architecture import FAMILIES, Activation, Architecture
from models.checkpoints.layer_kinds import layer_kinds
from models.checkpoints.loaded import CheckpointError
from models.schema import Boolean, ConfigError, Integer, Number, Rule, Text, check, shown

_DEFAULTS: Mapping[str, Any] = {
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "max_position_embeddings": 2048,
}
_GEMMA = {
    "hidden_size": 2304,
    "intermediate_size": 9216,
    "num_hidden_layers": 26,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "hidden_act": "gelu_pytorch_tanh",
    "query_pre_attn_scalar": 256,
    "sliding_window": 4096,
    "tie_word_embeddings": True,
}
_FAMILY_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "llama": {},
    "mistral": {
        "intermediate_size": 14336,
        "num_key_value_heads": 8,
        "max_position_embeddings": 4096 * 32,
        "sliding_window": 4096,
    },
    "qwen2": {
        "vocab_size": 151936,
        "intermediate_size": 22016,
        "num_key_value_heads": 32,
        "max_position_embeddings": 32768,
        "sliding_window": 4096,
    },
    "qwen3": {
        "vocab_size": 151936,
        "intermediate_size": 22016,
        "num_key_value_heads": 32,
        "head_dim": 128,
        "max_position_embeddings": 32768,
        "sliding_window": 4096,
    },
    "smollm3": {
        "vocab_size": 128256,
        "hidden_size": 2048,
        "num_hidden_layers": 36,
        "num_attention_heads": 16,
        "num_key_value_heads": 4,
        "max_position_embeddings": 32768,
        "rope_theta": 2e6,
        "tie_word_embeddings": True,
    },
    "phi3": {
        "vocab_size": 32064,
        "hidden_size": 3072,
        "intermediate_size": 8192,
        "max_position_embeddings": 4096,
        "original_max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5,
    },
    "gemma2": _GEMMA
    | {
        "vocab_size": 256000,
        "max_position_embeddings": 8192,
        "final_logit_softcapping": 30.0,
        "attn_logit_softcapping": 50.0,
    },
    "gemma3_text": _GEMMA | {"vocab_size": 262208, "max_position_embeddings": 131072},
    "olmo2": {"vocab_size": 50304, "rms_norm_eps": 1e-5},
    "granite": {},
}
_RULES: Mapping[str, Rule] = {
    "vocab_size": Integer(1, 1 << 22),
    "hidden_size": Integer(1, 1 << 16),
    "intermediate_size": Integer(1, 1 << 20),
    "num_hidden_layers": Integer(1, 1024),
    "num_attention_heads": Integer(1, 1024),
    "num_key_value_heads": Integer(1, 1024, optional=True),
    "head_dim": Integer(2, 4096, optional=True),
    "max_position_embeddings": Integer(1, 1 << 27),
    "original_max_position_embeddings": Integer(1, 1 << 27, optional=True),
    "sliding_window": Integer(1, 1 << 27, optional=True),
    "max_window_layers": Integer(0, 1024, optional=True),
    "no_rope_layer_interval": Integer(1, 1024, optional=True),
    "sliding_window_pattern": Integer(1, 1024, optional=True),
    "rms_norm_eps": Number(0, 1, optional=True),
    "initializer_range": Number(0, 1e3, optional=True),
    "rope_theta": Number(1e-6, 1e15, optional=True),
    "rope_local_base_freq": Number(1e-6, 1e15, optional=True),
    "partial_rotary_factor": Number(0, 1, optional=True),
    "query_pre_attn_scalar": Number(1e-6, 1e6, optional=True),
    "attn_logit_softcapping": Number(1e-6, 1e6, optional=True),
    "final_logit_softcapping": Number(1e-6, 1e6, optional=True),
    "embedding_multiplier": Number(0, 1e6, optional=True),
    "residual_multiplier": Number(0, 1e6, optional=True),
    "attention_multiplier": Number(0, 1e6, optional=True),
    "logits_scaling": Number(1e-6, 1e6, optional=True),
    "hidden_act": Text(64, optional=True),
    "attention_bias": Boolean(optional=True),
    "mlp_bias": Boolean(optional=True),
    "tie_word_embeddings": Boolean(optional=True),
    "use_sliding_window": Boolean(optional=True),
    "use_bidirectional_attention": Boolean(optional=True),
    "attention_dropout": Number(0, 1, optional=True),
}
_NULL = (
    *("num_key_value_heads", "head_dim", "sliding_window"),
    *("attn_logit_softcapping", "final_logit_softcapping"),
)
"""Where null does not mean the default but none."""
_ACTIVATIONS: Mapping[str, Activation] = {
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "gelu_pytorch_tanh": "gelu_tanh",
}
_FULLEST = 8
"""Parameters that a byte of a weights file holds at most."""


def read_architecture(config: Mapping[str, Any], source: Path, weights: int) -> Architecture:
    """The architecture of a base.

    Args:
        config: of `config.json`.
        source: the file it is from.
        weights: bytes of the files that are to hold its weights.

    Raises:
        CheckpointError: a family that is not read, a value that no such base has, or more parameters than
            the files can hold.
    """
    quantised = config.get("quantization_config") or config.get("compression_config")
    if quantised:
        method = quantised.get("quant_method") if isinstance(quantised, Mapping) else quantised
        raise CheckpointError(
            f"{source}: its weights are quantised ({shown(method)}), which is read from GGUF files only: "
            "take the model in bfloat16, or as a .gguf file"
        )
    if config.get("model_type") == "gemma3" and isinstance(config.get("text_config"), Mapping):
        config = {**config["text_config"], "model_type": "gemma3_text"}
    family = config.get("model_type")
    if family not in FAMILIES:
        raise CheckpointError(
            f"{source.parent if source.name == 'config.json' else source}: is a {shown(family)} "
            f"model: supported are {', '.join(FAMILIES)}"
        )
    given = {name: value for name, value in config.items() if value is not None or name in _NULL}
    values = {**_DEFAULTS, **_FAMILY_DEFAULTS[family], **given}
    try:
        for name, rule in _RULES.items():
            check(name, values.get(name), rule)
        _check_heads(values)
        built = _architecture(family, values)
    except ConfigError as error:
        raise CheckpointError(f"{source}: {error}") from error
    if parameters(values) > _FULLEST * weights:
        raise CheckpointError(
            f"{source}: describes {parameters(values):,} parameters, the weights beside it have "
            f"{weights:,} bytes: fetch the model again"
        )
    return built


def parameters(values: Mapping[str, Any]) -> int:
    """The number of parameters of a base with these values, without norms and biases."""
    hidden, heads = values["hidden_size"], values["num_attention_heads"]
    size = values.get("head_dim") or hidden // heads
    groups = values.get("num_key_value_heads") or heads
    attention = 2 * hidden * size * (heads + groups)
    layer = attention + 3 * hidden * values["intermediate_size"]
    return int(values["num_hidden_layers"] * layer + values["vocab_size"] * hidden)


def _architecture(family: str, values: Mapping[str, Any]) -> Architecture:
    hidden, heads = values["hidden_size"], values["num_attention_heads"]
    act = values.get("hidden_activation") or values.get("hidden_act") or "silu"
    check("hidden_act", act, Text(64))
    if act not in _ACTIVATIONS:
        raise ConfigError(f"hidden_act is {shown(act)}: supported are {', '.join(_ACTIVATIONS)}")
    if values.get("use_bidirectional_attention"):
        raise ConfigError("attention is bidirectional: only causal models are supported")
    gemma, olmo = family.startswith("gemma"), family == "olmo2"
    biased = bool(values.get("attention_bias"))
    kinds = layer_kinds(family, values)
    positions = values["max_position_embeddings"]
    scaled = [kind.rotary for kind in kinds if kind.rotary and kind.rotary.kind == "longrope"]
    for spec in scaled:  # the factors for short texts hold up to there
        positions = min(positions, int(spec.scaling["original_max_position_embeddings"]))
    multiplier = values.get("attention_multiplier", 1.0)
    scale = float(values["query_pre_attn_scalar"]) ** -0.5 if gemma else None
    return Architecture(
        family=family,
        vocabulary=values["vocab_size"],
        hidden=hidden,
        inner=values["intermediate_size"],
        heads=heads,
        kv_heads=values.get("num_key_value_heads") or heads,
        head_size=values.get("head_dim") or hidden // heads,
        positions=positions,
        layers=kinds,
        epsilon=values.get("rms_norm_eps", 1e-6),
        activation=_ACTIVATIONS[act],
        norm="offset" if gemma else "wide" if olmo else "llama",
        norm_place="both" if gemma else "after" if olmo else "before",
        head_norms="joint" if olmo else "each" if family in ("qwen3", "gemma3_text") else "none",
        qkv_bias=biased or family == "qwen2",
        out_bias=biased,
        mlp_bias=bool(values.get("mlp_bias")),
        tied=bool(values.get("tie_word_embeddings", False)),
        attention_scale=multiplier if family == "granite" else scale,
        attention_cap=values.get("attn_logit_softcapping") if gemma else None,
        logit_cap=values.get("final_logit_softcapping") if gemma else None,
        embedding_scale=hidden**0.5 if gemma else values.get("embedding_multiplier", 1.0),
        residual_scale=values.get("residual_multiplier", 1.0),
        logit_scale=1 / values.get("logits_scaling", 1.0),
    )


def _check_heads(values: Mapping[str, Any]) -> None:
    hidden, heads = values["hidden_size"], values["num_attention_heads"]
    groups, size = values.get("num_key_value_heads") or heads, values.get("head_dim")
    if heads % groups:
        raise ConfigError(
            f"num_attention_heads ({heads}) is not a multiple of the key heads ({groups})"
        )
    if size is None and hidden % heads:
        raise ConfigError(
            f"hidden_size ({hidden}) is not a multiple of num_attention_heads ({heads})"
        )
    if (size or hidden // heads) % 2:
        raise ConfigError("the size of a head is odd: positions turn its halves")
