"""Coverage-guided fuzzing of everything that reads a document, from its bytes to chunks.

Needs atheris, in an environment of its own: `pip install atheris`, then, beside an installed mplus,

    python -m benchmarks.reliability.fuzz CORPUS SEEDS -max_total_time=1200 -rss_limit_mb=3000 -max_len=60000

SEEDS are small documents, each behind one byte that chooses the suffix that the file has; inputs that reach
further are kept in CORPUS. A parser may raise DocumentError; all else is a find. PDFs are left out: pdfium
parses them in a process of its own.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys

SUFFIXES = (
    *("", ".txt", ".md", ".html", ".xhtml", ".epub"),
    *(".fb2", ".csv", ".tsv", ".json", ".srt", ".vtt"),
)


class _Characters:
    """A token a character."""

    def encode(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        return list(map(ord, text)), [(index, index + 1) for index in range(len(text))]


def read(data: bytes) -> None:
    """Parse and cut one input; raises what is wrong with that."""
    from mplus_cli.documents import Document, DocumentError, formats, split_chunks

    suffix, data = SUFFIXES[data[0] % len(SUFFIXES)] if data else "", data[1:]
    if b"%PDF" in data[:1024]:
        return
    try:
        parts = formats.parse(data, "input", suffix, None, None)
    except DocumentError:
        return
    document = Document(
        path="input",
        title=parts.title or "input",
        sha256="",
        kind=parts.kind,
        pages=parts.pages,
        page_count=parts.page_count,
        warnings=parts.warnings,
        headings=parts.headings,
    )
    document.text.encode()  # no halves of characters
    chunks = split_chunks(document, _Characters(), 64)
    assert "".join(chunk.text for chunk in chunks) == document.text, "text was lost between chunks"
    assert all(len(chunk.ids) <= 64 for chunk in chunks), "a chunk is too long"


def main() -> None:
    import atheris  # type: ignore[import-not-found]

    with atheris.instrument_imports(include=["mplus_cli.documents"]):
        import mplus_cli.documents

        for module in pkgutil.iter_modules(mplus_cli.documents.__path__):
            importlib.import_module(f"mplus_cli.documents.{module.name}")
    atheris.Setup(sys.argv, read)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
