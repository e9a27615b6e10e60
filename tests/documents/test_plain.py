"""Plain text and Markdown: encodings, binary data, and which lines belong together."""

import codecs
import hashlib
import io
from pathlib import Path

import pytest

from mplus_cli.documents import Document, DocumentError, PageRange, Source, read_document
from mplus_cli.documents.emphasis import without_emphasis

PROSE = """\
The village of Moonfleet lies half a mile from the sea on the right or
west bank of the Fleet stream. This rivulet, which is so narrow as it
passes the houses that I have known a good jumper clear it without a
pole, broadens out into salt marshes below the village, and loses itself
at last in a lake of brackish water."""


def read(tmp_path: Path, data: bytes | str, name: str = "my-old_book.txt") -> Document:
    path = tmp_path / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return read_document(Source(path, str(path)))


def text_of(tmp_path: Path, data: bytes | str, name: str = "a.txt") -> str:
    return read(tmp_path, data, name).text


def test_a_document(tmp_path: Path) -> None:
    document = read(tmp_path, "Some text.")
    assert (document.title, document.kind, document.page_count) == ("My Old Book", "text", None)
    assert document.path == str(tmp_path / "my-old_book.txt")
    assert [page.number for page in document.pages] == [None]
    assert document.sha256 == hashlib.sha256(b"Some text.").hexdigest()


