"""PDF files made here: text, pages, titles, damage, and a worker that crashes or hangs."""

import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from pypdf import PdfReader, PdfWriter
from reportlab.pdfgen.canvas import Canvas

from mplus_cli.documents import (
    Document,
    DocumentError,
    PageRange,
    Source,
    formats,
    isolated,
    read_document,
)
from mplus_cli.documents import pdf_process as process
from mplus_cli.documents.metadata import sane_title

LINES = [
    "The village of Moonfleet lies half a mile from the sea on the right",
    "or west bank of the Fleet stream. This rivulet, which is so narrow",
    "as it passes the houses that I have known a good jumper clear it too,",
]


def draw(pages: Sequence[Sequence[str]], title: str = "") -> bytes:
    """A PDF with a page of lines each; an empty line is a gap, leading spaces are an indent."""
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=(400, 600), invariant=True)
    if title:
        canvas.setTitle(title)
    for lines in pages:
        canvas.setFont("Courier", 8)
        for number, line in enumerate(lines):
            indent = len(line) - len(line.lstrip())
            if line.strip():
                canvas.drawString(20 + 5 * indent, 560 - 12 * number, line.strip())
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def encrypt(data: bytes, password: str) -> bytes:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(data)))
    writer.encrypt(password, "owner", algorithm="RC4-128")
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Document]:
    """Reads a PDF, in this process but for its worker, so that limits can be patched."""
    monkeypatch.setattr(isolated, "parse_isolated", formats.parse)

    def read_bytes(data: bytes, pages: str = "", name: str = "a-b.pdf") -> Document:
        path = tmp_path / name
        path.write_bytes(data)
        selected = PageRange.parse(pages) if pages else None
        return read_document(Source(path, name), pages=selected)

    return read_bytes


Read = Callable[..., Document]


def test_pages_paragraphs_and_title(read: Read) -> None:
    document = read(draw([[*LINES, "", "Next."], ["Other."]], title="A Tale"))
    assert (document.kind, document.title, document.page_count) == ("pdf", "A Tale", 2)
    assert [page.number for page in document.pages] == [1, 2]
    assert document.text == f"{' '.join(LINES)}\n\nNext.\n\nOther."
    assert document.warnings == ()


def test_a_pdf_by_another_name(read: Read) -> None:
    assert read(draw([["Some text."]]), name="x.txt").kind == "pdf"


def test_progress(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(draw([["One."], ["Two."]]))
    seen: list[tuple[int, int]] = []
    read_document(Source(path, "a.pdf"), progress=lambda *now: seen.append(now))
    assert (1, 2) in seen
    assert seen[-1] == (2, 2)


def test_a_page_range(read: Read) -> None:
    data = draw([[f"Text of leaf {name}."] for name in "abcd"])
    part = read(data, "2-3")
    assert part.text == "Text of leaf b.\n\nText of leaf c."
    assert [page.number for page in part.pages] == [2, 3]
    assert part.page_count == 4
    assert len({part.sha256, read(data, "2-4").sha256, read(data).sha256}) == 3


@pytest.mark.parametrize("pages", ["5", "3-9", "9-"])
def test_a_page_range_outside(read: Read, pages: str) -> None:
    with pytest.raises(DocumentError, match=r"a-b\.pdf has 4 pages: pages .* are not all in it"):
        read(draw([["Text."]] * 4), pages)


def test_paragraphs_by_indentation(read: Read) -> None:
    document = read(draw([["  " + LINES[0], *LINES[1:], "so.", "  " + LINES[0], LINES[1]]]))
    assert document.text == f"{' '.join(LINES)} so.\n\n{' '.join(LINES[:2])}"


def test_verse_keeps_its_lines(read: Read) -> None:
    verse = ["Says the Cap'n to the Crew,", "We have slipped the Revenue,", "I can see the cliffs"]
    assert read(draw([[*LINES, "", *verse]])).text == f"{' '.join(LINES)}\n\n" + "\n".join(verse)


def test_a_paragraph_runs_over_the_page_and_pages_are_right(read: Read) -> None:
    document = read(draw([LINES, ["and broadens out.", "", "Next."]]))
    first, second = document.pages
    assert first.text == " ".join(LINES) + " "
    assert second.text == "and broadens out.\n\nNext."


def test_a_word_broken_over_the_page(read: Read) -> None:
    document = read(
        draw(
            [
                [*LINES, "and then, in the salt marshes below the village, it is broad-"],
                ["ened out."],
            ]
        )
    )
    assert document.text.endswith("it is broadened out.")
    assert document.pages[0].text.endswith("broad")


def test_hyphens_and_compounds(read: Read) -> None:
    broken = [
        "It was indeed in the year before that one the great and well-",
        "known man, as all men have heard, came in with his most interes-",
        "ting dog.",
    ]
    made = read(draw([[*broken, "", "A well-known fact."]])).text
    assert "great and well-known man" in made
    assert "most interesting dog" in made


def test_running_heads_and_page_numbers(read: Read) -> None:
    names = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]
    pages = []
    for number, name in enumerate(names, 1):
        head = f"{number + 8}   MOONFLEET" if number % 2 else f"IN THE VILLAGE   {number + 8}"
        pages.append([head, "", f"Leaf {name} begins.", "", *LINES, "", f"Leaf {name} ends."])
    made = read(draw(pages)).text
    assert "MOONFLEET" not in made
    assert "IN THE VILLAGE" not in made
    assert all(f"Leaf {name} begins." in made and f"Leaf {name} ends." in made for name in names)


