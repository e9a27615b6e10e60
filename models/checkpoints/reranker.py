"""The file of a checkpoint that ranks chunks by reading them: `reranker.safetensors`, `weights` (M, A, S) and
`places` (M, A, 2).

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
_LAST = (len(STATISTICS), 2)
"""The last dimensions of its tensors."""


def read_reranker(folder: Path, model: MPlusModel) -> Reranker | None:
    """That of a checkpoint; None if it has none.

    Raises:
        CheckpointError: it is damaged, or does not fit the model.
    """
    path = folder / RERANKER
    if not path.exists():
        return None
    with explained(path):
        held = load_file(path)
        parts = [held[name].float() for name in ("weights", "places")]
    fits = all(
        part.shape == (*_heads(model), last) for part, last in zip(parts, _LAST, strict=True)
    )
    if not fits or not all(bool(part.isfinite().all()) for part in parts):
        raise CheckpointError(f"{path}: does not fit the model: fetch it again, or delete it")
    return Reranker(*parts)


def save_reranker(folder: Path, reranker: Reranker) -> None:
    """Put a reranker into a checkpoint, in place of the one that it may have."""
    parts = {"weights": reranker.weights, "places": reranker.places}
    held = {
        name: part.detach().to("cpu", torch.float32).contiguous() for name, part in parts.items()
    }
    with new_file(folder / RERANKER) as file:
        file.write(save(held, metadata={"format": "pt"}))


def _heads(model: MPlusModel) -> tuple[int, int]:
    return len(model.memory_layers), model.generate.stack.architecture.heads
