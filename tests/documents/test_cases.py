"""Small files of tests/fixtures/documents, each for a kind, and how they are to be read."""

from pathlib import Path

import pytest

from mplus_cli.documents import Document, DocumentError, Source, read_document

CASES = Path(__file__).parent.parent / "fixtures" / "documents"


def read(name: str) -> Document:
    return read_document(Source(CASES / name, name))


def test_a_pdf_that_was_cut_short() -> None:
    with pytest.raises(DocumentError, match=r"^cut_in_half\.pdf is damaged \(cut short\)"):
        read("cut_in_half.pdf")


def test_a_web_page_under_the_name_of_a_pdf() -> None:
    document = read("not_a.pdf")
    assert document.text == "404\n\nNot found: log in first."
    (warning,) = document.warnings
    assert warning.startswith("not_a.pdf is not the PDF its name says but a web page")


def test_hyphens_at_line_ends() -> None:
    text = read("hyphens.pdf").text
    for word in ("careful", "well-known", "surveyor", "theodolite"):
        assert f" {word}" in text


def test_items_of_an_epub_that_are_not_linear() -> None:
    text = read("order.epub").text
    titles = [
        "One",
        "Further Reading",
        "Three",
        "is read aloud",
        "Nonlinear appendix on telescopes.",
    ]
    places = [text.index(title) for title in titles]
    assert places == sorted(places)
    assert "First chapter text about Brannock" in text
    assert "A note about ferries." in text


def test_marks_of_notes() -> None:
    text = read("note_marks.epub").text
    assert "Mara Voss kept the lamp for nineteen years." in text
    assert "The watch was silver." in text
    assert "1. The lamp burned whale oil until 1902." in text


def test_comments_before_a_text() -> None:
    assert read("comments.txt").text == "The ferry left Brannock at six."


def test_form_feeds_are_page_breaks() -> None:
    document = read("ff.txt")
    texts = ["Page one text ends here.\n\n", "Page two text begins.\n\n", "Page three."]
    assert [(page.number, page.text) for page in document.pages] == list(enumerate(texts, 1))
    assert document.page_count == 3


def test_markdown_for_readers() -> None:
    document = read("front.md")
    assert document.title == "Harbour log"
    assert document.text.startswith("# Harbour log\n\nSee the quay and alt.\n\n| Port | Ships |")
    assert "```python\nprint('hi')\n```" in document.text
    assert document.text.endswith("`code`.[^1]\n\n[^1]: The note.")
    assert "comment" not in document.text and "tags" not in document.text


def test_a_web_page() -> None:
    text = read("page.html").text
    assert "Site header" not in text and "FOOTERTEXT" not in text
    assert text.startswith("Harbour notes\n\nCafé & ferry")
    assert "ALTTEXT" in text


@pytest.mark.parametrize(
    ("name", "kind", "title", "text"),
    [
        ("x.csv", "csv", "X", "port: Brannock, ships: 14"),
        ("x.fb2", "fb2", "Salt", "One\n\nThe ferry left Brannock."),
        ("x.srt", "subtitles", "X", "The ferry left.\nIt rained."),
    ],
)
def test_other_formats(name: str, kind: str, title: str, text: str) -> None:
    document = read(name)
    assert (document.kind, document.title, document.text) == (kind, title, text)


@pytest.mark.parametrize(
    ("name", "said"), [("x.rtf", "an RTF document"), ("x.tex", "a LaTeX source")]
)
def test_formats_that_are_refused(name: str, said: str) -> None:
    with pytest.raises(DocumentError, match=rf"^{name} is {said}.*pandoc {name}"):
        read(name)


FERRY = (
    "The ferry left Brannock at six and crossed the sound in rain. Captain Ode Fennick counted forty "
    "sheep on the lower deck, and one brass telescope in the wheelhouse."
)
SHORE = (
    "On the far shore a baker named Tilda Marsh waited with warm loaves. She paid eleven crowns for the "
    "crossing and said nothing about the missing letter."
)


@pytest.mark.parametrize("name", ["twocol_rows.pdf", "rotated.pdf"])
def test_two_columns_that_are_drawn_row_by_row(name: str) -> None:
    page = " ".join(read(name).pages[0].text.split())
    assert page == " ".join([FERRY] * 4 + [SHORE] * 4)


def test_text_that_is_turned() -> None:
    assert " ".join(read("rot_text.pdf").text.split()) == f"{FERRY} {SHORE}"


def test_a_table_of_a_pdf() -> None:
    text = read("table.pdf").text
    assert "\n\nPort | Ships | Depth\nBrannock | 14 | 9 m\nSallow | 3 | 4 m\nQuarren" in text


def test_a_figure_on_top_of_the_left_column() -> None:
    text = read("image_left.pdf").text
    marks = [f"LEFT {n:02}" for n in range(8)] + [f"RIGHT {n:02}" for n in range(18)]
    places = [text.index(mark) for mark in marks]
    assert places == sorted(places)
