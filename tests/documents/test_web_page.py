"""Pages of the web as they are: body text (words that begin with "keep") stays, the frame ("drop") goes.

What frames the text is left out only where the page and the extractor agree: some of it may stay, but no
word of the text may go.
"""

import re
from pathlib import Path

import pytest

from mplus_cli.documents import Document, Source, read_document, web_page

PAGES = Path(__file__).parent.parent / "fixtures" / "web"


def read(name: str) -> Document:
    return read_document(Source(PAGES / name, name))


def marks(name: str, kind: str) -> set[str]:
    shown = re.sub(r"<script.*?</script>", "", (PAGES / name).read_text("utf-8"))
    return set(re.findall(rf"\b{kind}[a-z]+\d*", shown))


@pytest.mark.parametrize(
    ("name", "stays"),
    [
        ("news.html", set()),
        ("blog.html", set()),
        ("docs.html", set()),
        ("forum.html", {"droponline", "dropreply"}),
        ("book.html", set()),
        ("wiki.html", {"dropsub"}),
        ("plain.html", {"dropleft"}),
    ],
)
def test_the_text_of_a_page(name: str, stays: set[str]) -> None:
    text = read(name).text
    assert {mark for mark in marks(name, "keep") if mark not in text} == set()
    assert {mark for mark in marks(name, "drop") if mark in text} == stays


def test_headings_tables_and_pictures_of_a_page() -> None:
    document = read("news.html")
    assert [(one.level, one.title) for one in document.headings] == [
        (1, "Ferry to Brannock resumes after storm"),
        (2, "keephead The moorings"),
        (2, "What comes next"),
    ]
    for heading in document.headings:
        assert document.text[heading.start :].startswith(heading.title)
    assert "keepalt the ferry Constant Heart at the quay" in document.text
    assert "\nTuesday | 06:00 | 4 crowns\nSunday | 09:30 | keepcell 5 crowns" in document.text
    assert (document.author, document.date) == ("Mara Voss", "2024-03-05T06:30:00Z")
    titles = [one.title for one in read("docs.html").headings]
    assert titles == ["Installing the lamp", "keephead Requirements", "Options"]


@pytest.mark.parametrize("found", ["", "A word or two of a page that is much longer."])
def test_a_page_that_the_extractor_does_not_understand_is_kept(
    found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_page, "extracted", lambda markup: found)
    text = web_page.read_web_page((PAGES / "news.html").read_bytes()).text
    assert "keepend" in text and "dropside" in text


def test_a_page_of_links_is_kept() -> None:
    links = "".join(
        f'<li><a href="/{n}">A walk of {n} miles along the sound</a></li>' for n in range(30)
    )
    text = web_page.read_web_page(f"<html><body><h1>Walks</h1><ul>{links}</ul>".encode()).text
    assert text.count("A walk of") == 30


def test_an_extractor_that_fails_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    import trafilatura

    def fail(*_: object, **__: object) -> str:
        raise RecursionError

    monkeypatch.setattr(trafilatura, "extract", fail)
    text = web_page.read_web_page((PAGES / "blog.html").read_bytes()).text
    assert all(mark in text for mark in marks("blog.html", "keep"))
