"""Ingest of a document, wall time end to end, against the update passes over its chunks alone."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.common import TEXT, Figure, parser, report, session
from models.update import read_chunk
from mplus_cli.documents import find_sources, read_document, split_chunks
from mplus_cli.ingest.job import Report, ingest, plan
from mplus_cli.library import Library


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--tokens", type=int, default=120_000, help="of the document, about")
    given = options.parse_args()
    opened = session(given)
    model = opened.model
    story = read_document(find_sources([str(TEXT)])[0])
    text = "\n\n".join(page.text for page in story.pages)
    each = len(opened.plain_tokenizer.encode(text)[0])
    with tempfile.TemporaryDirectory() as folder:
        book = Path(folder) / "book.txt"
        book.write_text("\n\n".join([text] * max(given.tokens // each, 1)), encoding="utf-8")
        started = time.perf_counter()
        planned = plan([str(book)], progress=lambda *_: None)
        stored = Library(Path(folder)).open_or_create("book", opened.identity)
        done = Report("book")
        for _ in ingest(opened, stored, planned.given, done):
            pass
        mine = time.perf_counter() - started
        document = read_document(find_sources([str(book)])[0])
        chunks = split_chunks(document, opened.plain_tokenizer, model.config.chunk_tokens)
        memory = model.empty_memory()
        started = time.perf_counter()
        for chunk in chunks:
            memory = read_chunk(model, memory, chunk.ids)
        theirs = time.perf_counter() - started
    figure = Figure(
        "ingest end to end", mine, "s", "the update passes alone", theirs, mine / theirs,
        "1.10 times it or less",
    )  # fmt: skip
    report(figure, opened, tokens=done.tokens)


if __name__ == "__main__":
    main()
