"""Tensors in files: short-term memory and segments of long-term memory as safetensors.

Written by hand, in one pass: the format is 8 bytes of header length, a JSON header, raw data. So a file's
bytes depend on the tensors alone, its SHA-256 is known once it is written, and tensors from several
places are never concatenated in memory. Read by mapping: nothing is read before it is used. Independent
of the database and of memories' names.

Shapes: as in `models.memory`. L layers, R layers with a retriever, m or n memory tokens.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from models.durable import new_file
from mplus_cli.library.privacy import FILE

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from models.memory import Segment, ShortTermMemory, TokenRows

SEGMENT_FORMAT = "mplus-segment"
STM_FORMAT = "mplus-stm"
LTM_FOLDER = "ltm"
_ALIGNMENT = 64  # alignment of the data in the file, so that mapped tensors start on a cache line
_HEADER_LIMIT = 100_000_000  # bytes; the format's own limit
_CODES = {
    "torch.bfloat16": "BF16",
    "torch.float16": "F16",
    "torch.float32": "F32",
    "torch.float64": "F64",
    "torch.int64": "I64",
    "torch.int8": "I8",
    "torch.uint8": "U8",
}


class DamagedFile(Exception):
    """A file that is not what was written. `file` is its name, `reason` what is wrong."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"{file} {reason}")
        self.file = file
        self.reason = reason


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file that was written."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class TensorParts:
    """Tensors (1 or L, m, ...) that follow each other along m, without concatenating them."""

    parts: Sequence[Tensor]

    @property
    def dtype(self) -> torch.dtype:
        """Of all parts."""
        return self.parts[0].dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole: (L or 1, the sum of m, ...)."""
        layers = max(part.shape[0] for part in self.parts)
        length = sum(part.shape[1] for part in self.parts)
        return (layers, length, *self.parts[0].shape[2:])

    @property
    def bytes(self) -> int:
        """Of the whole, once it is written."""
        return math.prod(self.shape) * self.dtype.itemsize

    def data(self) -> Iterator[memoryview]:
        """The bytes, by layer and part."""
        import torch

        for layer in range(self.shape[0]):
            for part in self.parts:
                row = part[layer if part.shape[0] > 1 else 0].detach().cpu().contiguous()
                yield row.flatten().view(torch.uint8).numpy().data


def header(tensors: Mapping[str, TensorParts], metadata: Mapping[str, str]) -> bytes:
    """The start of a safetensors file: header length and header, padded."""
    entries: dict[str, object] = {"__metadata__": dict(metadata)}
    start = 0
    for name, tensor in tensors.items():
        stop = start + tensor.bytes
        code = _CODES[str(tensor.dtype)]
        entries[name] = {"dtype": code, "shape": tensor.shape, "data_offsets": [start, stop]}
        start = stop
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def read_header(file: BinaryIO) -> bytes:
    """The start of a safetensors file, as `header` made it; ValueError if there is none."""
    start = file.read(8)
    length = int.from_bytes(start, "little")
    text = file.read(length) if len(start) == 8 and length <= _HEADER_LIMIT else b""
    if not text or len(text) != length:
        raise ValueError("no header")
    return start + text


def write(
    path: Path, tensors: Mapping[str, TensorParts], metadata: Mapping[str, str]
) -> WrittenFile:
    """Write a new safetensors file.

    Raises:
        OSError: the disk is full or cannot be written; nothing is left there.
    """
    digest, size = hashlib.sha256(), 0
    with new_file(path, mode=FILE) as file:
        for data in _pieces(tensors, metadata):
            file.write(data)
            digest.update(data)
            size += len(data)
    return WrittenFile(size, digest.hexdigest())


def _pieces(
    tensors: Mapping[str, TensorParts], metadata: Mapping[str, str]
) -> Iterator[bytes | memoryview]:
    yield header(tensors, metadata)
    for tensor in tensors.values():
        yield from tensor.data()


@dataclass(frozen=True, slots=True)
class Mapped:
    """A file that is mapped."""

    tensors: dict[str, Tensor]
    pages: mmap.mmap

    def give_back(self) -> None:
        """Release the pages that are in memory; they are read from the file again when they are used."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self.pages.madvise(mmap.MADV_DONTNEED)


def open_mapped(folder: Path, file: str, size: int | None = None) -> dict[str, Tensor]:
    """The tensors of a file that `map_file` maps; arguments and raises as of that."""
    return map_file(folder, file, size).tensors


