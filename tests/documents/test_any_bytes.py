"""Whatever the bytes of a document are, they become chunks that lose nothing, or one error; a longer,
coverage-guided run is `benchmarks/reliability/fuzz.py`."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mplus_cli.documents import Document, DocumentError, formats, split_chunks

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "documents"
SEEDS = [
    path.read_bytes()
    for path in sorted(FIXTURES.iterdir())
    if path.suffix != ".pdf" and path.stat().st_size < 50_000
]
SUFFIXES = ["", ".txt", ".md", ".html", ".epub", ".fb2", ".csv", ".tsv", ".json", ".srt", ".vtt"]
PIECES = [
    b"<p>",
    b"</p>",
    b"<![CDATA[",
    b"<!--",
    b"&#0;",
    b"&#xd800;",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
]
PIECES += [
    b"\x00",
    b"\x1b[2J",
    b"\xed\xa0\x80",
    b"|---|\n",
    b"# ",
    b"```",
    b'{"a":',
    b"00:00:01,000 --> ",
]


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """Bytes of any kind, or a document that is cut, doubled and mixed with what parsers stumble over."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=300))
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        start, length = draw(st.integers(0, len(data))), draw(st.integers(0, 40))
        put = draw(st.sampled_from(PIECES) | st.binary(max_size=8))
        data[start : start + length] = put * draw(st.integers(1, 3))
    return bytes(data)


class Characters:
    """A token a character."""

    def encode(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        return list(map(ord, text)), [(index, index + 1) for index in range(len(text))]


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=documents())
def test_bytes_become_chunks_or_an_error(suffix: str, data: bytes) -> None:
    if b"%PDF" in data[:1100]:
        return  # a process of its own reads it
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
    assert "".join(chunk.text for chunk in chunks) == document.text
    assert all(0 < len(chunk.ids) <= 64 for chunk in chunks)