def test_feet_that_change_with_the_section(read: Read) -> None:
    """Known by their page number alone; facing pages have it on the outer side."""
    feet = ["The Harbour 7", "8 A Book", "The Quay 9", "10 A Book", "The Sea 11", "12 A Book"]
    feet += ["The Rock 13", "14 A Book"]
    words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]
    pages = [
        [f"Leaf {word} begins.", "", *LINES, "", f"Leaf {word} ends.", "", foot]
        for word, foot in zip(words, feet, strict=True)
    ]
    text = read(draw(pages)).text
    assert all(f"Leaf {word} ends." in text for word in words)
    assert not any(word in text for word in ("Harbour", "Quay", "Sea", "Rock", "A Book"))


def test_the_title_on_the_first_page_is_no_running_head(read: Read) -> None:
    pages = [["MOONFLEET", "", *LINES]]
    pages += [
        [f"MOONFLEET {n}", "", f"Leaf {name}.", "", "End."] for n, name in enumerate("bcde", 2)
    ]
    made = read(draw(pages)).text
    assert made.startswith("MOONFLEET\n\nThe village")
    assert made.count("MOONFLEET") == 1


@pytest.mark.parametrize("style", ["{}", "- {} -", "Page {}", "{} of 9"])
def test_bare_page_numbers(read: Read, style: str) -> None:
    pages = [[f"Leaf {name}.", "", style.format(7 + n)] for n, name in enumerate("abc")]
    assert read(draw(pages)).text == "Leaf a.\n\nLeaf b.\n\nLeaf c."


def test_roman_page_numbers(read: Read) -> None:
    pages = [
        [f"Leaf {name}.", "", roman] for name, roman in zip("abc", ["iv", "v", "vi"], strict=True)
    ]
    assert read(draw(pages)).text == "Leaf a.\n\nLeaf b.\n\nLeaf c."


def test_a_number_that_counts_nothing_stays(read: Read) -> None:
    made = read(draw([["The answer is", "", "42"], ["The year is", "", "1757"]])).text
    assert made == "The answer is\n42\n\nThe year is\n1757"


def test_a_document_of_nothing_but_numbers_keeps_them(read: Read) -> None:
    document = read(draw([["1"], ["2"], ["3"]]))
    assert document.text.split() == ["1", "2", "3"]
    assert "only a header" in document.warnings[0]


def test_what_is_most_of_the_text_is_no_running_head(read: Read) -> None:
    made = read(draw([["Other."], *[[f"Potato {number}"] for number in range(1, 6)]])).text
    assert made.count("Potato") == 5


def test_contents_keep_their_lines(read: Read) -> None:
    lines = [
        f"{name} {'. ' * 22}{page}" for name, page in [("First", 4), ("Second", 19), ("Third", 30)]
    ]
    assert read(draw([lines])).text == "First ... 4\nSecond ... 19\nThird ... 30"


def test_an_empty_password_opens(read: Read) -> None:
    assert read(encrypt(draw([["Open text."]]), "")).text == "Open text."


def test_encrypted(read: Read) -> None:
    with pytest.raises(DocumentError, match=r"^a-b\.pdf is encrypted: remove the password and try"):
        read(encrypt(draw([["Secret."]]), "password"))


def test_scanned(read: Read) -> None:
    with pytest.raises(DocumentError, match=r"has no text \(scanned\?\): .*add --ocr to read it"):
        read(draw([[], []]))


def test_many_empty_pages_are_a_warning(read: Read) -> None:
    document = read(draw([["Some text."], [], []]))
    (warning,) = document.warnings
    assert warning.startswith("2 of 3 pages have no text (scanned?): ")
    assert warning.endswith("add --ocr to read them too")


@pytest.mark.parametrize("data", [b"%PDF-1.7\n", b"%PDF-1.4\n" + bytes(range(256)) * 40])
def test_damaged(read: Read, data: bytes) -> None:
    with pytest.raises(DocumentError, match=r"not a readable PDF \(damaged or truncated\)"):
        read(data)


