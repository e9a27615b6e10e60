"""The tensors of a published checkpoint by name.

Shapes: L layers, m long-term memory tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from models.checkpoints.weights import SafetensorsFiles


class Tensors(SafetensorsFiles):
    """The tensors of a folder's files by name, of the type and on the device asked for."""

    def __init__(self, folder: Path, device: torch.device | str, dtype: torch.dtype) -> None:
        super().__init__(folder)
        self.where = device, dtype

    def __getitem__(self, name: str) -> Tensor:
        return self.exact(name).to(*self.where)

    def exact(self, name: str) -> Tensor:
        """The tensor as stored, on the CPU."""
        return super().__getitem__(name)

    def newest(self, name: str, layers: int, read: Callable[[str], Tensor]) -> Tensor:
        """What `read` gives of every long-term token (L, m, ...): where layers forgot unevenly, of the
        newest that are common to all."""
        count = min(self.shape(f"ltm.{layer}")[0] for layer in range(layers))
        rows = [read(f"{name}.{layer}") for layer in range(layers)]
        return torch.stack([row[len(row) - count :] for row in rows])


class BaseWeights:
    """The base's tensors under their own names: beside adapters they are called `base_layer`."""

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors

    def __contains__(self, name: object) -> bool:
        return self._name(str(name)) in self._tensors

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[self._name(name)]

    def give_back(self, name: str) -> None:
        self._tensors.give_back(self._name(name))

    def _name(self, name: str) -> str:
        module, _, leaf = name.rpartition(".")
        adapted = f"{module}.base_layer.{leaf}"
        return adapted if adapted in self._tensors else name
