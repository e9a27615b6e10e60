"""The trained weights of a run: to a file and back, from a checkpoint, and the mean of several runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from models.checkpoints import own_weights
from models.config import ConfigError
from models.merging import GENERATE, TEXT
from models.training.text_reader import TextTrainee
from models.training.trainee import Trainee


def trained_weights(trainee: Trainee | TextTrainee) -> dict[str, Tensor]:
    """Adapters and retriever by name."""
    llama = {
        f"llama.{name}": weight.detach().contiguous()
        for name, weight in trainee.llama.named_parameters()
        if "_lora." in name
    }
    retriever = {
        f"retriever.{name}": weight.detach().contiguous()
        for name, weight in trainee.retriever.named_parameters()
    }
    return llama | retriever


def read_weights(path: Path) -> dict[str, Tensor]:
    """`trained_weights` from a file, or from the folder of one of our checkpoints.

    Raises:
        ConfigError: the file is damaged.
        CheckpointError: the checkpoint is damaged.
    """
    if path.is_dir():
        return _checkpoint_weights(path)
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ConfigError(f"{path} is damaged: {error}") from None


def _checkpoint_weights(folder: Path) -> dict[str, Tensor]:
    """Adapters and retriever of a checkpoint, as fresh adapters (`attach_adapters`) would hold them."""
    adapters, retriever = own_weights(folder)
    weights = {f"retriever.{name}": value for name, value in retriever.items()}
    for name, adapter in adapters.items():
        for layer, (a, b) in adapter.weights.items():
            weights[f"llama.{layer}.lora_A.{name}.weight"] = a
            # Fresh adapters have an alpha of twice their rank.
            weights[f"llama.{layer}.lora_B.{name}.weight"] = b * (adapter.scale / 2)
    return weights


def mean_weights(parts: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of weights from `trained_weights`, taken in float32. Runs that diverged from the same
    weights often do better averaged: model soups, Wortsman et al. 2022 (arXiv 2203.05482).

    Raises:
        ConfigError: their geometries differ.
    """
    first = parts[0]
    for other in parts[1:]:
        if {name: value.shape for name, value in first.items()} != {
            name: value.shape for name, value in other.items()
        }:
            raise ConfigError("the weights are of different geometries and cannot be averaged")
    if len(parts) == 1:
        return first
    return {
        name: torch.stack([part[name].float() for part in parts]).mean(dim=0).to(value.dtype)
        for name, value in first.items()
    }


def starting_weights(weights: Mapping[str, Tensor], text_lora_rank: int) -> dict[str, Tensor]:
    """Those of `trained_weights` that a run starts from: all but a reader of text; for such a run that reader
    alone, which begins as the reader of memory where there is none yet.

    Args:
        text_lora_rank: of the adapter that the run trains; 0: it trains memory.

    Raises:
        ConfigError: the adapter to start from is of a lower rank.
    """
    if not text_lora_rank:
        return {name: value for name, value in weights.items() if f".{TEXT}." not in name}
    source = TEXT if any(f".{TEXT}." in name for name in weights) else GENERATE
    found = {}
    for name, a in weights.items():
        if f".lora_A.{source}." in name:
            name_of_b = name.replace(".lora_A.", ".lora_B.")
            a, b = _of_rank(a, weights[name_of_b], text_lora_rank)
            found[name.replace(source, TEXT)], found[name_of_b.replace(source, TEXT)] = a, b
    return found


def _of_rank(a: Tensor, b: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """The halves A (rank, I) and B (O, rank) whose product comes closest to that of A (r, I) and B (O, r): by
    the largest singular values (Eckart and Young 1936)."""
    if len(a) == rank:
        return a, b
    if len(a) < rank:
        raise ConfigError(f"the adapter to start from has rank {len(a)}: set text_lora_rank to it")
    left, inner_b = torch.linalg.qr(b.float())
    right, inner_a = torch.linalg.qr(a.float().T)
    u, values, v = torch.linalg.svd(inner_b @ inner_a.T)
    root = values[:rank].sqrt()
    lower_a, lower_b = (root[:, None] * v[:rank]) @ right.T, (left @ u[:, :rank]) * root
    return lower_a.to(a.dtype).contiguous(), lower_b.to(b.dtype).contiguous()


def load_weights(trainee: Trainee | TextTrainee, weights: dict[str, Tensor]) -> None:
    """Load `trained_weights`; weights that are not among them stay as they are.

    Raises:
        ConfigError: they are of another geometry.
    """
    own = dict(trainee.named_parameters())
    unknown = weights.keys() - own.keys()
    if unknown:
        raise ConfigError(f"the weights are of other layers: this run has no {min(unknown)}")
    for name, value in weights.items():
        if value.shape != own[name].shape:
            shapes = f"{list(value.shape)}, here {list(own[name].shape)}"
            raise ConfigError(f"the weights are of another geometry: {name} is {shapes}")
    with torch.no_grad():
        for name, value in weights.items():
            own[name].copy_(value)