def test_stdin_and_title() -> None:
    seen: list[tuple[int, int]] = []
    document = read_document(
        Source(None, "-"),
        title="Given",
        stdin=io.BytesIO(b"from a pipe"),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert (document.path, document.title, document.text) == ("-", "Given", "from a pipe")
    assert seen == [(1, 1)]


@pytest.mark.parametrize(
    "data", [b"", b" \n\t\r\n ", b"\xef\xbb\xbf", b"\xef\xbb\xbf \n", b"\0\0\0\0"]
)
def test_empty(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(DocumentError, match="is empty"):
        read(tmp_path, data)


@pytest.mark.parametrize(
    "data",
    [
        b"\x7fELF\x02\x01\x01" + bytes(100),
        bytes(range(256)) * 20,
    ],
)
@pytest.mark.parametrize("name", ["a.txt", "a.html"])
def test_binary_data(tmp_path: Path, data: bytes, name: str) -> None:
    with pytest.raises(DocumentError, match=r"is not text \(binary data\): give"):
        read(tmp_path, data, name)


ACCENTS = "Übergrößen für naïve Gäste — così fan tutte, dit-il à l'élève « déjà vu »."


@pytest.mark.parametrize("name", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("mark", [True, False])
def test_unicode_with_and_without_mark(tmp_path: Path, name: str, mark: bool) -> None:
    marks = {
        "utf-8": codecs.BOM_UTF8,
        "utf-16-le": codecs.BOM_UTF16_LE,
        "utf-16-be": codecs.BOM_UTF16_BE,
        "utf-32-le": codecs.BOM_UTF32_LE,
        "utf-32-be": codecs.BOM_UTF32_BE,
    }
    data = (marks[name] if mark else b"") + ACCENTS.encode(name)
    assert text_of(tmp_path, data) == ACCENTS


RUSSIAN = "Все счастливые семьи похожи друг на друга, каждая несчастливая семья несчастлива. " * 3
JAPANESE = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。" * 3
CHINESE = "话说天下大势，分久必合，合久必分。周末七国分争，并入于秦。" * 3


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (ACCENTS, "cp1252"),
        (RUSSIAN.strip(), "cp1251"),
        (JAPANESE, "shift_jis"),
        (CHINESE, "gb18030"),
    ],
)
def test_code_pages(tmp_path: Path, text: str, name: str) -> None:
    assert text_of(tmp_path, text.encode(name)) == text


def test_a_broken_byte_spoils_not_the_rest(tmp_path: Path) -> None:
    data = ("Größe " * 40).encode() + b"\xff " + "übrig".encode()
    assert text_of(tmp_path, data).endswith("\ufffd übrig")


def test_characters_are_cleaned(tmp_path: Path) -> None:
    ligatures = "o\ufb03ce \ufb01sh \ufb02y \ufb00 \ufb04 \ufb05 \ufb06"
    dirty = f"\ufeff{ligatures} co\u00adop\u200b\x00 a\u00a0b cafe\u0301\x07"
    assert text_of(tmp_path, dirty) == "office fish fly ff ffl st st coop a b café"


def test_prose_is_unwrapped_and_paragraphs_kept(tmp_path: Path) -> None:
    joined = " ".join(PROSE.splitlines())
    made = text_of(
        tmp_path, f"CHAPTER I\nTHE VILLAGE\n\n\n{PROSE}\n\n\n\n{PROSE}\n".replace("\n", "\r\n")
    )
    assert made == f"CHAPTER I\nTHE VILLAGE\n\n{joined}\n\n{joined}"


def test_verse_keeps_its_lines(tmp_path: Path) -> None:
    verse = "Says the Cap'n to the Crew,\nWe have slipped the Revenue,\n  I can see the cliffs:"
    assert text_of(tmp_path, f"{PROSE}\n\n{verse}") == f"{' '.join(PROSE.splitlines())}\n\n{verse}"


def test_lists_tables_and_code_keep_their_lines(tmp_path: Path) -> None:
    kept = [
        "- the first thing, about which there is rather a lot to say on a line",
        "- the second thing, about which there is also quite a lot to say here",
    ]
    table = "Name           Age          Town of birth\nAnn            12           Bath"
    code = "def f(x):\n    if x:\n        return 1"
    made = text_of(tmp_path, "\n\n".join([PROSE, "\n".join(kept), table, code]))
    assert made.endswith("\n\n".join(["", "\n".join(kept), table, code]))


def test_a_list_item_is_unwrapped(tmp_path: Path) -> None:
    item = "1. the first thing, about which there is rather a lot to say on every\n   line and more"
    made = text_of(tmp_path, f"{PROSE}\n\n{item}\n2. the second")
    assert made.endswith("to say on every line and more\n2. the second")


def test_paragraphs_marked_by_indentation_alone(tmp_path: Path) -> None:
    lines = PROSE.splitlines()
    made = text_of(
        tmp_path, "\n".join(["    " + lines[0], *lines[1:], "    " + lines[0], *lines[1:]])
    )
    assert made == "\n\n".join([" ".join(lines)] * 2)


def test_one_line_a_paragraph(tmp_path: Path) -> None:
    line = " ".join(PROSE.splitlines())
    assert text_of(tmp_path, f"{line}\n{line}\n{line}") == f"{line}\n\n{line}\n\n{line}"


def test_markdown(tmp_path: Path) -> None:
    source = f"# Head\n{PROSE}\n\n```python\nx = 1\n\n\nif x:\n    y()\n```\n> quoted"
    document = read(tmp_path, source, "a.md")
    joined = " ".join(PROSE.splitlines())
    assert document.kind == "markdown"
    code = "```python\nx = 1\n\n\nif x:\n    y()\n```"
    assert document.text == f"# Head\n{joined}\n\n{code}\n\n> quoted"


def hyphenated(tmp_path: Path, left: str, right: str, seen: str = "") -> str:
    wrapped = f"It was then, one autumn evening in the old house, {left}\n{right} again."
    return text_of(tmp_path, f"{PROSE}\n{wrapped}\n\n{seen}")


@pytest.mark.parametrize(
    ("left", "right", "seen", "expected"),
    [
        ("exam-", "ple", "", "example"),
        ("exam\u00ad", "ple", "", "example"),
        ("well-", "known", "a well-known fact", "well-known"),
        ("well-", "known", "a wellknown fact", "wellknown"),
        ("south-", "westerly", "the south and a westerly gale", "south-westerly"),
        ("well-", "known", "", "well-known"),
        ("self-", "taught", "", "self-taught"),
        ("self-", "ishness", "", "selfishness"),
        ("ill-", "ness", "", "illness"),
        ("twenty-", "two", "", "twenty-two"),
        ("good-", "natured", "", "good-natured"),
        ("un-", "known", "", "unknown"),
        ("Anglo-", "Saxon", "", "Anglo-Saxon"),
        ("1914-", "1918", "", "1914-1918"),
        ("stop--", "then", "", "stop--then"),
    ],
)
def test_hyphens_at_line_ends(
    tmp_path: Path, left: str, right: str, seen: str, expected: str
) -> None:
    assert f" {expected} again." in hyphenated(tmp_path, left, right, seen)


def test_chinese_lines_join_without_space(tmp_path: Path) -> None:
    line = "话说天下大势分久必合合久必分周末七国分争并入于秦及秦灭之后楚汉分争又并入于汉"
    assert text_of(tmp_path, "\n".join([line] * 4)) == line * 4


def test_gutenberg_licence_is_cut(tmp_path: Path) -> None:
    title = "The Project Gutenberg eBook of X\n\nTitle: A Tale\n\n"
    start = "*** START OF THE PROJECT GUTENBERG EBOOK A TALE ***"
    end = "*** END OF THE PROJECT GUTENBERG EBOOK A TALE ***"
    document = read(tmp_path, f"{title}{start}\n\nOnce.\n\n{end}\n\nLicence")
    assert (document.text, document.title) == ("Once.", "A Tale")
    assert text_of(tmp_path, f"{title}Once.").endswith("Once.")


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("“_Kill!_” he cried, “_kill\nthem all!_”", "“Kill!” he cried, “kill them all!”"),
        ("the _Swan_'s mast--_More_", "the Swan's mast--More"),
        ("_It was.\n\nIt is._ So.", "_It was.\n\nIt is._ So."),  # never over a paragraph's end
        (
            "_do_ _now_ _see_ snake_case_name and __init__",
            "do now see snake_case_name and __init__",
        ),
        ("_A_ _B_ _C_ and _ c _, en_gine_ _of_war", "A B C and _ c _, en_gine_ _of_war"),
        ("Name: ____ _____", "Name: ____ _____"),
        # Where most underscores are parts of names, so may the others be.
        ("_lock, my_lock = (_a, b_) and a_b", "_lock, my_lock = (_a, b_) and a_b"),
    ],
)
def test_marks_of_emphasis_are_left_out_of_plain_text(
    tmp_path: Path, written: str, read_as: str
) -> None:
    assert text_of(tmp_path, written) == read_as
    assert text_of(tmp_path, f"{written}\f\n{PROSE}").startswith(read_as.split("\n")[0])


def test_emphasis_may_run_over_the_end_of_a_line() -> None:
    assert without_emphasis(["_One,\ntwo;_ _a\n\nb_"]) == ["One,\ntwo; _a\n\nb_"]


def test_marks_of_emphasis_stay_in_markdown(tmp_path: Path) -> None:
    assert text_of(tmp_path, "“_Kill!_”", "a.md") == "“_Kill!_”"


def test_pages_of_a_text(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("text")
    with pytest.raises(DocumentError, match="no page numbers"):
        read_document(Source(path, "a.txt"), pages=PageRange(1, 2))


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="cannot be read"):
        read_document(Source(tmp_path / "gone.txt", "gone.txt"))


def test_a_file_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mplus_cli.documents.reading.MAX_BYTES", 1 << 20)
    with pytest.raises(DocumentError, match=r"larger than 1\.0 MB: split it"):
        read(tmp_path, b"a" * ((1 << 20) + 1))
