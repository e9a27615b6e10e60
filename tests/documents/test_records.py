"""Tables, data, subtitles, FictionBook and Markdown as text for readers."""

import pytest

from mplus_cli.documents.fictionbook import to_html
from mplus_cli.documents.markdown import for_readers, without_front_matter
from mplus_cli.documents.markup import parse_markup
from mplus_cli.documents.plain import read_plain
from mplus_cli.documents.subtitles import subtitle_text
from mplus_cli.documents.tables import delimited_text, json_text


@pytest.mark.parametrize(
    ("text", "suffix", "expected"),
    [
        ("a;b\n1;\n;2\n", ".csv", "a: 1\nb: 2"),
        ("a\tb\n1\t2,5\n", ".tsv", "a: 1, b: 2,5"),
        ('a,b\n"x, y","two\nlines"\n', ".csv", "a: x, y, b: two lines"),
        ("1,2\n3,4\n", ".csv", "1 | 2\n3 | 4"),
        ("a,a\n3,4\n", ".csv", "a | a\n3 | 4"),
        ("a,b\n1,2,3\n", ".csv", "a: 1, b: 2, 3"),
        ("only prose here\n", ".csv", None),
        ("", ".csv", None),
    ],
)
def test_delimited(text: str, suffix: str, expected: str | None) -> None:
    assert delimited_text(text, suffix) == expected


@pytest.mark.parametrize(
    ("text", "suffix", "expected"),
    [
        (
            '[{"port": "Brannock", "ships": 14}, {"port": "Sallow"}]',
            ".json",
            "port: Brannock, ships: 14\nport: Sallow",
        ),
        (
            '{"name": "x", "log": [{"day": 1}, {"day": 2}], "tags": ["a", "b"]}',
            ".json",
            "name: x\nlog: day: 1\nlog: day: 2\ntags: a, b",
        ),
        ('{"a": 1}\n\n{"a": true}\n', ".jsonl", "a: 1\na: true"),
        ('"text"', ".json", "text"),
        ("{not", ".json", None),
        ("[" * 100_000, ".json", None),
        ("[" * 100 + "]" * 100, ".json", None),
    ],
)
def test_json(text: str, suffix: str, expected: str | None) -> None:
    assert json_text(text, suffix) == expected


def test_subtitles() -> None:
    first = "id\n00:01.000 --> 00:02.000 align:left\n<i>It was"
    vtt = f"WEBVTT\n\nNOTE x\n\n{first}\n\n00:03.000 --> 00:04.000\nlate</i>."
    assert subtitle_text(vtt) == "It was late."
    assert subtitle_text("Prose.\n\nMore.") is None


def test_fictionbook() -> None:
    markup = (
        "<?xml version='1.0'?><FictionBook xmlns:l='x'><description><title-info><book-title>A &amp; B"
        "</book-title></title-info></description><body><section><title><p>Part 2</p></title><section>"
        "<title><p>Chapter</p><p>7</p></title><p>The lamp<a l:href='#n' type='note'>1</a> burned.</p>"
        "<empty-line/><poem><stanza><v>One</v><v>Two</v></stanza></poem></section></section></body>"
        "<binary id='c'>AAAA</binary></FictionBook>"
    )
    found = parse_markup(to_html(markup))
    assert found.title == "A & B"
    assert found.text == "Part 2\n\nChapter\n7\n\nThe lamp burned.\n\nOne\n\nTwo"
    assert [(one.level, one.title) for one in found.headings] == [(1, "Part 2"), (2, "Chapter 7")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[a](b) ![c](d.png "t") [e][f] [g](h(i)j)', "a c e g"),
        ("`[a](b)` [c] [ ] f[0][1] [^1]", "`[a](b)` [c] [ ] f[0][1] [^1]"),
        ("```\n[a](b) <!-- x -->\n```\n[c](d)", "```\n[a](b) <!-- x -->\n```\nc"),
        ("a <!-- b\n\nc --> d <!-- e", "a  d <!-- e"),
        ("[a]: http://x\n[^1]: The note\n", "[^1]: The note\n"),
    ],
)
def test_markdown_without_targets_and_comments(text: str, expected: str) -> None:
    assert for_readers(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("---\ntitle: 'A log'\ntags:\n  - a\n---\n\nText", ("\nText", "A log")),
        ('+++\ntitle = "B"\n[x]\n+++\nText', ("Text", "B")),
        ("---\nNo settings here.\n---\nText", ("---\nNo settings here.\n---\nText", "")),
        ("---\ntitle: x\nText", ("---\ntitle: x\nText", "")),
        ("Text\n---\ntitle: x\n---\n", ("Text\n---\ntitle: x\n---\n", "")),
    ],
)
def test_front_matter(text: str, expected: tuple[str, str]) -> None:
    assert without_front_matter(text) == expected


def test_heads_and_feet_of_pages_of_text() -> None:
    pages = [
        f"RFC 1  HTTP  May 1999\n\nLeaf {name} and so\n\nMarsh   [Page {n}]"
        for n, name in enumerate("abcd", 1)
    ]
    parts = read_plain("\f".join(pages).encode())
    assert [page.number for page in parts.pages] == [1, 2, 3, 4]
    assert "".join(page.text for page in parts.pages) == "\n\n".join(
        f"Leaf {n} and so" for n in "abcd"
    )


def test_a_sentence_runs_over_a_page() -> None:
    parts = read_plain(b"It was\fvery late.\n\fNext.")
    assert [page.text for page in parts.pages] == ["It was ", "very late.\n\n", "Next."]
