"""A hundred thousand elements in each other, and entities that grow a billion times, in every format that
has them: the text around them is read, or one line says that it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.reliability import fuzz
from mplus_cli.documents import DocumentError, Source, read_document

LEVELS = 100_000
_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_ODT, _PPTX = fuzz._PARTS[".odt"], fuzz._PARTS[".pptx"]
_HTML = f"<html><body><p>start</p>{'<div>' * LEVELS}deep{'</div>' * LEVELS}</body></html>"
DEEP = {
    ".html": (_HTML, "start\n\ndeep"),
    ".epub": (_HTML, "start\n\ndeep"),
    ".fb2": (
        f"<FictionBook><body>{'<section>' * LEVELS}<p>deep</p></body></FictionBook>",
        "deep",
    ),
    ".docx": (
        f'<w:document xmlns:w="{_W}"><w:body>{"<w:tbl><w:tr><w:tc>" * LEVELS}'
        f"<w:p><w:r><w:t>deep</w:t></w:r></w:p>{'</w:tc></w:tr></w:tbl>' * LEVELS}</w:body></w:document>",
        "deep",
    ),
    ".odt": (_ODT.replace("<text:list>", "<text:list><text:list-item>" * LEVELS), "One"),
    ".pptx": (_PPTX.replace("<p:spTree>", "<p:spTree>" + "<p:grpSp>" * LEVELS), "One"),
    ".json": ('{"a":' * LEVELS, '{"a":{"a":'),
    ".md": ("> " * LEVELS + "deep\n" + "*" * LEVELS + "[x" * LEVELS, "deep"),
    ".srt": (f"1\n00:00:01,000 --> 00:00:02,000\n{'<i>' * LEVELS}deep\n", "deep"),
}
_ENTITIES = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(9))
GROWING = {
    ".html": "<html><body><p>One</p></body></html>",
    ".xhtml": "<html xmlns='http://www.w3.org/1999/xhtml'><body><p>One</p></body></html>",
    ".epub": "<html><body><p>One</p></body></html>",
    ".fb2": "<FictionBook><body><section><p>One</p></section></body></FictionBook>",
    **{suffix: fuzz._PARTS[suffix] for suffix in (".docx", ".odt", ".pptx")},
}


def said(folder: Path, suffix: str, data: str) -> str:
    """The text, or the line that says why there is none."""
    path = folder / f"book{suffix}"
    path.write_bytes(fuzz._packed(suffix, data.encode()))
    try:
        return read_document(Source(path, path.name)).text
    except DocumentError as error:
        return str(error)


@pytest.mark.parametrize("suffix", DEEP)
def test_a_hundred_thousand_levels(suffix: str, tmp_path: Path) -> None:
    data, text = DEEP[suffix]
    assert text in said(tmp_path, suffix, data)


@pytest.mark.parametrize("suffix", GROWING)
def test_entities_that_grow(suffix: str, tmp_path: Path) -> None:
    data = GROWING[suffix].replace("One", "start &e9; end")
    text = said(tmp_path, suffix, f'<!DOCTYPE x [<!ENTITY e0 "boom">{_ENTITIES}]>{data}')
    assert "boomboom" not in text and len(text) < 200
