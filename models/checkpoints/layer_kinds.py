"""The positions and attention windows of each layer of a base.

Works on the JSON values of `config.json`, in the older and the newer form; reads no weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.architecture import LayerKind, RotarySpec
from models.rotary import KINDS
from models.schema import ConfigError, Number, check, shown

_SCALING: Mapping[str, tuple[str, ...]] = {
    "linear": ("factor",),
    "dynamic": ("factor",),
    "llama3": (
        *("factor", "low_freq_factor", "high_freq_factor"),
        "original_max_position_embeddings",
    ),
    "yarn": (),
    "longrope": ("short_factor", "original_max_position_embeddings"),
    "divided": ("divisors",),
}
"""The fields that each kind of position scaling needs."""
_LISTS = ("short_factor", "divisors")


def layer_kinds(family: str, values: Mapping[str, Any]) -> tuple[LayerKind, ...]:
    """Each layer's positions and window.

    Args:
        values: of `config.json`, the family's defaults filled in.

    Raises:
        ConfigError: a value that no such base has.
    """
    count = values["num_hidden_layers"]
    window = values.get("sliding_window")
    if family in ("qwen2", "qwen3", "smollm3") and not values.get("use_sliding_window"):
        window = None
    sliding = _sliding(family, values, count)
    full, local = _rotary(family, values, "full_attention"), None
    if family == "gemma3_text":
        local = _rotary(family, values, "sliding_attention")
    turned = _turned(family, values, count)
    return tuple(
        LayerKind(
            rotary=None if not turned[index] else local if local and sliding[index] else full,
            window=window if sliding[index] else None,
        )
        for index in range(count)
    )


def _sliding(family: str, values: Mapping[str, Any], count: int) -> list[bool]:
    """Which layers attend to a window only, if there is one."""
    types = values.get("layer_types")
    if types is not None and family not in ("mistral", "phi3", "llama"):
        known = ("sliding_attention", "full_attention")
        if not isinstance(types, list) or len(types) < count or not set(types) <= set(known):
            raise ConfigError(f"layer_types is {shown(types)}: give one of {known} a layer")
        return [name == "sliding_attention" for name in types]
    if family in ("mistral", "phi3"):
        return [True] * count
    if family == "gemma2":
        return [index % 2 == 0 for index in range(count)]
    if family == "gemma3_text":
        pattern = values.get("sliding_window_pattern", 6)
        return [(index + 1) % pattern != 0 for index in range(count)]
    if family in ("qwen2", "qwen3"):
        return [index >= values.get("max_window_layers", 28) for index in range(count)]
    if family == "smollm3":
        return [not turned for turned in _turned(family, values, count)]
    return [False] * count


def _turned(family: str, values: Mapping[str, Any], count: int) -> list[bool]:
    """Which layers know positions."""
    if family != "smollm3":
        return [True] * count
    given = values.get("no_rope_layers")
    if given is None:
        interval = values.get("no_rope_layer_interval", 4)
        return [(index + 1) % interval != 0 for index in range(count)]
    if not isinstance(given, list) or len(given) < count or not set(given) <= {0, 1}:
        raise ConfigError(f"no_rope_layers is {shown(given)}: give 0 or 1 a layer")
    return [bool(one) for one in given[:count]]


def _rotary(family: str, values: Mapping[str, Any], layer_type: str) -> RotarySpec:
    """The parameters of rotary positions, from the older fields (`rope_theta` ...) or the newer one."""
    given: dict[str, Any] = {}
    for name in ("rope_scaling", "rope_parameters"):
        said = values.get(name)
        if said is not None and not isinstance(said, Mapping):
            raise ConfigError(f"{name} is {shown(said)}: give an object")
        said = said or {}
        if {"full_attention", "sliding_attention"} & said.keys():
            said = said.get(layer_type) or {}
            if not isinstance(said, Mapping):
                raise ConfigError(f"{name}.{layer_type} is {shown(said)}: give an object")
        elif layer_type == "sliding_attention":
            said = {}  # common values are those of the full-attention layers
        given |= said
    for inner, value in given.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            check(f"rope_parameters.{inner}", value, Number(0, 1e15))
    theta = given.get("rope_theta") or _theta(family, values, layer_type)
    check("rope_theta", theta, Number(1e-6, 1e15))
    share = given.get("partial_rotary_factor", values.get("partial_rotary_factor", 1.0))
    check("partial_rotary_factor", share, Number(0, 1))
    kind = given.get("rope_type", given.get("type", "default"))
    if family == "phi3" and kind in ("su", "yarn"):
        kind = "longrope"
    if kind not in KINDS:
        raise ConfigError(f"rope_type is {shown(kind)}: supported are {', '.join(sorted(KINDS))}")
    scaling = given if kind != "default" else {}
    return RotarySpec(kind, float(theta), float(share), _scaling(kind, scaling, values))


def _theta(family: str, values: Mapping[str, Any], layer_type: str) -> Any:
    if family == "gemma3_text" and layer_type == "sliding_attention":
        return values.get("rope_local_base_freq", 1e4)
    return values.get("rope_theta", 1e6 if family == "gemma3_text" else 1e4)


def _scaling(kind: str, given: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of scaled positions, complete."""
    scaling = dict(given)
    positions = values["max_position_embeddings"]
    if kind in ("llama3", "yarn", "longrope"):
        outside = values.get("original_max_position_embeddings")
        said = outside or scaling.get("original_max_position_embeddings") or positions
        scaling["original_max_position_embeddings"] = said
    if kind == "longrope":
        scaling["factor"] = scaling.get("factor") or positions / said
    for name in _SCALING.get(kind, ()):
        if name not in scaling:
            raise ConfigError(f"rope_parameters of type {kind!r} have no {name}")
        if name in _LISTS:
            _check_factors(name, scaling[name], values, given)
        else:
            check(f"rope_parameters.{name}", scaling[name], Number(1e-9, 1e15))
    return scaling


def _check_factors(
    name: str, factors: Any, values: Mapping[str, Any], given: Mapping[str, Any]
) -> None:
    """Check that there is one number for each frequency."""
    size = values.get("head_dim") or values["hidden_size"] // values["num_attention_heads"]
    share = given.get("partial_rotary_factor", values.get("partial_rotary_factor", 1.0))
    wanted = int(size * share) // 2
    is_right = isinstance(factors, list) and len(factors) == wanted
    if not is_right or not all(type(one) in (int, float) and one > 0 for one in factors):
        raise ConfigError(f"{name} is {shown(factors)}: give {wanted} numbers above 0")
