"""EPUB: reading order, titles, DRM, and files made to do harm."""

import zipfile
from pathlib import Path

import pytest

from mplus_cli.documents import (
    Document,
    DocumentError,
    Source,
    archive,
    formats,
    isolated,
    read_document,
)

CONTAINER = """<?xml version="1.0"?>
<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>
<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/>
</rootfiles></container>"""


def package(items: dict[str, str], spine: str, title: str = "A Title") -> str:
    manifest = "".join(
        f'<item id="{name}" href="{href}" media-type="application/xhtml+xml"/>'
        for name, href in items.items()
    )
    return f"""<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf">
    <metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{title}</dc:title></metadata>
    <manifest>{manifest}</manifest><spine>{spine}</spine></package>"""


def ref(name: str, extra: str = "") -> str:
    return f'<itemref idref="{name}" {extra}/>'


def page(text: str) -> str:
    return f"<html xmlns='http://www.w3.org/1999/xhtml'><head><title/></head><body><p>{text}</p></body></html>"


ITEMS = {"one": "one.xhtml", "two": "sub/two%20b.xhtml"}
MEMBERS = {
    "META-INF/container.xml": CONTAINER,
    "OEBPS/book.opf": package(ITEMS, ref("two") + ref("one")),
    "OEBPS/one.xhtml": page("First."),
    "OEBPS/sub/two b.xhtml": page("Second."),
}


def make(tmp_path: Path, changes: dict[str, str | bytes | None], name: str = "b.epub") -> Path:
    path = tmp_path / name
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)
        for member, content in {**MEMBERS, **changes}.items():
            if content is not None:
                archive.writestr(member, content)
    return path


def read(path: Path) -> Document:
    return read_document(Source(path, str(path)))


def test_spine_order_and_title(tmp_path: Path) -> None:
    document = read(make(tmp_path, {}))
    assert (document.kind, document.title, document.page_count) == ("epub", "A Title", None)
    assert document.text == "Second.\n\nFirst."
    assert [part.number for part in document.pages] == [None, None]
    assert document.warnings == ()


def test_an_epub_by_another_name(tmp_path: Path) -> None:
    assert read(make(tmp_path, {}, "b.txt")).kind == "epub"


def test_progress(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    read_document(Source(make(tmp_path, {}), "b"), progress=lambda *now: seen.append(now))
    assert seen == [(1, 2), (2, 2)]


def test_items_that_are_not_linear_come_last(tmp_path: Path) -> None:
    opf = package(ITEMS, ref("two", 'linear="no"') + ref("one"))
    assert read(make(tmp_path, {"OEBPS/book.opf": opf})).text == "First.\n\nSecond."


NAV = """<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops"><body>
<nav epub:type="landmarks"><ol><li><a href="one.xhtml">Start</a></li></ol></nav>
<nav epub:type="toc"><ol><li><span>Part 2</span><ol>
<li><a href="sub/two%20b.xhtml">Chapter 7</a></li><li><a href="one.xhtml#here">Chapter 8</a></li>
</ol></li></ol></nav></body></html>"""
NCX = """<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap><navPoint><navLabel><text>Part 2</text>
</navLabel><content src="sub/two%20b.xhtml"/><navPoint><navLabel><text>Chapter 7</text></navLabel>
<content src="sub/two%20b.xhtml"/></navPoint><navPoint><navLabel><text>Chapter 8</text></navLabel>
<content src="one.xhtml#here"/></navPoint></navPoint></navMap></ncx>"""


@pytest.mark.parametrize(
    ("item", "content"),
    [
        ('href="toc" media-type="application/xhtml+xml" properties="nav"', NAV),
        ('href="toc" media-type="application/x-dtbncx+xml"', NCX),
        ("", "none"),
    ],
)
def test_places_from_the_table_of_contents(tmp_path: Path, item: str, content: str) -> None:
    """Without one, the headings in the text serve."""
    opf = MEMBERS["OEBPS/book.opf"].replace("</manifest>", f'<item id="t" {item}/></manifest>')
    one = page("Before.</p><h2 id='here'>Own title</h2><p>First.")
    members = {"OEBPS/book.opf": opf, "OEBPS/one.xhtml": one, "OEBPS/toc": content}
    document = read(make(tmp_path, members))
    assert document.text == "Second.\n\nBefore.\n\nOwn title\n\nFirst."
    found = [(one.level, one.title, document.text[one.start :][:9]) for one in document.headings]
    own = [(2, "Own title", "Own title")]
    listed = [
        (1, "Part 2", "Second.\n\n"),
        (2, "Chapter 7", "Second.\n\n"),
        (2, "Chapter 8", "Own title"),
    ]
    assert found == (listed if item else own)


def test_without_container(tmp_path: Path) -> None:
    assert read(make(tmp_path, {"META-INF/container.xml": None})).text == "Second.\n\nFirst."


def test_a_missing_item_is_a_warning(tmp_path: Path) -> None:
    document = read(make(tmp_path, {"OEBPS/one.xhtml": None}))
    assert document.text == "Second."
    assert document.warnings == ("OEBPS/one.xhtml could not be read and was left out",)


def encryption(uri: str, algorithm: str) -> str:
    return f"""<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container"
    xmlns:enc="http://www.w3.org/2001/04/xmlenc#"><enc:EncryptedData>
    <enc:EncryptionMethod Algorithm="{algorithm}"/><enc:CipherData>
    <enc:CipherReference URI="{uri}"/></enc:CipherData></enc:EncryptedData></encryption>"""


def test_drm(tmp_path: Path) -> None:
    aes = encryption("OEBPS/one.xhtml", "http://www.w3.org/2001/04/xmlenc#aes128-cbc")
    with pytest.raises(DocumentError, match="protected by DRM"):
        read(make(tmp_path, {"META-INF/encryption.xml": aes}))


def test_obfuscated_fonts_are_no_drm(tmp_path: Path) -> None:
    font = encryption("OEBPS/font.otf", "http://www.idpf.org/2008/embedding")
    assert read(make(tmp_path, {"META-INF/encryption.xml": font})).text == "Second.\n\nFirst."


def test_a_zip_bomb_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated, "parse_isolated", formats.parse)
    monkeypatch.setattr(archive, "MAX_MEMBER_BYTES", 1 << 20)
    bomb = page("a" * (1 << 21))
    document = read(make(tmp_path, {"OEBPS/one.xhtml": bomb}))
    assert document.text == "Second."
    assert len(document.warnings) == 1


