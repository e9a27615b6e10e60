"""The file of a checkpoint that ranks chunks by reading them: `reranker.safetensors`, `weights` (M, A, S).

It serves asking alone, so it is not counted in the fingerprint.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save

from models.checkpoints.loaded import CheckpointError, explained
from models.durable import new_file
from models.network import MPlusModel
from models.reranker import STATISTICS, Reranker

RERANKER = "reranker.safetensors"


def read_reranker(folder: Path, model: MPlusModel) -> Reranker | None:
    """That of a checkpoint; None if it has none.

    Raises:
        CheckpointError: it is damaged, or does not fit the model.
    """
    path = folder / RERANKER
    if not path.exists():
        return None
    with explained(path):
        weights = load_file(path)["weights"].float()
    if weights.shape != _shape(model) or not bool(weights.isfinite().all()):
        raise CheckpointError(f"{path}: does not fit the model: fetch it again, or delete it")
    return Reranker(weights)


def save_reranker(folder: Path, reranker: Reranker) -> None:
    """Put a reranker into a checkpoint, in place of the one that it may have."""
    held = {"weights": reranker.weights.detach().to("cpu", torch.float32).contiguous()}
    with new_file(folder / RERANKER) as file:
        file.write(save(held, metadata={"format": "pt"}))


def _shape(model: MPlusModel) -> tuple[int, int, int]:
    heads = model.generate.stack.architecture.heads
    return len(model.memory_layers), heads, len(STATISTICS)
