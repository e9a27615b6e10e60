"""Finding sources and parsing page ranges."""

from pathlib import Path

import pytest

from mplus_cli.documents import DocumentError, PageRange, Source, find_sources
from mplus_cli.errors import MplusError


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text")


def test_a_folder_is_searched_in_reading_order(tmp_path: Path) -> None:
    touch(tmp_path, "ch10.txt", "ch2.TXT", "b/x.pdf", "a.epub", "c.md", "d.html", "skip.jpg")
    found = [source.name for source in find_sources([str(tmp_path)])]
    names = ["a.epub", "b/x.pdf", "c.md", "ch2.TXT", "ch10.txt", "d.html"]
    assert found == [str(tmp_path / name) for name in names]


def test_hidden_files_and_folders_are_skipped(tmp_path: Path) -> None:
    touch(tmp_path, ".hidden.txt", ".git/readme.txt", "seen.txt")
    assert [source.path for source in find_sources([str(tmp_path)])] == [tmp_path / "seen.txt"]


def test_duplicates_are_kept_once(tmp_path: Path) -> None:
    touch(tmp_path, "one.txt", "two.txt")
    one = tmp_path / "one.txt"
    again = tmp_path / "." / ".." / tmp_path.name / "one.txt"
    found = find_sources([str(one), str(tmp_path), str(again), "-", "-"])
    assert [source.path for source in found] == [one, tmp_path / "two.txt", None]


def test_stdin() -> None:
    assert find_sources(["-"]) == [Source(None, "-")]


def test_an_explicit_file_may_have_any_suffix(tmp_path: Path) -> None:
    touch(tmp_path, "notes.log")
    assert find_sources([str(tmp_path / "notes.log")])[0].path == tmp_path / "notes.log"


def test_a_missing_file_is_named_with_the_nearest(tmp_path: Path) -> None:
    touch(tmp_path, "moonfleet.txt", "other.txt")
    with pytest.raises(DocumentError, match=r"moonflet\.txt does not exist.*moonfleet\.txt\?"):
        find_sources([str(tmp_path / "moonflet.txt")])


def test_a_missing_file_with_nothing_near(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"zzz\.pdf does not exist: check the name"):
        find_sources([str(tmp_path / "zzz.pdf")])
    with pytest.raises(DocumentError, match="no folder"):
        find_sources([str(tmp_path / "none" / "zzz.pdf")])


def test_a_folder_without_documents(tmp_path: Path) -> None:
    touch(tmp_path, "image.png")
    with pytest.raises(DocumentError, match="has no documents"):
        find_sources([str(tmp_path)])


def test_an_empty_argument() -> None:
    with pytest.raises(DocumentError, match="not a file name"):
        find_sources([""])


def test_messages_are_one_line() -> None:
    error = DocumentError("a\nb\udcff is wrong")
    assert str(error) == "a?b? is wrong"
    assert isinstance(error, MplusError)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("3-9", (3, 9)), ("3-", (3, None)), ("-9", (None, 9)), ("7", (7, 7)), (" 3 - 9 ", (3, 9))],
)
def test_page_ranges(text: str, expected: tuple[int | None, int | None]) -> None:
    parsed = PageRange.parse(text)
    assert (parsed.first, parsed.last) == expected
    assert PageRange.parse(str(parsed)) == parsed


@pytest.mark.parametrize("text", ["", "-", "x", "1-2-3", "0", "0-3", "9-3", "1.5", "-0", "²"])
def test_page_ranges_that_are_none(text: str) -> None:
    with pytest.raises(DocumentError, match="page range"):
        PageRange.parse(text)
