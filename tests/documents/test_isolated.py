"""Files made to do harm: each ends within its bounds, with a line that says so."""

import io
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mplus_cli.documents import Document, DocumentError, Source, isolated, read_document, worker


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str, bytes], Document]:
    def read_bytes(name: str, data: bytes) -> Document:
        path = tmp_path / name
        path.write_bytes(data)
        return read_document(Source(path, name))

    return read_bytes


Read = Callable[[str, bytes], Document]


def epub(*bodies: str) -> bytes:
    """An EPUB of so many parts, whose text is stored in few bytes where it repeats itself."""
    numbers = range(len(bodies))
    items = "".join(
        f'<item id="{n}" href="{n}.xhtml" media-type="application/xhtml+xml"/>' for n in numbers
    )
    spine = "".join(f'<itemref idref="{n}"/>' for n in numbers)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)
        root = '<container><rootfiles><rootfile full-path="c.opf"/></rootfiles></container>'
        archive.writestr("META-INF/container.xml", root)
        opf = f"<package><manifest>{items}</manifest><spine>{spine}</spine></package>"
        archive.writestr("c.opf", opf)
        for number, body in enumerate(bodies):
            archive.writestr(f"{number}.xhtml", f"<html><body>{body}</body></html>")
    return buffer.getvalue()


@pytest.mark.skipif(sys.platform != "linux", reason="reads its peak from /proc")
def test_elements_without_end_take_no_memory(read: Read) -> None:
    """A tree of these elements would take 120 MiB by itself."""
    program = """
import sys
from pathlib import Path
sys.argv[:] = ["x"]
from mplus_cli.documents import formats
parts = formats.parse(sys.stdin.buffer.read(), "x", ".epub", None, None)
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
print(int(peak.split()[1]) >> 10, parts.pages[0].text)
"""
    data = epub("x" + "<p>" * 200_000)
    done = subprocess.run([sys.executable, "-c", program], input=data, capture_output=True)
    size, text = done.stdout.split()
    assert text == b"x"
    assert int(size) < 100


def test_time_is_bounded(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated, "CPU_SECONDS", 1)
    with pytest.raises(DocumentError, match=r"^a\.epub takes more than 1 s to read: it is damaged"):
        read("a.epub", epub(*["<p>" * 4_000_000] * 2))


def test_memory_is_bounded(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated, "MEMORY_BYTES", 200 << 20)
    with pytest.raises(DocumentError, match=r"^a\.epub takes more than 210 MB of memory to read"):
        read("a.epub", epub("<p>" + "word " * 6_000_000))


def test_text_is_bounded(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated, "MAX_CHARACTERS", 2_000_000)
    with pytest.raises(DocumentError, match=r"a\.html has more than 2 million characters: split"):
        read("a.html", b"<html><p>" + b"word " * 500_000)


def test_a_long_plain_text_is_bounded_too(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated, "MAX_CHARACTERS", 2_000_000)
    with pytest.raises(DocumentError, match=r"a\.txt has more than 2 million characters: split"):
        read("a.txt", b"word " * 1_000_000)


def test_a_crash_is_a_line(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    crash = [sys.executable, "-c", "import os; os.abort()"]
    monkeypatch.setattr(worker, "command", lambda *_: crash)
    with pytest.raises(DocumentError, match=r"^a\.html stops the program that reads it"):
        read("a.html", b"<html>text")


def test_what_an_isolated_parser_says(read: Read) -> None:
    """Text, title and error come across as they are, whatever their characters."""
    document = read("a.html", "<html><title>Ö 漢</title><p>\U0001f411 “x”\n y".encode())
    assert (document.title, document.text) == ("Ö 漢", "\U0001f411 “x” y")
    with pytest.raises(DocumentError, match=r"^ö\.html has no text in it$"):
        read("ö.html", b"<html><p>")
