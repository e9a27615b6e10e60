"""Coverage-guided fuzzing of everything that reads a document, from its bytes to chunks.

Needs atheris, in an environment of its own that sees an installed mplus: `pip install atheris`, then

    python -m benchmarks.reliability.fuzz CORPUS -max_total_time=3600 -rss_limit_mb=3000 -max_len=20000

The first byte of an input chooses the suffix that its file has. What the tests read is put into CORPUS to
begin with, earlier runs' inputs too, and inputs that reach further are kept there. For a format that is a
zip, bytes that are none become the main part of one. A parser may raise DocumentError; all else is a find.
PDFs are left out: pdfium parses them in a process of its own.
"""

from __future__ import annotations

import importlib
import io
import pkgutil
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

FIXTURES = Path(__file__).resolve().parents[2] / "tests" / "fixtures"
KEPT = FIXTURES / "fuzz_corpus.zip"
"""The inputs that earlier runs kept; tests read them all."""
SUFFIXES = (
    *("", ".txt", ".md", ".html", ".xhtml", ".epub"),
    *(".fb2", ".csv", ".tsv", ".json", ".srt", ".vtt"),
    *(".docx", ".odt", ".pptx", ".rtf", ".tex"),
)
_RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_ODF = "urn:oasis:names:tc:opendocument:xmlns"
_RELATIONS = (
    '<Relationships><Relationship Id="r1" Type="{}/{}" Target="{}"/></Relationships>'.format
)
_OFFICE = _RELATIONS(_RELATION, "officeDocument", "ppt/presentation.xml")
# The main part of a package, and what stands beside it.
_PACKAGES: dict[str, tuple[str, dict[str, str]]] = {
    ".epub": (
        "one.xhtml",
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<container><rootfiles><rootfile full-path="book.opf" '
            'media-type="application/oebps-package+xml"/></rootfiles></container>',
            "book.opf": '<package><manifest><item id="one" href="one.xhtml" '
            'media-type="application/xhtml+xml"/></manifest><spine><itemref idref="one"/></spine></package>',
        },
    ),
    ".docx": (
        "word/document.xml",
        {"_rels/.rels": _RELATIONS(_RELATION, "officeDocument", "word/document.xml")},
    ),
    ".odt": ("content.xml", {"mimetype": "application/vnd.oasis.opendocument.text"}),
    ".pptx": (
        "ppt/slides/one.xml",
        {
            "_rels/.rels": _OFFICE,
            "ppt/presentation.xml": '<p:presentation xmlns:p="p" xmlns:r="r"><p:sldIdLst>'
            '<p:sldId r:id="r1"/></p:sldIdLst></p:presentation>',
            "ppt/_rels/presentation.xml.rels": _RELATIONS(_RELATION, "slide", "slides/one.xml"),
        },
    ),
}
_PARTS = {
    ".docx": f'<w:document xmlns:w="{_WORD}"><w:body><w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr>'
    "<w:r><w:t>One</w:t></w:r></w:p><w:tbl><w:tr><w:tc><w:p><w:r><w:t>a</w:t></w:r></w:p></w:tc></w:tr>"
    '</w:tbl><w:p><w:ins><w:r><w:tab/><w:br w:type="page"/></w:r></w:ins></w:p></w:body></w:document>',
    ".odt": f'<office:document-content xmlns:office="{_ODF}:office:1.0" xmlns:text="{_ODF}:text:1.0" '
    f'xmlns:table="{_ODF}:table:1.0"><office:body><office:text><text:h text:outline-level="1">One</text:h>'
    '<text:list><text:list-item><text:p>a<text:s text:c="3"/></text:p></text:list-item></text:list>'
    "<table:table><table:table-row><table:table-cell/></table:table-row></table:table></office:text>"
    "</office:body></office:document-content>",
    ".pptx": '<p:sld xmlns:p="p" xmlns:a="a"><p:cSld><p:spTree><p:sp><p:nvSpPr><p:nvPr><p:ph type="title"/>'
    "</p:nvPr></p:nvSpPr><p:txBody><a:p><a:r><a:t>One</a:t></a:r></a:p></p:txBody></p:sp></p:spTree>"
    "</p:cSld></p:sld>",
    ".epub": "<html><body><h1>One</h1><p>a<br/><a href='#n'>1</a></p></body></html>",
}


class Characters:
    """A token a character."""

    def encode(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        return list(map(ord, text)), [(index, index + 1) for index in range(len(text))]


def seeds() -> Iterator[tuple[str, bytes]]:
    """Small documents to begin with: a suffix, and the bytes of a file or of a package's main part."""
    for path in sorted([*(FIXTURES / "documents").iterdir(), *(FIXTURES / "web").iterdir()]):
        if path.suffix in SUFFIXES and path.stat().st_size < 50_000:
            yield path.suffix, path.read_bytes()
    for suffix, part in _PARTS.items():
        yield suffix, part.encode()


def check(suffix: str, data: bytes) -> None:
    """Parse and cut a document; AssertionError, or whatever a parser raises, where that is wrong."""
    from mplus_cli.documents import Document, DocumentError, formats, split_chunks

    data = _packed(suffix, data)
    if b"%PDF" in data[:1100]:
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
    chunks = split_chunks(document, Characters(), 64)
    assert "".join(chunk.text for chunk in chunks) == document.text, "text was lost between chunks"
    assert all(0 < len(chunk.ids) <= 64 for chunk in chunks), "a chunk is empty or too long"


def _packed(suffix: str, data: bytes) -> bytes:
    if suffix not in _PACKAGES or data.startswith(b"PK"):
        return data
    main, others = _PACKAGES[suffix]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as package:
        for name, content in {**others, main: data}.items():
            package.writestr(name, content)
    return buffer.getvalue()


def kept() -> Iterator[bytes]:
    """The inputs of earlier runs, to be read as those of this one."""
    with zipfile.ZipFile(KEPT) as archive:
        yield from map(archive.read, archive.namelist())


def read(data: bytes) -> None:
    """Check an input of the fuzzer."""
    if data:
        check(SUFFIXES[data[0] % len(SUFFIXES)], data[1:])


def main() -> None:
    import atheris  # type: ignore[import-not-found]

    with atheris.instrument_imports(include=["mplus_cli.documents"]):
        import mplus_cli.documents

        for module in pkgutil.iter_modules(mplus_cli.documents.__path__):
            importlib.import_module(f"mplus_cli.documents.{module.name}")
    corpus = Path(sys.argv[1])
    corpus.mkdir(parents=True, exist_ok=True)
    for number, (suffix, data) in enumerate(seeds()):
        (corpus / f"seed-{number}").write_bytes(bytes([SUFFIXES.index(suffix)]) + data)
    for number, data in enumerate(kept()):
        (corpus / f"kept-{number}").write_bytes(data)
    atheris.Setup(sys.argv, read)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
