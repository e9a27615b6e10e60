"""The weights of a base from its files: safetensors, mapped into memory, under the names of `models.stack`.

Deals with names and files; pickles are never read.
"""

from __future__ import annotations

import json
import math
import mmap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from safetensors import safe_open
from torch import Tensor

from models.architecture import Architecture
from models.checkpoints.loaded import CheckpointError, checkpoint_files
from models.json_file import read_object
from models.stack import Stack

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


class Weights(Protocol):
    """Tensors by the Hub's names."""

    def __contains__(self, name: object) -> bool: ...

    def __getitem__(self, name: str) -> Tensor:
        """The tensor as stored, on the CPU."""

    def give_back(self, name: str) -> None:
        """Release the memory of a tensor that can be read again from its file."""


class SafetensorsFiles:
    """The tensors of a folder's safetensors files by name, mapped into memory.

    Raises:
        SafetensorError: a file is damaged.
        CheckpointError: there is none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._places: dict[str, _Place] = {}
        for path in checkpoint_files(folder):
            with safe_open(str(path), framework="pt"):
                pass  # it checks the header
            self._places |= _places(path)
        index = folder / "model.safetensors.index.json"
        if index.exists():
            for name in read_object(index).get("weight_map", {}):
                self._place(name)

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __getitem__(self, name: str) -> Tensor:
        place = self._place(name)
        if 0 in place.shape:
            return torch.empty(place.shape, dtype=place.dtype)
        flat = torch.frombuffer(
            place.file, dtype=place.dtype, count=math.prod(place.shape), offset=place.start
        )
        return flat.view(place.shape)

    def shape(self, name: str) -> list[int]:
        return list(self._place(name).shape)

    def give_back(self, name: str) -> None:
        """Release the pages of a tensor; they are read from the file again when it is used."""
        place = self._places.get(name)
        if place is None or not hasattr(mmap, "MADV_DONTNEED"):
            return
        size = math.prod(place.shape) * place.dtype.itemsize
        first = -(-place.start // mmap.PAGESIZE) * mmap.PAGESIZE
        last = (place.start + size) // mmap.PAGESIZE * mmap.PAGESIZE
        if first < last:
            place.file.madvise(mmap.MADV_DONTNEED, first, last - first)

    def give_back_all(self) -> None:
        """Release the pages of all tensors, likewise."""
        for file in {id(place.file): place.file for place in self._places.values()}.values():
            if hasattr(mmap, "MADV_DONTNEED"):
                file.madvise(mmap.MADV_DONTNEED)

    def _place(self, name: str) -> _Place:
        if name not in self._places:
            raise CheckpointError(
                f"{self.folder}: has no tensor {name}: fetch the checkpoint again"
            )
        return self._places[name]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a tensor lies in a file."""

    file: mmap.mmap
    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int


def _places(path: Path) -> dict[str, _Place]:
    """The tensors of a file whose header is known to be right."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        # Of this process alone: nothing is ever written to it, and a buffer of it may be a tensor.
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    header.pop("__metadata__", None)
    found = {}
    for name, entry in header.items():
        if entry["dtype"] in _DTYPES:
            start = 8 + length + entry["data_offsets"][0]
            shape = tuple(entry["shape"])
            found[name] = _Place(mapped, _DTYPES[entry["dtype"]], shape, start)
    return found


def fill_stack(
    architecture: Architecture,
    weights: Weights,
    source: Path,
    *,
    device: torch.device | str,
    dtype: torch.dtype,
    called: Callable[[str], str] = str,
) -> Stack:
    """A stack with its weights, frozen; what is of the type asked for already is not copied.

    Args:
        source: what the weights are from, for errors.
        called: what a weight is called there.

    Raises:
        CheckpointError: a tensor is missing, or has another shape.
    """
    stack, is_mapped = Stack(architecture), False
    for name, shape in list(stack.wanted()):
        weight = _found(architecture, weights, called, name)
        if weight is None:
            raise CheckpointError(f"{source}: has no tensor {name}: fetch the model again")
        if tuple(weight.shape) != shape:
            raise CheckpointError(f"{source}: {name} has the wrong shape {tuple(weight.shape)}")
        if not weight.is_floating_point():
            raise CheckpointError(
                f"{source}: {name} holds whole numbers, whose scale is not read: take the model in bfloat16"
            )
        placed = weight.to(device, dtype)
        stack.fill(name, placed)
        if placed is not weight:
            weights.give_back(called(name))
        else:
            is_mapped = True
    if is_mapped:
        stack.give_back = lambda name: weights.give_back(called(name))
    return stack.eval()


def _found(
    architecture: Architecture, weights: Weights, called: Callable[[str], str], name: str
) -> Tensor | None:
    """A tensor by its name, or by that of the one it is a part of."""
    if called(name) in weights:
        return weights[called(name)]
    module, _, leaf = name.rpartition(".")
    owner, _, part = module.rpartition(".")
    queries = architecture.heads * architecture.head_size
    keys = architecture.kv_heads * architecture.head_size
    sizes: Mapping[str, Mapping[str, int]] = {
        "qkv_proj": {"q_proj": queries, "k_proj": keys, "v_proj": keys},
        "gate_up_proj": {"gate_proj": architecture.inner, "up_proj": architecture.inner},
    }
    for fused, parts in sizes.items():
        whole = called(f"{owner}.{fused}.{leaf}")
        if part in parts and whole in weights:
            tensor = weights[whole]
            if len(tensor) != sum(parts.values()):
                return tensor  # which has the wrong shape
            pieces: tuple[Tensor, ...] = tensor.split(list(parts.values()))
            return dict(zip(parts, pieces, strict=True))[part]
    return None