def test_a_lost_trailer_is_mended(read: Read) -> None:
    data = draw([["Some text."], ["More text."]])
    assert read(data[: data.index(b"xref")]).text == "Some text.\n\nMore text."


def test_what_is_whole_of_a_truncated_file_is_read(read: Read) -> None:
    names = [f"Leaf {name} of the book." for name in "abcdef"]
    data = draw([[name] for name in names])
    document = read(data[: data.rindex(b"stream", 0, data.index(b"xref") - 300)])
    text = document.text
    assert document.warnings[0].startswith("a-b.pdf is damaged (cut short): what is left")
    assert text.startswith("Leaf a of the book.\n\nLeaf b of the book.")
    assert names[-1] not in text


def test_pypdf_where_pdfium_gives_nothing(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    command = process.worker_command

    def without_pdfium(engine: str, first: int, last: int) -> list[str]:
        if engine == "pdfium":
            return [sys.executable, "-c", 'print(\'{"failed": "missing"}\')']
        return command(engine, first, last)

    monkeypatch.setattr(process, "worker_command", without_pdfium)
    document = read(draw([[*LINES], ["Other text."]], title="A Tale"))
    assert document.text == f"{' '.join(LINES)}\n\nOther text."
    assert (document.title, document.page_count) == ("A Tale", 2)


FAKE = """
import json, os, sys, time
first, last = int(sys.argv[2]), int(sys.argv[3])
print(json.dumps({"count": 3, "title": ""}), flush=True)
for page in range(first, 4):
    if page == 2: %s
    print(json.dumps({"page": page, "lines": [["Leaf %%d." %% page]]}), flush=True)
"""


@pytest.mark.parametrize("harm", ["os.abort()", "time.sleep(60)", "print('garbage')", "continue"])
def test_a_page_that_kills_the_worker_is_left_out(
    read: Read, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    if "sleep" in harm:  # what a busy machine may take from one page to the next counts as well
        monkeypatch.setattr(process, "PAGE_SECONDS", 3)
    monkeypatch.setattr(
        process,
        "worker_command",
        lambda *arguments: [sys.executable, "-c", FAKE % harm, *map(str, arguments)],
    )
    document = read(draw([["x"]]))
    assert document.text == "Leaf 1.\n\nLeaf 3."
    assert document.warnings == ("page 2 could not be read and was left out",)
    assert [page.number for page in document.pages] == [1, 2, 3]


def test_a_worker_that_never_answers(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "OPEN_SECONDS", 0.3)
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    monkeypatch.setattr(process, "worker_command", lambda *_: sleep)
    with pytest.raises(DocumentError, match="not a readable PDF"):
        read(draw([["x"]]))


def test_a_claim_of_countless_pages(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "MAX_PAGES", 5)
    claim = (FAKE % "pass").replace('"count": 3', '"count": 1 << 31')
    command = [sys.executable, "-c", claim]
    monkeypatch.setattr(process, "worker_command", lambda *a: [*command, *map(str, a)])
    document = read(draw([["x"]]))
    assert document.text == "Leaf 1.\n\nLeaf 2.\n\nLeaf 3."
    assert document.warnings[0] == "pages 4-5 could not be read and were left out"
    assert "only 5 pages were read" in document.warnings[1]


def test_the_time_for_all_pages_is_bounded(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "TOTAL_SECONDS", -100.0)
    with pytest.raises(DocumentError, match="not a readable PDF"):
        read(draw([["x"]] * 5))


def test_what_is_filled_into_a_form(read: Read) -> None:
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=(400, 600), invariant=True)
    canvas.drawString(20, 560, "Register of keepers")
    for name, value, y in [("keeper", "Mara Voss", 500), ("empty", "", 450)]:
        canvas.acroForm.textfield(name=name, value=value, x=20, y=y, width=200, height=20)
    canvas.save()
    text = read(buffer.getvalue()).text
    assert text.split("\n\n") == ["Register of keepers", "keeper: Mara Voss"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("Moonfleet", "Moonfleet"),
        ("Microsoft Word - My Thesis", "My Thesis"),
        ("Microsoft Word - thesis.doc", ""),
        ("untitled", ""),
        ("Untitled 3", ""),
        ("C:\\Users\\x\\book.indd", ""),
        ("/home/x/book", ""),
        ("1234-5", ""),
        ("  ", ""),
        ("x" * 300, ""),
    ],
)
def test_titles(given: str, expected: str) -> None:
    assert sane_title(given) == expected


def test_without_a_sane_title_the_file_name_serves(read: Read) -> None:
    assert read(draw([["Text."]], title="untitled")).title == "A B"
