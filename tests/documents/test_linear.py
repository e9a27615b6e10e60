"""The time to clean a text grows with its length, not with its square, whatever the text is."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mplus_cli.documents import Source, read_document
from mplus_cli.documents.fictionbook import authorship, to_html
from mplus_cli.documents.flow_pdf import flow_pdf
from mplus_cli.documents.formats import sniff
from mplus_cli.documents.headings import markdown_headings, plain_headings
from mplus_cli.documents.markdown import for_readers, front_values
from mplus_cli.documents.markup import parse_markup
from mplus_cli.documents.pdf_mending import mended
from mplus_cli.documents.placed import LaidOutPage, PlacedLine
from mplus_cli.documents.plain import header_names, read_plain
from mplus_cli.documents.running_heads import running_lines
from mplus_cli.documents.subtitles import subtitle_text
from mplus_cli.documents.tables import delimited_text, json_text
from mplus_cli.documents.title_page import find_title_page

SHORT, LONG = 1 << 14, 1 << 16
"""Characters: four times as long may take four times as long, and sixteen times if it is a square."""

PLAIN = [
    *("\n", "a\n", "ab cd\n", "\r", "\r\n\n", "\f", "\u2028", " ", "\t", "a     ", "a\t", "a   b"),
    *("\u0301\u0323", "a\u0301\u0323", "\u0f71\u0f72", "\u0344", "\u1100\u1161\u11a8", "\ufb03"),
    *("\u200d", "\xad", "\ufeff", "-", "—", "well-\nknown ", "a-", "a'", "漢", "漢。", "…", "."),
    *(
        "...",
        ". . ",
        ".)",
        ".)\n",
        "(",
        "_",
        " _a",
        "#",
        "# ",
        "[^a]:",
        "1. ",
        "1. a\n",
        "- a\n",
        "Ab\n",
    ),
    *("  a\n    b\n", "```\n", "~~~", "|", "*** ", "***", "Title: ", "<!---->", "<!--", "1", "m"),
    "*** START OF THE PROJECT GUTENBERG EBOOK ",
    "*** START OF THE PROJECT GUTENBERG EBOOK ***\n",
]
MARKUP = [
    *(
        "<p>",
        "</p>",
        "<b>",
        "</b>",
        "<b><p>",
        "<a><table>",
        "<table><tr><td>",
        "<ul><li>",
        "<form>",
    ),
    *("<p hidden>", "<p style='display : none'>", "<p a=b ", "<p ", "<p /", "<", "<br>", "<pre>"),
    *("<title>", "<title/>", "<script>", "<![CDATA[", "]]>", "<![CDATA[]]>", "<!--", "-->"),
    *("<!-- -->", "&amp;", "&", "|", "\n", " ", "a ", "<h1>a</h1>", "\u0301\u0323", "<ruby><rt>"),
]
BROKEN_PDF = [b"1 ", b"1 0 obj ", b"1", b"/Type ", b"/Type /Page", b"/Type/P ", b"1 0 obj stream"]


def seconds(work: Callable[[str], object], text: str) -> float:
    """Of this process's own work: other processes do not count."""
    started = time.process_time()
    work(text)
    return time.process_time() - started


def check(work: Callable[[str], object], unit: str) -> None:
    """Five tries: a busy machine or a pause of the garbage collector is not a square."""
    for _ in range(5):
        short = seconds(work, f"x {unit * (SHORT // len(unit))} y")
        long = seconds(work, f"x {unit * (LONG // len(unit))} y")
        if long < max(11 * short, 0.1):
            return
    pytest.fail(f"four times as much of {unit!r} took {short:.3f} s, then {long:.3f} s")


@pytest.mark.parametrize("unit", PLAIN)
def test_plain_text(unit: str) -> None:
    check(lambda text: read_plain(f"{text}\n{text}".encode()), unit)


@pytest.mark.parametrize(
    "unit",
    ["a\f", "\f", "CHAPTER I\n", "I\n\n", "1\n\n2\n\n", "# a\n", "a\n=\n", "[a](", "[", "](", "`"],
)
def test_pages_headings_and_links(unit: str) -> None:
    check(lambda text: read_plain(text.encode()), unit)
    check(lambda text: (plain_headings(text), markdown_headings(text)), unit)
    check(for_readers, unit)