def test_all_members_together_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated, "parse_isolated", formats.parse)
    monkeypatch.setattr(archive, "MAX_TOTAL_BYTES", 3000)
    document = read(make(tmp_path, {"OEBPS/one.xhtml": page("a" * 2500)}))
    assert document.text == "Second."


def test_entities_are_not_resolved(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("SECRET")
    opf = MEMBERS["OEBPS/book.opf"].replace(
        '<?xml version="1.0"?>',
        f'<?xml version="1.0"?><!DOCTYPE package [<!ENTITY x SYSTEM "{secret.as_uri()}">]>',
    )
    content = page("x &x; y").replace(
        "<html", f'<!DOCTYPE html [<!ENTITY x SYSTEM "{secret.as_uri()}">]><html', 1
    )
    changes: dict[str, str | bytes | None] = {
        "OEBPS/book.opf": opf.replace("A Title", "T &x;"),
        "OEBPS/one.xhtml": content,
    }
    document = read(make(tmp_path, changes))
    assert "SECRET" not in document.text + document.title
    assert "Second." in document.text


def test_paths_stay_in_the_zip(tmp_path: Path) -> None:
    (tmp_path / "outside.xhtml").write_text(page("OUTSIDE"))
    for href in ("../../outside.xhtml", f"{tmp_path}/outside.xhtml"):
        opf = package({**ITEMS, "out": href}, ref("one") + ref("out"))
        document = read(make(tmp_path, {"OEBPS/book.opf": opf}))
        assert document.text == "First."
        assert len(document.warnings) == 1


@pytest.mark.parametrize("keep", [40, 300, 0.5])
def test_truncated(tmp_path: Path, keep: float) -> None:
    path = make(tmp_path, {})
    data = path.read_bytes()
    path.write_bytes(data[: int(keep if keep > 1 else len(data) * keep)])
    with pytest.raises(DocumentError, match="not a readable EPUB"):
        read(path)


def test_no_text(tmp_path: Path) -> None:
    empty = page("<img src='x.png'/>")
    with pytest.raises(DocumentError, match="has no text"):
        read(make(tmp_path, {"OEBPS/one.xhtml": empty, "OEBPS/sub/two b.xhtml": empty}))
