"""What is not read is named for what it is, and what to do is said."""

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from mplus_cli.documents import DocumentError, Source, find_sources, read_document, reading


def zipped(*members: str, mimetype: str = "") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        if mimetype:
            archive.writestr("mimetype", mimetype)
        for member in members:
            archive.writestr(member, "x")
    return buffer.getvalue()


ODP = "application/vnd.oasis.opendocument.presentation"
NOT_EPUB = "not the EPUB its name says but"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.doc", OLE, "an old Word document.*soffice"),
        ("a.docx", OLE + "EncryptedPackage".encode("utf-16-le"), "an encrypted document.*password"),
        ("a.xls", OLE, "a spreadsheet.*CSV"),
        ("a.xlsx", zipped("xl/workbook.xml"), "a spreadsheet"),
        ("a.ppt", OLE, "a presentation.*soffice"),
        ("a.odp", zipped("content.xml", mimetype=ODP), "a presentation"),
        ("a.zip", zipped("a.txt"), "an archive.*unpack"),
        ("a.zip", b"PK\x03\x04" + bytes(100), "an archive"),
        ("a.mobi", bytes(60) + b"BOOKMOBI" + bytes(100), "a Kindle book.*ebook-convert a.mobi"),
        ("a.djvu", b"AT&TFORM\0\0\0\x01DJVM", "a DjVu document.*djvutxt a.djvu"),
        ("a.rtf", b"{\\rtf1\\ansi The goat.}", "an RTF document.*pandoc a.rtf"),
        ("a.tex", b"% x\n\\section{A}", "a LaTeX source.*pandoc a.tex"),
        ("a.txt", b"\\documentclass{book}", "a LaTeX source"),
        ("a.ps", b"%!PS-Adobe-3.0\n", "a PostScript file.*ps2pdf"),
        ("a.png", b"\x89PNG\r\n\x1a\n" + bytes(100), "a picture.*tesseract a.png"),
        ("a.gz", b"\x1f\x8b" + bytes(100), "an archive"),
        (
            "a.epub",
            zipped("a.txt", "b/c.jpg", "d.jpg"),
            rf"{NOT_EPUB} an archive \(2 \.jpg, 1 \.txt\)",
        ),
        ("a.epub", zipped("xl/workbook.xml"), f"{NOT_EPUB} a spreadsheet"),
        ("a.epub", b"\x89PNG\r\n\x1a\n" + bytes(100), f"{NOT_EPUB} a picture.*tesseract a.epub"),
        ("a.epub", b"{\\rtf1\\ansi The goat.}", f"{NOT_EPUB} an RTF document"),
        ("a.epub", b"PK\x03\x04" + bytes(100), "not a readable EPUB .damaged or truncated.: get"),
        ("a.epub", bytes(range(256)) * 2, "not a readable EPUB .damaged or truncated.: get"),
        (
            "a.docx",
            zipped("a" * 99 + "." + "b" * 99),
            r"not the DOCX.* an archive \(1 \.b{11}\), which",
        ),
    ],
)
def test_a_refusal(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(DocumentError, match=rf"^{name} is {said}"):
        read_document(Source(path, name))


def test_text_that_is_called_an_epub(tmp_path: Path) -> None:
    path = tmp_path / "a.epub"
    path.write_text("The goat ate the rope.")
    document = read_document(Source(path, "a.epub"))
    assert document.text.strip() == "The goat ate the rope."
    assert document.warnings[0].startswith("a.epub is not the EPUB its name says but text")


def test_what_a_folder_has_besides(tmp_path: Path) -> None:
    names = ("a.txt", "b.doc", "c.doc", "d.mobi", "e.png", "f.png", "g", ".hidden.doc", "~$b.docx")
    for name in names:
        (tmp_path / name).write_text("text")
    lines: list[str] = []
    assert len(find_sources([str(tmp_path)], lines.append)) == 1
    word, kindle, rest = lines
    assert f"{tmp_path / 'b.doc'} and 1 more were left out: each is an old Word document" in word
    assert f"{tmp_path / 'd.mobi'} was left out: it is a Kindle book" in kindle
    assert rest == f"{tmp_path}: 3 files were left out as no document (2 .png, 1 without suffix)"


def test_a_folder_of_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "b.doc").write_text("text")
    with pytest.raises(DocumentError, match=r"has no documents in it.*b\.doc was left out"):
        find_sources([str(tmp_path)])


@pytest.mark.parametrize("address", ["https://example.org/a.pdf", "HTTP://x/y", "www.example.org"])
def test_an_address(address: str) -> None:
    with pytest.raises(DocumentError, match=r"is an address.*curl -L -o page\.html"):
        find_sources([address])


def test_a_pipe_that_nothing_writes_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PIPE_SECONDS", 0.1)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(DocumentError, match="pipe that nothing writes to"):
        read_document(Source(pipe, "pipe"))


@pytest.mark.parametrize("pause", [0, 0.4])
def test_a_pipe_with_a_writer(tmp_path: Path, pause: float) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    code = f"import time; f = open({str(pipe)!r}, 'w'); time.sleep({pause}); f.write('A goat.' * 9)"
    with subprocess.Popen([sys.executable, "-c", code]):
        assert read_document(Source(pipe, "pipe")).text == "A goat." * 9


def test_a_device() -> None:
    with pytest.raises(DocumentError, match="is not a file"):
        read_document(Source(Path("/dev/zero"), "/dev/zero"))
