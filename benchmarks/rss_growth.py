"""RAM: growth of anonymous RSS per 100,000 tokens read into a stored memory."""

from __future__ import annotations

import gc
import tempfile
from pathlib import Path

from benchmarks.common import Figure, parser, report, session, story_ids
from models.update import read_chunk
from mplus_cli.ingest.pipeline import COMMIT_CHUNKS
from mplus_cli.library import Library, NewChunk, NewDocument
from mplus_cli.runtime import allocator


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--tokens", type=int, default=100_000, help="of text to read")
    given = options.parse_args()
    opened = session(given)
    model = opened.model
    chunk = model.config.chunk_tokens
    warm = 2 * COMMIT_CHUNKS
    count = warm + max(given.tokens // chunk // COMMIT_CHUNKS, 1) * COMMIT_CHUNKS
    ids = story_ids(opened, chunk)
    document = NewDocument(
        path="/book.txt", title="Book", sha256="0" * 64, kind="text", pages=None,
        tokens=count * chunk, chunks=count, digest="0" * 64,
    )  # fmt: skip
    held = 0
    with tempfile.TemporaryDirectory() as folder:
        stored = Library(Path(folder)).create("book", opened.identity)
        memory = model.empty_memory()
        with stored.writer() as writer:
            number = writer.begin_document(document)
            for done in range(1, count + 1):
                memory = read_chunk(model, memory, ids)
                if done % COMMIT_CHUNKS == 0:
                    rows = [NewChunk("text", chunk, None, None)] * COMMIT_CHUNKS
                    memory = writer.commit(memory, number, rows)
                    allocator.give_back_freed_memory()  # as `mplus_cli.ingest.pipeline` does
                if done == warm:
                    held = anonymous_bytes()
    growth = (anonymous_bytes() - held) / ((count - warm) * chunk) * 100_000
    figure = Figure(
        "growth of anonymous RSS per 100,000 tokens", growth / 1e6, "MB", "none",
        None, None, "under 5 MB",
    )  # fmt: skip
    report(figure, opened, tokens=(count - warm) * chunk)


def anonymous_bytes() -> int:
    """Anonymous memory of this process that is in RAM (Linux)."""
    gc.collect()
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    line = next(line for line in status if line.startswith("RssAnon:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