@pytest.mark.parametrize(
    "unit", ["a,", ",", '"', '""', "a,b\n", "{", "[", "<", "<a", "<binary>", "00:01 "]
)
def test_records(unit: str) -> None:
    check(lambda text: delimited_text(f"a,b\n{text}", ".csv"), unit)
    check(lambda text: json_text(f'["{text}"', ".json"), unit)
    check(lambda text: subtitle_text(f"{text}\n\n{text}"), unit)
    check(to_html, unit)


@pytest.mark.parametrize(
    "unit",
    [
        "<author>",
        "<author ",
        "<date ",
        "<date value='",
        "<date value='a'",
        "<year>",
        "<first-name>",
    ],
)
def test_authors_of_a_book(unit: str) -> None:
    check(lambda text: authorship(f"<title-info><author>{text}"), unit)


@pytest.mark.parametrize(
    "unit", ["author: ", "author:\n", "- a\n", "  a\n", "  ", "-", "[", "name: "]
)
def test_authors_in_front_matter(unit: str) -> None:
    check(lambda text: front_values(f"author:\n{text}", "author"), unit)


@pytest.mark.parametrize("unit", ["Author: ", "Author: a\n", "  a\n", "  ", "Title: a\n"])
def test_authors_in_a_header(unit: str) -> None:
    end = "*** START OF THE PROJECT GUTENBERG EBOOK ***"
    check(lambda text: header_names(f"Title: a\nAuthor: a\n{text}\n{end}"), unit)
    check(lambda text: find_title_page(f"A\n{text}\nby A. B.", "x"), unit)


@pytest.mark.parametrize("unit", MARKUP)
def test_markup(unit: str) -> None:
    check(lambda text: parse_markup(f"<html><body>{text}"), unit)


@pytest.mark.parametrize("unit", BROKEN_PDF)
def test_a_pdf_without_an_end(unit: bytes) -> None:
    check(lambda text: mended(text.encode()), unit.decode())


def pdf_page(text: str) -> LaidOutPage:
    """Each word of `text` a line of its own; all on one baseline."""
    words = enumerate(text.split("~"))
    return LaidOutPage(tuple(PlacedLine(word, 3 * n, 3 * n + 1, 0, 1) for n, word in words))


@pytest.mark.parametrize("unit", ["ab~", " . ", "...", "1. ", "1", "m", ".)", "well-~known~"])
def test_lines_of_a_pdf(unit: str) -> None:
    check(lambda text: flow_pdf([pdf_page(text)] * 2), unit)
    check(lambda text: running_lines([text.split("~")] * 4), unit)


@pytest.mark.parametrize("unit", ["<!---->", "<!-- --> ", "<!--", " ", "<?xml?>", "<!doctype "])
def test_what_a_file_is(unit: str) -> None:
    """Few of them are enough: what is tried in every combination doubles with each."""
    counts = (10, 14, 18, 22, 4000)
    taken = [
        min(seconds(lambda text: sniff(text.encode(), ".txt"), unit * count) for _ in range(3))
        for count in counts
    ]
    assert all(one < 0.05 for one in taken), taken


def test_comments_before_a_text(tmp_path: Path) -> None:
    path = tmp_path / "comments.txt"
    path.write_text("<!---->" * 40 + "\nThe ferry left Brannock at six.\n")
    assert read_document(Source(path, "comments.txt")).text.endswith("ferry left Brannock at six.")


def test_marks_on_a_letter_are_few() -> None:
    """30 as in the stream-safe text of UAX #15; what people write has fewer, and keeps them."""
    marks = "\u0323\u0301" * 15
    zalgo = f"a{marks}\u0301\u0301 b{marks} …{'─' * 80}"
    cleaned = read_plain(zalgo.encode()).pages[0].text
    same = read_plain(f"a{marks} b{marks} …{'─' * 80}".encode()).pages[0].text
    assert cleaned == same
    assert same.count("\u0301") == 30
