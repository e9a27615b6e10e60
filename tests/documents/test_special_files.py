"""What is no file to read, and what never ends: each is a line, and nothing waits for it."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from mplus_cli.documents import DocumentError, Source, find_sources, read_document, reading

if sys.platform == "win32":
    pytest.skip("pipes, devices and links of Unix", allow_module_level=True)


def said(path: Path | str) -> str:
    """What is said of a source that cannot be read."""
    with pytest.raises(DocumentError) as raised:
        read_document(find_sources([str(path)])[0])
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_pipe_that_nothing_writes_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PIPE_SECONDS", 0.0)
    os.mkfifo(tmp_path / "pipe.txt")
    assert said(tmp_path / "pipe.txt").endswith(
        "is a pipe that nothing writes to: name a file, or use -"
    )


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.txt"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("It was a dark night.\n" * 9000,))
    writer.start()
    text = read_document(Source(pipe, "pipe.txt")).text
    writer.join()
    assert text.count("dark night") == 9000


@pytest.mark.parametrize(
    "device", ["/dev/zero", "/dev/null", "/dev/tty", "/dev/full", "/dev/random"]
)
def test_a_device_is_not_opened(device: str) -> None:
    if not os.path.exists(device):
        pytest.skip("not here")
    assert said(device).endswith("is not a file (a device or socket): name a file, or use -")


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs /proc")
def test_files_of_the_system_that_have_no_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "cannot be read: Input/output error" in said("/proc/self/mem")
    monkeypatch.setattr(reading, "MAX_BYTES", 1 << 20)
    assert "is larger than" in said("/proc/self/pagemap")  # terabytes
    (tmp_path / "link.txt").symlink_to("/proc/self/pagemap")
    assert "is larger than" in said(tmp_path)


def test_links_without_end(tmp_path: Path) -> None:
    """Links to each other, chains of them, and folders that hold themselves."""
    (tmp_path / "one.txt").symlink_to("two.txt")
    (tmp_path / "two.txt").symlink_to("one.txt")
    assert said(tmp_path / "one.txt").endswith("is a link to a file that does not exist")
    assert "does not exist" in said(tmp_path / "one.txt" / "three.txt")
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(60):
        (folder / f"{number}.txt").symlink_to(f"{number + 1}.txt")
    (folder / "60.txt").write_text("It was a dark night.")
    (folder / "itself").symlink_to(folder)
    (folder / "up").symlink_to(tmp_path)
    found = [source.path for source in find_sources([str(folder)])]
    assert len(found) == 1  # all that can be followed are one file
    assert "does not exist" in said(folder / "0.txt")
