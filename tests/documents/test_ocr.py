"""Scanned pages: recognised where that is asked for and installed, within limits, and else refused."""

import importlib.util
import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from mplus_cli.documents import DocumentError, Source, pdf, read_document, recognition, worker
from mplus_cli.documents.ocr_worker import placed

INSTALLED = all(importlib.util.find_spec(name) for name in ("rapidocr", "onnxruntime"))
needs_engine = pytest.mark.skipif(not INSTALLED, reason="needs the extra ocr")
LEFT = [
    "The ferry left Brannock at",
    "six and crossed the sound",
    "in the rain. The captain",
    "counted forty sheep on the",
    "lower deck, and one brass",
    "telescope in the wheelhouse",
    "that belonged to nobody.",
]
RIGHT = [
    "On the far shore a baker",
    "waited with warm loaves and",
    "paid eleven crowns for the",
    "crossing. She said nothing",
    "about the letter that she",
    "had found between the sacks",
    "of flour in the morning.",
]
SIZE = (380, 150)  # points


def drawn(*columns: list[str]) -> bytes:
    """A PDF page with columns of text."""
    buffer = io.BytesIO()
    canvas = Canvas(buffer, SIZE, invariant=True)
    for column, lines in enumerate(columns):
        for number, line in enumerate(lines):
            canvas.drawString(15 + 200 * column, 130 - 16 * number, line)
    canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def scanned(*pages: bytes | str | None) -> bytes:
    """A PDF whose pages are pictures of others, a little askew; a text is a page of text, None an empty
    one."""
    import pypdfium2

    buffer = io.BytesIO()
    canvas = Canvas(buffer, SIZE, invariant=True)
    for page in pages:
        if isinstance(page, str):
            canvas.drawString(60, 100, page)
        elif page is not None:
            picture = pypdfium2.PdfDocument(page)[0].render(scale=2.8).to_pil().convert("L")
            canvas.drawImage(ImageReader(picture.rotate(0.4, fillcolor=255)), 0, 0, *SIZE)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


Write = Callable[[str, bytes], Source]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def source(name: str, data: bytes) -> Source:
        (tmp_path / name).write_bytes(data)
        return Source(tmp_path / name, name)

    return source


@needs_engine
def test_pages_without_text_are_recognised(write: Write) -> None:
    """Columns in their order, lines in paragraphs; a page with text is read as it is."""
    source = write("a.pdf", scanned(drawn(LEFT, RIGHT), "A page of text.", None))
    shown: list[tuple[int, int]] = []
    document = read_document(source, ocr=True, progress=lambda *done: shown.append(done))
    assert document.pages[0].text.split() == " ".join(LEFT + RIGHT).split()
    assert document.pages[1].text.strip() == "A page of text."
    assert document.pages[2].text.strip() == ""
    assert document.warnings == ("1 page was read by OCR: expect misread letters",)
    assert shown[-2:] == [(1, 2), (2, 2)]
    plain = read_document(source)
    assert plain.sha256 != document.sha256
    assert plain.warnings == ("2 of 3 pages have no text (scanned?): add --ocr to read them too",)


def test_a_pdf_with_text_is_the_same_with_and_without(write: Write) -> None:
    source = write("a.pdf", drawn(LEFT))
    assert read_document(source, ocr=True) == read_document(source)


@pytest.mark.parametrize("installed", [True, False])
def test_the_refusal_names_the_command(
    installed: bool, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recognition, "_ENGINE", ("json" if installed else "no_such_engine",))
    first = "" if installed else r"pip install 'mplus\[ocr\]', then "
    with pytest.raises(
        DocumentError, match=rf"^a\.pdf has no text \(scanned\?\): {first}add --ocr"
    ):
        pdf.read_pdf(scanned(drawn(LEFT)), "a.pdf", None)
    if not installed:
        with pytest.raises(
            DocumentError, match=r"OCR is not installed: pip install 'mplus\[ocr\]'$"
        ):
            pdf.read_pdf(scanned(drawn(LEFT)), "a.pdf", None, ocr=True)


def test_a_page_that_takes_too_long_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are recognised, by a process that is started again."""
    monkeypatch.setattr(recognition, "_ENGINE", ())
    monkeypatch.setattr(recognition, "PAGE_SECONDS", 3)
    program = """
import json, sys, time
print('{"ready": true}', flush=True)
for page in json.loads(sys.argv[1]):
    if page == 2:
        time.sleep(60)
    print(json.dumps({"page": page, "lines": [["text"]]}), flush=True)
"""
    monkeypatch.setattr(
        worker, "command", lambda _, *arguments: [sys.executable, "-c", program, *arguments]
    )
    found = list(recognition.recognise(b"", [1, 2, 3], "a.pdf"))
    assert found == [(1, [["text"]]), (2, []), (3, [["text"]])]


def test_an_engine_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognition, "_ENGINE", ())
    monkeypatch.setattr(worker, "command", lambda *_: [sys.executable, "-c", "raise SystemExit(1)"])
    with pytest.raises(DocumentError, match=r"^a\.pdf: OCR does not start"):
        list(recognition.recognise(b"", [1], "a.pdf"))


def test_lines_of_one_type_have_one_size() -> None:
    """Boxes are tight: a line without tall letters is lower, and is not a change of type."""

    def box(x: float, y: float, height: float) -> list[tuple[float, float]]:
        return [(x, y + height), (x + 100, y + height), (x + 100, y), (x, y)]

    boxes = [box(60, 700, 12), box(60, 684, 10), box(60, 668, 12), box(60, 730, 30)]
    lines = placed(boxes, ["one", "two", "three", "TITLE"])
    assert [line[0] for line in lines] == ["TITLE", "one", "two", "three"]
    assert [line[4] for line in lines] == [30, 12, 12, 12]


def test_a_page_that_lies_askew() -> None:
    """Cells of a row are on one line."""
    boxes = []
    for y in (700.0, 680.0):
        for x in (60.0, 200.0, 350.0):
            rise = [(at, y + 0.02 * at) for at in (x, x + 40)]
            boxes.append([*[(at, up + 12) for at, up in rise], *reversed(rise)])
    lines = placed(boxes, ["Port", "Ships", "Depth", "Brannock", "14", "9 m"])
    assert [line[0] for line in lines] == ["Port", "Ships", "Depth", "Brannock", "14", "9 m"]
    assert max(line[3] for line in lines[:3]) - min(line[3] for line in lines[:3]) < 1
