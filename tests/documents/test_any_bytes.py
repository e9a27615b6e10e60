"""Whatever the bytes of a document are, they become chunks that lose nothing, or one error: the check of
`benchmarks/reliability/fuzz.py`, which is guided by coverage and runs for hours."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.reliability.fuzz import SUFFIXES, check, kept, read, seeds

SEEDS = [*seeds()]
PIECES = [
    *(b"<p>", b"</p>", b"<![CDATA[", b"<!--", b"&#0;", b"&#xd800;", b"\xff\xfe", b"\xef\xbb\xbf"),
    *(b"\x00", b"\x1b[2J", b"\xed\xa0\x80", b"|---|\n", b"# ", b"```", b'{"a":'),
    *(b"00:00:01,000 --> ", b'w:val="-1"', b"</w:p>", b'text:outline-level="999"'),
]


@st.composite
def documents(draw: st.DrawFn, suffix: str) -> bytes:
    """Bytes of any kind, or a document that is cut, doubled and mixed with what parsers stumble over."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=300))
    own = [data for one, data in SEEDS if one == suffix]
    data = bytearray(draw(st.sampled_from(own or [data for _, data in SEEDS])))
    for _ in range(draw(st.integers(1, 4))):
        start, length = draw(st.integers(0, len(data))), draw(st.integers(0, 40))
        put = draw(st.sampled_from(PIECES) | st.binary(max_size=8))
        data[start : start + length] = put * draw(st.integers(1, 3))
    return bytes(data)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_bytes_become_chunks_or_an_error(suffix: str) -> None:
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(data=documents(suffix))
    def read_document(data: bytes) -> None:
        check(suffix, data)

    read_document()


@pytest.mark.parametrize(("suffix", "data"), SEEDS)
def test_what_fuzzing_begins_with_is_read(suffix: str, data: bytes) -> None:
    check(suffix, data)


def test_what_fuzzing_kept_is_read() -> None:
    inputs = [*kept()]
    assert len(inputs) > 300
    for data in inputs:
        read(data)


_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


@pytest.mark.parametrize(
    ("suffix", "part"),
    [
        *((".docx", f"<w:p {_W}><w:{of}><{name}>a</{name}></w:{of}></w:p>")
          for of in ("pPr", "numPr") for name in ("p", "r", "tbl", "tr", "tc", "footnote", "txbxContent")),
        *((".docx", f"<w:{name} {_W}><w:del/></w:{name}>") for name in ("rPr", "trPr", "p", "r")),
        *((".odt", f"<{name}><p>a</p></{name}>")
          for name in ("note-body", "text-box", "note", "list", "list-item", "table", "table-row")),
        *((".pptx", f"<{name}><p>a</p></{name}>") for name in ("sp", "p", "tc", "tr", "tbl")),
    ],
)  # fmt: skip
def test_elements_where_none_belong(suffix: str, part: str) -> None:
    check(suffix, part.encode())
