"""Memories of any size without reading: random retriever keys, empty keys and values.

In memory, keys and values are one row seen again and again; on disk, files with holes. So what is
measured is the scan, the gathering of a few chunks and the opening, not the disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from models.memory import Memory, Segment, TokenRows, Tokens
from models.network import MPlusModel
from models.packing import pack
from models.update import read_chunk
from mplus_cli.ingest.pipeline import COMMIT_CHUNKS
from mplus_cli.library import Library, NewChunk, NewDocument, SegmentRow, StoredMemory, tensors
from mplus_cli.library.compaction import to_merge
from mplus_cli.library.files import segment_file, stm_file, write_stm
from mplus_cli.library.tensors import TensorParts
from mplus_cli.runtime.session import Session


def grown(model: MPlusModel, text_tokens: int, ids: list[int]) -> Memory:
    """A memory whose short-term part read `ids`, behind long-term memory of so many text tokens."""
    config = model.config
    chunks = text_tokens // config.chunk_tokens
    segments = tuple(make_segments(model, chunks))
    memory = Memory(
        model.empty_memory().stm, segments, clock=chunks * config.new_tokens, chunks=chunks
    )
    for start in range(0, len(ids), config.chunk_tokens):
        memory = read_chunk(model, memory, ids[start : start + config.chunk_tokens])
    return memory


def make_segments(model: MPlusModel, chunks: int) -> Iterator[Segment]:
    """Segments as the library leaves them of a long document."""
    count = model.config.new_tokens
    first = 0
    for length in _lengths(chunks, count):
        numbers = torch.arange(first, first + length)
        born = torch.arange(first * count, (first + length) * count)[None]
        yield Segment(_tokens(model, numbers.repeat_interleave(count)[None]), born)
        first += length


def _lengths(chunks: int, count: int) -> list[int]:
    """Chunks in each file after the commits of a document, `count` memory tokens each."""
    files: list[int] = []
    for first in range(0, chunks, COMMIT_CHUNKS):
        new = min(COMMIT_CHUNKS, chunks - first)
        left = len(files) - to_merge([count * file for file in files], count * new)
        files[left:] = [sum(files[left:]) + new]
    return files


def _tokens(model: MPlusModel, chunks: torch.Tensor) -> TokenRows:
    decoder, retriever = model.generate, model.retriever
    generator = torch.Generator().manual_seed(int(chunks[0, 0]))
    shape = (len(retriever.layers), chunks.shape[1], retriever.width)
    keys = torch.nn.functional.normalize(torch.randn(shape, generator=generator), dim=-1)
    row = torch.zeros(
        len(model.memory_layers), 1, decoder.kv_heads, decoder.head_size, dtype=model.dtype
    )
    one = pack(
        Tokens(row, row, keys[:, :1].to(model.dtype), chunks[:, :1]), model.config.ltm_format
    )
    found = pack(Tokens(row[:0], row[:0], keys.to(model.dtype), chunks), model.config.ltm_format)
    wide = one.each(lambda rows: rows.expand(rows.shape[0], chunks.shape[1], *rows.shape[2:]))
    own = {name: rows for name, rows in found.tensors().items() if "retriever" in name}
    return type(one)(**(wide.tensors() | own | {"chunks": chunks}))


def stored(session: Session, home: Path, text_tokens: int, ids: list[int]) -> StoredMemory:
    """A memory `big` in the library under `home`, its long-term files with holes."""
    model, config = session.model, session.model.config
    memory = Library(home).create("big", session.identity)
    whole = grown(model, text_tokens, ids)
    count = whole.chunks
    document = NewDocument(
        path="/big.txt", title="Big", sha256="0" * 64, kind="text", pages=None,
        tokens=count * config.chunk_tokens, chunks=count, digest="0" * 64,
    )  # fmt: skip
    text = "So it was written, and so it was read. " * 40
    rows = [NewChunk(text, config.chunk_tokens, None, None)] * count
    with memory.writer() as writer:
        (memory.folder / "ltm").mkdir(exist_ok=True)
        segments = [
            _write_hollow(memory.folder, number, segment)
            for number, segment in enumerate(whole.segments, start=1)
        ]
        # Past `commit`, which would write the holes out.
        stm = write_stm(memory.folder, 1, whole.stm)
        number = writer.begin_document(document)
        writer._keep(whole, 1, lambda: (segments, stm_file(1), stm), number, rows)
    return memory


def _write_hollow(folder: Path, number: int, segment: Segment) -> SegmentRow:
    parts = tensors.join_segments([segment])
    order = sorted(parts, key=lambda name: name in ("keys", "values"))
    joined: dict[str, TensorParts] = {name: parts[name] for name in order}
    start = tensors.header(joined, {"format": tensors.SEGMENT_FORMAT, "version": "1"})
    size = len(start) + sum(part.bytes for part in joined.values())
    path = folder / segment_file(number)
    with open(path, "wb") as file:
        file.write(start)
        for name, part in joined.items():
            if name not in ("keys", "values"):
                for data in part.data():
                    file.write(data)
        file.truncate(size)
    return SegmentRow(number, segment_file(number), len(segment), 0, size, "0" * 64)
