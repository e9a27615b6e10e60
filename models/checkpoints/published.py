"""The layout of the published checkpoint (`YuWangX/mplus-8b`): its names, and what they are here.

The only module that uses the reference's names. From `num_blocks`, `num_ltm_blocks` and `num_tokens`
(memory counted in blocks of K tokens) follow N, K0 and K; the adapter `default` writes and
`decoder_adapter` reads; `query_proj` and `key_proj` are the retriever's f_q and f_k (the third,
`encoder_query_proj`, serves training only); `memory` and `ltm.*` are the memory it ships with.

Differences kept on purpose: long-term memory forgets nothing unless `config.json` says
`"forget_expired": true` (the reference drops tokens whose `ltm_recall_frequencies` have run out:
`models.forgetting`), and with fewer tokens than K0 it is recalled once, not repeated up to K0.

Shapes: L layers, N short-term and m long-term memory tokens, D hidden size, P retriever width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.checkpoints.adapters import decoders
from models.checkpoints.architecture import read_architecture
from models.checkpoints.base import bos_id, load_tokenizer, read_config, read_json, stop_ids
from models.checkpoints.fingerprint import base_files, fingerprint
from models.checkpoints.loaded import (
    CheckpointError,
    Loaded,
    check_answers,
    checkpoint_files,
    explained,
)
from models.checkpoints.published_tensors import BaseWeights, Tensors
from models.checkpoints.weights import fill_stack
from models.config import MPlusConfig, RetrieverShape
from models.forgetting import Forgetting
from models.memory import Memory, Segment, ShortTermMemory, Tokens
from models.merging import Adapter
from models.network import MPlusModel
from models.prompts import PromptFormat
from models.retriever import Retriever, make_retriever
from models.schema import Boolean, Integer, Number, Rule, check_values, shown
from models.stack import Stack
from models.update import encode

CHUNK_TOKENS = 512
"""Text tokens the reference reads at a time (M+, section 4.1)."""
PROMPT_TOKENS = 1024
_FIELDS: Mapping[str, Rule] = {
    "num_blocks": Integer(1),
    "num_tokens": Integer(1),
    "num_ltm_blocks": Integer(0),
    "add_decoder_lora": Boolean(),
    "selector_hidden_dim": Integer(1, 1 << 16),
}
FORGETS = "forget_expired"
"""Field of `config.json`, ours: whether long-term memory forgets as the reference's does."""
_FORGETTING: Mapping[str, Rule] = {
    "initial_rf_when_moving_stm_to_ltm": Number(0),
    "decay_frequency": Number(0),
    "update_ltm_frequency": Integer(1),
}
_LORA: Mapping[str, Rule] = {"r": Integer(1), "lora_alpha": Number(0)}


@dataclass(frozen=True, slots=True)
class Network:
    """What the weights of a published checkpoint hold, without its tokenizer."""

    model: MPlusModel
    memory: Memory


def is_published(config: Mapping[str, Any]) -> bool:
    """Whether a `config.json` is one of this layout."""
    return "num_blocks" in config and "num_tokens" in config


def load_published(
    folder: Path,
    *,
    device: torch.device | str,
    dtype: torch.dtype,
    attention: str,
    merge: bool = True,
) -> Loaded:
    """Load a published checkpoint with the memory it ships with.

    Raises:
        CheckpointError: a field or tensor is missing, or a setting is not the published one's.
    """
    with explained(folder):
        tokenizer = load_tokenizer(folder)
        network = load_network(
            folder,
            device=device,
            dtype=dtype,
            attention=attention,
            tokenizer=tokenizer,
            merge=merge,
        )
        config = network.model.config
        check_answers(network.model, tokenizer, PromptFormat())
        return Loaded(
            model=network.model,
            tokenizer=tokenizer,
            name=folder.resolve().name,
            fingerprint=fingerprint(config.counting(), base_files(folder)),
            prompt=PromptFormat(),
            stop_ids=stop_ids(read_config(folder), network.model.generate.vocabulary, tokenizer),
            initial_memory=network.memory,
        )