def map_file(folder: Path, file: str, size: int | None = None) -> Mapped:
    """Map a safetensors file.

    Args:
        size: the bytes the file must have.

    Raises:
        DamagedFile: it is missing, has another size, or is not a safetensors file.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    types = {code: getattr(torch, name.removeprefix("torch.")) for name, code in _CODES.items()}
    path = folder / file
    try:
        found = path.stat().st_size
        if size is not None and found != size:
            raise DamagedFile(file, f"has {found} bytes instead of {size}")
        with safe_open(path, framework="pt"):
            pass  # it checks the header
        with path.open("rb") as opened:
            start = read_header(opened)
            # Of this process alone: nothing is ever written to it, and a buffer of it may be a tensor.
            pages = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_COPY)
        entries = json.loads(start[8:])
        entries.pop("__metadata__", None)
        if unknown := {entry["dtype"] for entry in entries.values()} - set(types):
            raise DamagedFile(file, f"has tensors of {', '.join(sorted(unknown))}")
        mapped: dict[str, Tensor] = {}
        for name, entry in entries.items():
            first, shape = len(start) + entry["data_offsets"][0], entry["shape"]
            kind, count = types[entry["dtype"]], math.prod(shape)
            flat = torch.frombuffer(pages, dtype=kind, count=count, offset=first) if count else None
            mapped[name] = torch.empty(shape, dtype=kind) if flat is None else flat.view(shape)
        return Mapped(mapped, pages)
    except FileNotFoundError as error:
        raise DamagedFile(file, "is missing") from error
    except (OSError, SafetensorError, RuntimeError) as error:
        raise DamagedFile(file, f"cannot be read ({_one_line(error)})") from error


def join_segments(segments: Sequence[Segment]) -> dict[str, TensorParts]:
    """The tensors of several segments as one."""
    parts = [segment.tokens.tensors() for segment in segments]
    names = ("chunks", *(name for name in parts[0] if name != "chunks"))
    tokens = {name: TensorParts([part[name] for part in parts]) for name in names}
    return {"born": TensorParts([segment.born for segment in segments]), **tokens}


def segment_version(joined: Mapping[str, TensorParts]) -> str:
    """The version of the layout of `join_segments`: 2 where tokens are packed, 1 where exact."""
    return "2" if "key_scales" in joined else "1"


def split_stm(stm: ShortTermMemory) -> dict[str, TensorParts]:
    """The tensors of short-term memory."""
    return {
        "ages": TensorParts([stm.ages]),
        "chunks": TensorParts([stm.tokens.chunks]),
        "keys": TensorParts([stm.tokens.keys]),
        "values": TensorParts([stm.tokens.values]),
        "retriever_keys": TensorParts([stm.tokens.retriever_keys]),
        "tail": TensorParts([stm.tail]),
    }


def make_segment(file: str, tensors: Mapping[str, Tensor]) -> Segment:
    """A segment of tensors named as `join_segments` does; DamagedFile if they are not one."""
    from models.memory import Segment

    _check_shapes(file, tensors, "born")
    return Segment(_make_tokens(file, tensors), tensors["born"])


def _make_tokens(file: str, tensors: Mapping[str, Tensor]) -> TokenRows:
    """Tokens in the form that the tensors' names indicate; whether it is the right form is checked
    elsewhere."""
    from models.memory import Tokens
    from models.packing import Packed

    own = {name: tensor for name, tensor in tensors.items() if name != "born"}
    if not any(name.endswith("_scales") for name in own):
        names = ("keys", "values", "retriever_keys", "chunks")
        if set(own) != set(names):
            raise DamagedFile(file, "has other tensors than long-term memory")
        if own["keys"].shape != own["values"].shape:
            raise DamagedFile(file, "has keys and values of different shapes")
        return Tokens(*(own[name] for name in names))
    try:
        packed = Packed(**own)
    except TypeError as error:
        raise DamagedFile(file, "has not the tensors of packed memory tokens") from error
    if not packed.is_whole:
        raise DamagedFile(file, "has codes and scales that do not fit together")
    return packed


def make_stm(file: str, tensors: Mapping[str, Tensor]) -> ShortTermMemory:
    """Short-term memory of tensors named as `split_stm` does, mapped as they are."""
    from models.memory import ShortTermMemory, Tokens

    _check_shapes(file, tensors, "ages")
    tail = tensors.get("tail")
    if tail is None or tail.dim() != 3 or tail.shape[0] < tensors["keys"].shape[0]:
        raise DamagedFile(file, "holds no tail of short-term memory")
    names = ("keys", "values", "retriever_keys", "chunks")
    if set(tensors) != {*names, "ages", "tail"}:
        raise DamagedFile(file, "has other tensors than short-term memory")
    if tensors["keys"].shape != tensors["values"].shape:
        raise DamagedFile(file, "has keys and values of different shapes")
    return ShortTermMemory(Tokens(*(tensors[name] for name in names)), tensors["ages"], tail)


def _check_shapes(file: str, tensors: Mapping[str, Tensor], times: str) -> None:
    """Check that these are memory tokens: every tensor is there, and all have the same length."""
    dimensions = {"keys": 4, "values": 4, "retriever_keys": 3, "chunks": 2, times: 2}
    for name, dimension in dimensions.items():
        if name not in tensors or tensors[name].dim() != dimension:
            raise DamagedFile(file, f"has no tensor {name} of {dimension} dimensions")
    if len({tensors[name].shape[1] for name in dimensions}) != 1:
        raise DamagedFile(file, "has tensors of different lengths")
    if {str(tensors[name].dtype) for name in ("chunks", times)} != {"torch.int64"}:
        raise DamagedFile(file, "has chunk numbers or times that are not whole numbers")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
