"""HTML: what is text, what is a paragraph, and in which encoding."""

from pathlib import Path

import pytest

from mplus_cli.documents import Document, DocumentError, Source, read_document


def read(tmp_path: Path, data: bytes | str, name: str = "page.html") -> Document:
    path = tmp_path / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return read_document(Source(path, str(path)))


def body(tmp_path: Path, markup: str) -> str:
    return read(tmp_path, f"<html><body>{markup}</body></html>").text


def test_title_text_and_what_is_dropped(tmp_path: Path) -> None:
    document = read(
        tmp_path,
        "<!DOCTYPE html><html><head><title> A\n tale </title><style>p {}</style></head><body>"
        "<nav>Menu</nav><script>alert(1)</script><h1>Head</h1><p>One <b>t</b>wo &amp; "
        "&eacute;&nbsp;x</p><p hidden>no</p><p style='display: none'>no</p><!-- no --></body>",
    )
    assert (document.kind, document.title, document.page_count) == ("html", "A tale", None)
    assert document.text == "Head\n\nOne two & é x"


def test_blocks(tmp_path: Path) -> None:
    made = body(tmp_path, "a<div>b<p>c\n  d</p>e</div><ul><li>f</li><li>g</li></ul>h<br>i")
    assert made == "a\n\nb\n\nc d\n\ne\n\n- f\n- g\n\nh\ni"


def test_tables_and_preformatted(tmp_path: Path) -> None:
    table = "<table><tr><th>k</th><th>v</th></tr><tr><td>1</td><td>2</td></tr></table>"
    assert body(tmp_path, f"{table}<pre>x\n   y</pre>") == "k | v\n1 | 2\n\nx\n   y"


def test_ruby_readings_are_dropped(tmp_path: Path) -> None:
    assert body(tmp_path, "<ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp></ruby>字") == "漢字"


def test_declared_charset(tmp_path: Path) -> None:
    markup = '<html><meta charset="koi8-r"><p>привет</p></html>'
    assert read(tmp_path, markup.encode("koi8-r")).text == "привет"


def test_a_wrong_charset_does_not_matter(tmp_path: Path) -> None:
    for name in ("utf-16", "no-such", "ascii"):
        markup = f'<html><meta charset="{name}"><p>Größe</p></html>'
        assert read(tmp_path, markup).text == "Größe"


def test_self_closing_elements_of_xhtml(tmp_path: Path) -> None:
    made = read(
        tmp_path, "<?xml version='1.0'?><html><head><title/><script src='x'/></head><p>t</p></html>"
    )
    assert (made.text, made.title) == ("t", "Page")


@pytest.mark.parametrize(
    "start", ["<html>", "<!doctype HTML><html>", "\n<!-- x --><html lang='en'>"]
)
def test_html_by_another_name(tmp_path: Path, start: str) -> None:
    document = read(tmp_path, f"{start}<p>text</p></html>", "page.txt")
    assert (document.kind, document.text) == ("html", "text")


def test_cdata_is_text(tmp_path: Path) -> None:
    assert body(tmp_path, "<p>a <![CDATA[1 < 2 & 3]]> b</p>") == "a 1 < 2 & 3 b"


def test_deep_nesting(tmp_path: Path) -> None:
    assert body(tmp_path, "<p>start</p>" + "<div><b>" * 20_000 + "x").startswith("start")


def test_no_text(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="has no text"):
        body(tmp_path, "<img src='x.png'>")


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("lamp<sup>1</sup> burned", "lamp burned"),
        ("silver.<sup>[12]</sup> It", "silver. It"),
        ("lamp<a href='#n'><sup>a</sup></a> x", "lamp x"),
        ("lamp<sup><a href='b.xhtml#n'>*</a></sup> x", "lamp x"),
        ("lamp<a epub:type='noteref' href='#n'>iv</a> x", "lamp x"),
        ("lamp<a role='doc-noteref' href='#n'>[2]</a> x", "lamp x"),
        ("x<sup>2</sup> and 10<sup>3</sup> km<sup>2</sup>", "x2 and 103 km2"),
        ("hono<sup>d</sup> and 4<sup>th</sup>", "honod and 4th"),
        ("See page <a href='#p12'>12</a>", "See page 12"),
        ("<sup><a href='#r'>1</a></sup> The note", "1 The note"),
    ],
)
def test_marks_of_notes(tmp_path: Path, markup: str, text: str) -> None:
    """They are not part of the word; exponents and links are text."""
    assert body(tmp_path, f"<p>{markup}</p>") == text
