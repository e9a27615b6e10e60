"""The trained weights of a run: to a file and back, from a checkpoint, and the mean of several runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from models.checkpoints import own_weights
from models.config import ConfigError
from models.training.trainee import Trainee


def trained_weights(trainee: Trainee) -> dict[str, torch.Tensor]:
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


def read_weights(path: Path) -> dict[str, torch.Tensor]:
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


def _checkpoint_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Adapters and retriever of a checkpoint, as fresh adapters (`attach_adapters`) would hold them."""
    adapters, retriever = own_weights(folder)
    weights = {f"retriever.{name}": value for name, value in retriever.items()}
    for name, adapter in adapters.items():
        for layer, (a, b) in adapter.weights.items():
            weights[f"llama.{layer}.lora_A.{name}.weight"] = a
            # Fresh adapters have an alpha of twice their rank.
            weights[f"llama.{layer}.lora_B.{name}.weight"] = b * (adapter.scale / 2)
    return weights


def mean_weights(parts: Sequence[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
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
            raise ConfigError("the weights are of different geometries: they have no mean")
    if len(parts) == 1:
        return first
    return {
        name: torch.stack([part[name].float() for part in parts]).mean(dim=0).to(value.dtype)
        for name, value in first.items()
    }


def load_weights(trainee: Trainee, weights: dict[str, torch.Tensor]) -> None:
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
