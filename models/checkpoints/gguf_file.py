"""A GGUF file as llama.cpp's converters write it: its configuration, weights and tokenizer.

Weights are unpacked one by one when they are asked for, and named and laid out as the Hub's are. Only
this module uses llama.cpp's names.

Shapes: O outputs, I inputs of a projection, h heads, d head size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.blocks import Unpack
from models.checkpoints.gguf_blocks import KINDS, unpack_blocks
from models.checkpoints.gguf_vocabulary import read_vocabulary
from models.checkpoints.loaded import CheckpointError
from models.schema import Integer, check, shown
from models.tokenizer import Tokenizer

FAMILIES: Mapping[str, str] = {
    "llama": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "smollm3": "smollm3",
    "phi3": "phi3",
    "gemma2": "gemma2",
    "gemma3": "gemma3_text",
    "olmo2": "olmo2",
    "granite": "granite",
}
"""llama.cpp's architectures, with the families they are; Mistral's files say `llama`."""
_INTERLEAVED = ("llama", "granite", "smollm3")
"""Where the converter interleaves the two halves of each head that positions turn together."""
_NORM_OFFSET = ("gemma2", "gemma3_text")
"""Where the converter adds the 1 to the weights of norms."""
_NORM_AFTER = (*_NORM_OFFSET, "olmo2")
"""Where `post_attention_layernorm` is of what attention adds."""
_LARGEST_GEMMA = {"gemma2": 46, "gemma3_text": 62}
"""Layers of the models of 27B parameters."""
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "vocab_size": ("vocab_size",),
    "hidden_size": ("embedding_length",),
    "intermediate_size": ("feed_forward_length",),
    "num_hidden_layers": ("block_count",),
    "num_attention_heads": ("attention.head_count",),
    "num_key_value_heads": ("attention.head_count_kv",),
    "head_dim": ("attention.key_length",),
    "max_position_embeddings": ("context_length",),
    "rms_norm_eps": ("attention.layer_norm_rms_epsilon",),
    "rope_theta": ("rope.freq_base",),
    "sliding_window": ("attention.sliding_window",),
    "attn_logit_softcapping": ("attn_logit_softcapping",),
    "final_logit_softcapping": ("final_logit_softcapping",),
    "embedding_multiplier": ("embedding_scale",),
    "residual_multiplier": ("residual_scale",),
    "attention_multiplier": ("attention.scale",),
    "logits_scaling": ("logit_scale",),
}
_WHOLE = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
}
_PARTS = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.qkv_proj": "attn_qkv",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.gate_up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}


class GgufFile:
    """A GGUF file, opened; its weights by the Hub's names.

    Raises:
        CheckpointError: it is none, or of a family that is not read.
    """

    def __init__(self, path: Path) -> None:
        import gguf

        try:
            self._reader = gguf.GGUFReader(path)
        except Exception as error:  # libraries raise errors of every kind over damaged files
            raise CheckpointError(
                f"{path}: is not a GGUF file that can be read: {error}"
            ) from error
        self._dequantize: Callable[..., Any] = gguf.dequantize
        self._path = path
        self._tensors = {tensor.name: tensor for tensor in self._reader.tensors}
        architecture = self._value("general.architecture")
        if architecture not in FAMILIES:
            raise CheckpointError(
                f"{path}: is a {shown(architecture)} model: supported are {', '.join(FAMILIES)}"
            )
        parts = self._value("split.count") or 1
        if parts > 1:
            raise CheckpointError(
                f"{path}: is one of {parts} files that hold the model together: join them with "
                "`llama-gguf-split --merge`"
            )
        self._architecture: str = architecture
        self.family = FAMILIES[architecture]

    @cached_property
    def config(self) -> dict[str, Any]:
        """The model's description, in the form of `config.json`."""
        config: dict[str, Any] = {"model_type": self.family}
        for name, keys in _FIELDS.items():
            for key in keys:
                value = self._value(f"{self._architecture}.{key}")
                if value is not None:
                    config[name] = value
        tokens = self._value("tokenizer.ggml.tokens") or ()
        config.setdefault("vocab_size", len(tokens))
        config["tie_word_embeddings"] = "output.weight" not in self._tensors
        for role in ("bos", "eos"):
            config[f"{role}_token_id"] = self._value(f"tokenizer.ggml.{role}_token_id")
        config["generation_eos"] = self._value("tokenizer.ggml.eot_token_id")  # ends a turn
        config["attention_bias"] = self.family == "llama" and "blk.0.attn_q.bias" in self._tensors
        if self.family in _LARGEST_GEMMA:  # whose scale llama.cpp knows by its layers
            sizes = config["hidden_size"], config["num_attention_heads"]
            is_largest = config["num_hidden_layers"] == _LARGEST_GEMMA[self.family]
            scalar = sizes[0] // sizes[1] if is_largest else config["head_dim"]
            config["query_pre_attn_scalar"] = scalar
        if self.family in ("qwen2", "qwen3", "smollm3"):
            config["use_sliding_window"] = False
        if self.family == "granite" and "logits_scaling" in config:
            config["logits_scaling"] = float(config["logits_scaling"])
        self._add_scaling(config)
        return config

    def _add_scaling(self, config: dict[str, Any]) -> None:
        """The file's scaling of positions, and the part of each head that they turn."""
        heads = config["num_attention_heads"]
        size = config.get("head_dim") or config["hidden_size"] // heads
        turned = self._value(f"{self._architecture}.rope.dimension_count")
        if turned and turned < size:
            config["partial_rotary_factor"] = turned / size
        kind = self._value(f"{self._architecture}.rope.scaling.type")
        factor = self._value(f"{self._architecture}.rope.scaling.factor")
        original = self._value(f"{self._architecture}.rope.scaling.original_context_length")
        if kind in ("linear", "yarn") and factor:
            config["rope_scaling"] = {"rope_type": kind, "factor": factor}
            if original:
                config["rope_scaling"]["original_max_position_embeddings"] = original
        factors = self._tensors.get("rope_factors_short.weight")
        if factors is not None:
            original = original or config["max_position_embeddings"]
            config["original_max_position_embeddings"] = original
            config["rope_scaling"] = {
                "rope_type": "longrope",
                "short_factor": [float(one) for one in self._numbers(factors)],
                "attention_factor": self._value(f"{self._architecture}.rope.scaling.attn_factor"),
            }
        factors = self._tensors.get("rope_freqs.weight")
        if factors is not None:
            config["rope_scaling"] = {
                "rope_type": "divided",
                "divisors": [float(one) for one in self._numbers(factors)],
            }

    def tokenizer(self) -> Tokenizer:
        """The tokenizer that the file describes.

        Raises:
            CheckpointError: it is of a kind that is not read.
        """
        return read_vocabulary(self._value, self._architecture, self._path)

    def __contains__(self, name: object) -> bool:
        return self._name(str(name)) in self._tensors

    def __getitem__(self, name: str) -> Tensor:
        """A weight by the Hub's name, unpacked, on the CPU."""
        tensor = self._tensors[self._name(name)]
        weight = self._permute(name)(self._unpacked(tensor))
        if self.family in _NORM_OFFSET and name.split(".")[-2].endswith("norm"):
            weight = weight - 1
        return weight

    def _permute(self, name: str) -> Callable[[Tensor], Tensor]:
        """What puts the rows of a weight into the order of the Hub."""
        part = name.split(".")[-2]
        if self._architecture not in _INTERLEAVED or part not in ("q_proj", "k_proj"):
            return _as_it_is
        heads = "num_attention_heads" if part == "q_proj" else "num_key_value_heads"
        return partial(_halves, heads=self.config[heads])

    def blocks(self, names: Iterable[str]) -> dict[str, Unpack]:
        """What reads those weights that the file has in 4 bits, in 4 bits; it outlives the header."""
        found: dict[str, Unpack] = {}
        for name in names:
            tensor = self._tensors.get(self._name(name))
            if tensor is not None and (kind := tensor.tensor_type.name) in KINDS:
                found[name] = partial(unpack_blocks, tensor.data, kind, self._permute(name))
        return found

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a weight by the Hub's name; nothing is unpacked."""
        return tuple(int(size) for size in reversed(self._tensors[self._name(name)].shape))

    def give_back(self, name: str) -> None:
        """Nothing to do: what was asked for was unpacked, and is the caller's."""

    def _unpacked(self, tensor: Any) -> Tensor:
        data = np.asarray(tensor.data)
        kind = tensor.tensor_type.name
        if kind == "BF16":
            return torch.from_numpy(data.view(np.int16).copy()).view(torch.bfloat16)
        if kind not in ("F32", "F16"):
            data = self._dequantize(data, tensor.tensor_type)
        return torch.from_numpy(np.array(data))

    def _numbers(self, tensor: Any) -> Any:
        return self._unpacked(tensor).flatten().tolist()

    def _name(self, name: str) -> str:
        """llama.cpp's name of a weight that is there."""
        found = llama_cpp_name(self.family, name)
        if "gate_up_proj" in name and found.replace("ffn_up", "ffn_gate") in self._tensors:
            return ""  # gate and up lie apart
        return found

    def _value(self, key: str) -> Any:
        """A value of the file's header; None where it has none."""
        field = self._reader.get_field(key)
        return None if field is None else field.contents()


def llama_cpp_name(family: str, name: str) -> str:
    """What llama.cpp calls a weight that has a name on the Hub (`model.norm.weight`)."""
    module, _, leaf = name.rpartition(".")
    if module in _WHOLE:
        return f"{_WHOLE[module]}.{leaf}"
    _, _, index, part = module.split(".", 3)
    found = _PARTS[part]
    if part == "post_attention_layernorm" and family in _NORM_AFTER:
        found = "post_attention_norm"
    return f"blk.{index}.{found}.{leaf}"


def _as_it_is(weight: Tensor) -> Tensor:
    return weight


def _halves(weight: Tensor, heads: Any) -> Tensor:
    """A weight (h d, I) or bias (h d,) with the halves of every head apart again."""
    check("attention.head_count", heads, Integer(1, 1024))
    pairs = weight.unflatten(0, (heads, -1, 2))  # (h, d / 2, 2, ...)
    apart: Tensor = pairs.transpose(1, 2).flatten(0, 2)
    return apart