def load_network(
    folder: Path,
    *,
    device: torch.device | str,
    dtype: torch.dtype,
    attention: str,
    tokenizer: Any = None,
    merge: bool = True,
) -> Network:
    """The network and the memory of a published checkpoint.

    Raises:
        CheckpointError: as `load_published`.
    """
    raw = read_json(folder / "config.json")
    tensors = Tensors(folder, device, dtype)
    stack = _stack(raw, folder, tensors)
    config = memory_config(raw, tensors.shape(_selector(0, "query", 0))[0], folder)
    update = _adapter(raw, tensors, "default")
    generate = _adapter(raw, tensors, "decoder_adapter") if raw["add_decoder_lora"] else update
    writing, reading = decoders(stack, update, generate, merged=merge, attention=attention)
    model = MPlusModel(
        config,
        writing,
        reading,
        _retriever(config, tensors, reading.layers, reading.hidden),
        bos_id=0 if tokenizer is None else bos_id(raw, reading.vocabulary, tokenizer),
        bos=tensors["bos_embedding"],
        new_memory_embedding=tensors["new_memory_positional_emb"],
        forgetting=_forgetting(raw, config, tensors, reading.layers, folder),
    )
    return Network(model, _memory(model, tensors))


def memory_config(raw: Mapping[str, Any], retriever_hidden: int, folder: Path) -> MPlusConfig:
    """The memory geometry that a published `config.json` describes.

    Raises:
        CheckpointError: a field is missing, or has a value that no published checkpoint has.
    """
    for field in _FIELDS:
        if field not in raw:
            raise CheckpointError(f"{folder / 'config.json'}: has no field {field!r}")
    check_values(raw, _FIELDS)
    check_values(raw.get("lora_config") or {"r": 1, "lora_alpha": 1}, _LORA)
    for field, expected in (("add_bos_embedding", True), ("update_ltm_mode", "immediate")):
        if raw.get(field) != expected:
            raise CheckpointError(
                f"{folder / 'config.json'}: {field} is {shown(raw.get(field))}, "
                f"only {expected!r} is read"
            )
    tokens = raw["num_tokens"]
    stm = (raw["num_blocks"] - raw["num_ltm_blocks"]) * tokens
    recalled = raw["num_ltm_blocks"] * tokens
    positions = raw["max_position_embeddings"]
    lora = raw.get("lora_config")
    rank = 0 if lora is None else lora["r"]
    return MPlusConfig(
        chunk_tokens=max(CHUNK_TOKENS, tokens),
        new_tokens=tokens,
        stm_tokens=stm,
        recalled_tokens=recalled,
        max_prompt_tokens=max(min(PROMPT_TOKENS, positions - 1 - stm - recalled), 0),
        memory_state="output",
        memory_positions="last",
        drop="random",
        recall="tokens",
        ages_in_stm=False,
        update_lora_rank=rank,
        generate_lora_rank=rank,
        retriever=RetrieverShape(
            scorer="sigmoid", width=raw["selector_hidden_dim"], hidden=retriever_hidden
        ),
    )


def _stack(raw: Mapping[str, Any], folder: Path, tensors: Tensors) -> Stack:
    """The base alone."""
    size = sum(path.stat().st_size for path in checkpoint_files(folder))
    if raw.get("model_type") != "llama":
        raise CheckpointError(f"{folder}: is a {shown(raw.get('model_type'))} model, not a Llama")
    tied = raw.get("tie_word_embeddings") and "lm_head.weight" not in tensors
    architecture = read_architecture(
        {**raw, "tie_word_embeddings": bool(tied)}, folder / "config.json", size
    )
    device, dtype = tensors.where
    return fill_stack(architecture, BaseWeights(tensors), folder, device=device, dtype=dtype)


def _adapter(raw: Mapping[str, Any], tensors: Tensors, name: str) -> Adapter | None:
    lora = raw.get("lora_config")
    if lora is None:
        return None
    ending = f".lora_A.{name}.weight"
    weights = {}
    for key in tensors:
        if key.endswith(ending):
            b = key.replace(".lora_A.", ".lora_B.")
            weights[key.removesuffix(ending)] = (tensors[key], tensors[b])
    if not weights:
        raise CheckpointError(f"the checkpoint has no tensors of its adapter {name!r}")
    return Adapter(lora["r"], lora["lora_alpha"], weights)


def _retriever(config: MPlusConfig, tensors: Tensors, layers: int, hidden: int) -> Retriever:
    with torch.device("meta"):
        retriever = make_retriever(config.retriever, layers, hidden)
    state = {
        f"{side}.{layer}.{part}.weight": tensors[_selector(layer, side, number)]
        for layer in range(layers)
        for side in ("query", "key")
        for part, number in (("inner", 0), ("outer", 2))
    }
    retriever.load_state_dict(state, assign=True)
    return retriever.requires_grad_(False)


def _selector(layer: int, side: str, number: int) -> str:
    return f"model.layers.{layer}.self_attn.{side}_proj.{number}.weight"


@torch.no_grad()
def _memory(model: MPlusModel, tensors: Tensors) -> Memory:
    """The shipped memory: all of short-term memory has age 0, long-term memory its `ltm_ages`."""
    states = tensors["memory"]  # (L, N, D)
    ages = torch.zeros((1, states.shape[1]), dtype=torch.int64, device=states.device)
    stm = ShortTermMemory(
        _tokens(model, states), ages, states[:, -model.config.new_tokens :].clone()
    )
    if "ltm.0" not in tensors:
        return Memory(stm, (), clock=0, chunks=0)
    layers = model.generate.layers
    ltm_ages = tensors.newest("ltm_ages", layers, tensors.exact).round().to(torch.int64)
    count = ltm_ages.shape[1]
    clock = int(ltm_ages.max()) + 1 if count else 0
    tokens = _tokens(model, tensors.newest("ltm", layers, tensors.__getitem__))
    keys = tensors.newest("ltm_keys", layers, tensors.__getitem__)
    shipped = Tokens(tokens.keys, tokens.values, keys, tokens.chunks)
    segment = Segment(shipped.to("cpu"), clock - 1 - ltm_ages)
    return Memory(stm, (segment,) if count else (), clock=clock, chunks=0)


def _forgetting(
    raw: Mapping[str, Any], config: MPlusConfig, tensors: Tensors, layers: int, folder: Path
) -> Forgetting | None:
    """The reference's forgetting, where `config.json` asks for it."""
    check_values(raw, {FORGETS: Boolean(optional=True)})
    if not raw.get(FORGETS):
        return None
    for field in _FORGETTING:
        if field not in raw:
            raise CheckpointError(f"{folder / 'config.json'}: has no field {field!r}")
    check_values(raw, _FORGETTING)
    frequencies = torch.zeros((layers, 0), dtype=torch.float64)
    if "ltm.0" in tensors:
        frequencies = tensors.newest("ltm_recall_frequencies", layers, tensors.exact).double()
    if not frequencies.isfinite().all():
        raise CheckpointError(f"{folder}: ltm_recall_frequencies holds values that are not numbers")
    return Forgetting(
        frequencies,
        initial=raw["initial_rf_when_moving_stm_to_ltm"],
        decay=raw["decay_frequency"],
        every=raw["update_ltm_frequency"],
        least=config.recalled_tokens,
        new_tokens=config.new_tokens,
    )


def _tokens(model: MPlusModel, states: Tensor) -> Tokens:
    """Memory tokens of states (L, n, D) that came with the checkpoint."""
    keys, values, retriever_keys = encode(model, states[:, None])
    chunks = torch.full((1, states.shape[1]), -1, dtype=torch.int64, device=states.device)
    return Tokens(keys[:, 0], values[:, 0], retriever_keys[:, 0], chunks)
