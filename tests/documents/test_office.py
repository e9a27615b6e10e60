"""Office documents (DOCX, ODT, PPTX): what is read, what is left out, and files made to do harm."""

import io
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
from mplus_cli.documents.list_labels import Labels, Rule
from mplus_cli.documents.places import Places

WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
ODF = " ".join(
    f'xmlns:{short}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for short, name in [
        *(("office", "office"), ("text", "text"), ("table", "table"), ("style", "style")),
        *(("fo", "xsl-fo-compatible"), ("svg", "svg-compatible"), ("draw", "drawing")),
        ("meta", "meta"),
    ]
)


def relations(**parts: str) -> str:
    rows = "".join(
        f'<Relationship Id="{kind}" Type="{RELATION}/{kind.rstrip("0123456789")}" Target="{part}"/>'
        for kind, part in parts.items()
    )
    return f"<Relationships>{rows}</Relationships>"


STYLES = f"""<w:styles {WORD}>
<w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>
<w:style w:styleId="Kapitel"><w:name w:val="Kapitel"/><w:basedOn w:val="berschrift2"/></w:style>
<w:style w:styleId="berschrift2"><w:name w:val="heading 2"/><w:pPr><w:numPr><w:ilvl w:val="1"/>
<w:numId w:val="7"/></w:numPr><w:outlineLvl w:val="1"/></w:pPr></w:style>
<w:style w:styleId="Titel"><w:name w:val="Title"/></w:style>
<w:style w:styleId="Geheim"><w:name w:val="Geheim"/><w:rPr><w:vanish/></w:rPr></w:style>
</w:styles>"""
NUMBERING = f"""<w:numbering {WORD}>
<w:abstractNum w:abstractNumId="0"><w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/>
<w:lvlText w:val="%1."/></w:lvl><w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="lowerLetter"/>
<w:lvlText w:val="(%2)"/></w:lvl></w:abstractNum>
<w:abstractNum w:abstractNumId="1"><w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/></w:lvl></w:abstractNum>
<w:abstractNum w:abstractNumId="2"><w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/>
<w:lvlText w:val="%1"/></w:lvl><w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="decimal"/>
<w:lvlText w:val="%1.%2"/></w:lvl></w:abstractNum>
<w:num w:numId="3"><w:abstractNumId w:val="0"/></w:num>
<w:num w:numId="4"><w:abstractNumId w:val="1"/></w:num>
<w:num w:numId="5"><w:abstractNumId w:val="0"/><w:lvlOverride w:ilvl="0"><w:startOverride w:val="4"/>
</w:lvlOverride></w:num>
<w:num w:numId="7"><w:abstractNumId w:val="2"/></w:num>
</w:numbering>"""


def run(text: str) -> str:
    return f'<w:r><w:t xml:space="preserve">{text}</w:t></w:r>'


def par(content: str, properties: str = "") -> str:
    content = content if content.startswith("<") else run(content)
    return f"<w:p><w:pPr>{properties}</w:pPr>{content}</w:p>"


def styled(name: str, text: str) -> str:
    return par(text, f'<w:pStyle w:val="{name}"/>')


def item(number: int, text: str, level: int = 0) -> str:
    return par(text, f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr>')


def table(*rows: list[str]) -> str:
    cells = ["".join(f"<w:tc>{par(cell)}</w:tc>" for cell in row) for row in rows]
    return f"<w:tbl>{''.join(f'<w:tr>{row}</w:tr>' for row in cells)}</w:tbl>"


def packed(members: dict[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in members.items():
            zipped.writestr(name, content)
    return buffer.getvalue()


def docx(body: str, pages: int = 1, **parts: str) -> bytes:
    """A Word document; `parts` are further members by the stems of their names."""
    members: dict[str, str | bytes] = {
        "[Content_Types].xml": "<Types/>",
        "_rels/.rels": relations(officeDocument="word/document.xml"),
        "word/_rels/document.xml.rels": relations(
            styles="styles.xml",
            numbering="numbering.xml",
            footnotes="footnotes.xml",
            endnotes="endnotes.xml",
        ),
        "word/document.xml": f"<w:document {WORD}><w:body>{body}</w:body></w:document>",
        "word/styles.xml": STYLES,
        "word/numbering.xml": NUMBERING,
        "docProps/core.xml": "<c><title>Harbour log</title><creator>Ada Quill</creator>"
        "<created>2024-05-02T10:00:00Z</created></c>",
        "docProps/app.xml": f"<Properties><Pages>{pages}</Pages></Properties>",
    }
    for name, content in parts.items():
        members[f"word/{name}.xml"] = f"<w:{name} {WORD}>{content}</w:{name}>"
    return packed(members)


def odt(body: str, styles: str = "", pages: int = 1) -> bytes:
    meta = (
        f'<office:document-meta {ODF} xmlns:dc="d"><office:meta><dc:title>Harbour log</dc:title>'
        "<meta:initial-creator>Ada Quill</meta:initial-creator><dc:creator>The editor</dc:creator>"
        "<meta:creation-date>2024-05-02T10:00:00</meta:creation-date>"
        f'<meta:document-statistic meta:page-count="{pages}"/></office:meta></office:document-meta>'
    )
    content = (
        f"<office:document-content {ODF}><office:automatic-styles>{styles}</office:automatic-styles>"
        f"<office:body><office:text>{body}</office:text></office:body></office:document-content>"
    )
    return packed(
        {
            "mimetype": "application/vnd.oasis.opendocument.text",
            "content.xml": content,
            "meta.xml": meta,
        }
    )


def read(data: bytes, name: str, tmp_path: Path) -> Document:
    path = tmp_path / name
    path.write_bytes(data)
    return read_document(Source(path, name))


def text_of(data: bytes, name: str) -> str:
    """The text, read in this process."""
    parts = formats.parse(data, name, f".{name.rpartition('.')[2]}", None, None)
    return "".join(page.text for page in parts.pages)


def test_a_word_document(tmp_path: Path) -> None:
    """Headings by their styles, whatever those are called here; numbers as Word shows them."""
    body = (
        styled("Titel", "The Log")
        + styled("berschrift1", "Brannock")
        + par("The ferry   left " + "</w:t><w:tab/><w:t>" + "at six.")
        + item(3, "oil")
        + item(3, "wick", 1)
        + item(3, "glass", 1)
        + item(3, "brass")
        + item(4, "a bullet")
        + item(5, "goes on at four")
        + styled("Kapitel", "The Quay")
        + table(["Port", "Ships", "Depth"], ["Brannock", "14", "9 m"], ["Sallow", "", "4 m"])
        + table(["Lamp", "lit"])
        + par("A long cell.", '<w:outlineLvl w:val="9"/>')
    )
    document = read(docx(body), "a.docx", tmp_path)
    assert document.text == (
        "The Log\n\nBrannock\n\nThe ferry left at six.\n\n1. oil\n(a) wick\n(b) glass\n2. brass\n"
        "- a bullet\n4. goes on at four\n\n1.1 The Quay\n\nPort | Ships | Depth\n"
        "Brannock | 14 | 9 m\nSallow |  | 4 m\n\nLamp | lit\n\nA long cell."
    )
    assert [(one.level, one.title) for one in document.headings] == [
        (1, "Brannock"),
        (2, "1.1 The Quay"),
    ]
    assert Places(document).of(document.text.index("Sallow"), len(document.text))[1].section == (
        "Brannock",
        "1.1 The Quay",
    )
    assert (document.kind, document.title) == ("docx", "Harbour log")
    assert (document.author, document.date, document.page_count) == ("Ada Quill", "2024", None)


def test_what_word_does_not_show() -> None:
    body = (
        par(
            run("The ferry ")
            + f"<w:del>{run('DELETED')}<w:r><w:delText>GONE</w:delText></w:r></w:del>"
            + f"<w:ins>{run('left')}</w:ins>"
            + f"<w:moveFrom>{run('MOVED')}</w:moveFrom>"
            + "<w:r><w:rPr><w:vanish/></w:rPr><w:t>HIDDEN</w:t></w:r>"
            + '<w:r><w:rPr><w:vanish w:val="0"/></w:rPr><w:t> at</w:t></w:r>'
            + '<w:r><w:rPr><w:rStyle w:val="Geheim"/></w:rPr><w:t>HIDDEN</w:t></w:r>'
            + "<w:r><w:instrText>PAGE HIDDEN</w:instrText></w:r>"
            + run(" six.")
        )
        + styled("Geheim", "HIDDEN")
        + par("One sentence", "<w:rPr><w:del/></w:rPr>")
        + par(" in two.")
        + "<w:tbl><w:tr><w:trPr><w:del/></w:trPr><w:tc>"
        + par("GONE")
        + "</w:tc></w:tr></w:tbl><w:sdt><w:sdtPr><w:showingPlcHdr/></w:sdtPr><w:sdtContent>"
        + par("Click here")
        + "</w:sdtContent></w:sdt><w:sdt><w:sdtPr/><w:sdtContent>"
        + par("Filled in.")
        + "</w:sdtContent></w:sdt>"
    )
    assert text_of(docx(body), "a.docx") == (
        "The ferry left at six.\n\nOne sentence in two.\n\nFilled in."
    )


def test_notes_and_text_boxes_of_word() -> None:
    """A note stands behind the paragraph or table that refers to it, an endnote at the end."""
    note = '<w:r><w:footnoteReference w:id="2"/></w:r>'
    end = '<w:r><w:endnoteReference w:id="2"/></w:r>'
    box = f"<w:r><w:pict><w:txbxContent>{par('In a box.')}</w:txbxContent></w:pict></w:r>"
    body = (
        par(run("The lamp") + note + run(" burned.") + end)
        + f"<w:tbl><w:tr><w:tc>{par(run('oil') + note)}</w:tc><w:tc>{par('9')}</w:tc></w:tr></w:tbl>"
        + par(run("Around the box.") + box)
    )
    footnotes = (
        f'<w:footnote w:type="separator" w:id="0">{par("")}</w:footnote>'
        f'<w:footnote w:id="2">{par("Whale oil until 1902.")}</w:footnote>'
    )
    endnotes = f'<w:endnote w:id="2">{par("In the archive.")}</w:endnote>'
    assert text_of(docx(body, footnotes=footnotes, endnotes=endnotes), "a.docx") == (
        "The lamp burned.\n\nWhale oil until 1902.\n\noil | 9\n\nWhale oil until 1902.\n\n"
        "Around the box.\n\nIn a box.\n\nIn the archive."
    )


BREAK = '<w:r><w:br w:type="page"/></w:r>'
RENDERED = "<w:r><w:lastRenderedPageBreak/></w:r>"


@pytest.mark.parametrize(("pages", "numbers"), [(3, [1, 2, 3]), (7, [None])])
def test_pages_of_word_are_numbered_where_they_are_known(
    pages: int, numbers: list[int | None], tmp_path: Path
) -> None:
    """Word repeats its own break where it laid out one that was asked for."""
    body = (
        par("One.")
        + par(BREAK)
        + par(RENDERED + run("Two ") + RENDERED + run("three."))
        + par("Three.")
    )
    document = read(docx(body, pages), "a.docx", tmp_path)
    assert document.text == "One.\n\nTwo three.\n\nThree."
    assert [page.number for page in document.pages] == numbers
    assert document.page_count == (3 if len(numbers) > 1 else None)
    if document.page_count:
        assert [page.text for page in document.pages][1:] == ["Two ", "three.\n\nThree."]


ODT_STYLES = """
<style:style style:name="Hid"><style:text-properties text:display="none"/></style:style>
<style:style style:name="P1" style:parent-style-name="Title"/>
<style:style style:name="New"><style:paragraph-properties fo:break-before="page"/></style:style>
<text:list-style style:name="L1"><text:list-level-style-number text:level="1" style:num-format="1"
 style:num-suffix="."/><text:list-level-style-bullet text:level="2"/></text:list-style>
"""


def test_an_open_document(tmp_path: Path) -> None:
    body = (
        "<text:tracked-changes><text:p>DELETED</text:p></text:tracked-changes>"
        '<text:p text:style-name="P1">The Log</text:p>'
        '<text:h text:outline-level="1">Brannock</text:h>'
        '<text:p>The ferry<text:s text:c="3"/>left<text:tab/>at six<text:note text:note-class="footnote">'
        "<text:note-citation>1</text:note-citation><text:note-body><text:p>It was late.</text:p>"
        "</text:note-body></text:note>.<office:annotation><text:p>COMMENT</text:p>"
        '</office:annotation><text:note text:note-class="endnote"><text:note-citation>i'
        "</text:note-citation><text:note-body><text:p>In the archive.</text:p></text:note-body>"
        '</text:note><text:span text:style-name="Hid">HIDDEN</text:span></text:p>'
        '<text:list text:style-name="L1"><text:list-item><text:p>oil</text:p><text:list>'
        "<text:list-item><text:p>wick</text:p></text:list-item></text:list></text:list-item>"
        "<text:list-item><text:p>glass</text:p></text:list-item></text:list>"
        '<text:h text:outline-level="2">The Quay</text:h>'
        "<table:table><table:table-row><table:table-cell><text:p>Port</text:p></table:table-cell>"
        "<table:table-cell><text:p>Ships</text:p></table:table-cell></table:table-row>"
        "<table:table-row><table:table-cell><text:p>Brannock</text:p></table:table-cell>"
        "<table:table-cell><text:p>14</text:p></table:table-cell></table:table-row></table:table>"
        "<text:p>A <draw:frame><svg:title>PICTURE</svg:title></draw:frame>frame.<text:line-break/>"
        '<text:title>Field</text:title></text:p><text:section text:display="none"><text:p>HIDDEN'
        "</text:p></text:section>"
    )
    document = read(odt(body, ODT_STYLES), "a.odt", tmp_path)
    assert document.text == (
        "The Log\n\nBrannock\n\nThe ferry left at six.\n\nIt was late.\n\n1. oil\n- wick\n2. glass\n\n"
        "The Quay\n\nPort | Ships\nBrannock | 14\n\nA frame.\nField\n\nIn the archive."
    )
    assert [(one.level, one.title) for one in document.headings] == [
        (1, "Brannock"),
        (2, "The Quay"),
    ]
    assert (document.kind, document.title) == ("odt", "Harbour log")
    assert (document.author, document.date) == ("Ada Quill", "2024")


@pytest.mark.parametrize("pages", [3, 4])
def test_pages_of_an_open_document(pages: int) -> None:
    body = (
        "<text:p>One.</text:p><text:soft-page-break/><text:p>Two.</text:p>"
        '<text:p text:style-name="New">Three.</text:p>'
    )
    parts = formats.parse(odt(body, ODT_STYLES, pages), "a.odt", ".odt", None, None)
    texts = ["One.\n\n", "Two.\n\n", "Three."] if pages == 3 else ["One.\n\nTwo.\n\nThree."]
    assert [page.text for page in parts.pages] == texts


def test_an_open_document_in_one_file() -> None:
    flat = (
        f'<?xml version="1.0"?><office:document {ODF} xmlns:dc="d"><office:meta><dc:title>Log'
        "</dc:title></office:meta><office:body><office:text><text:p>Flat.</text:p></office:text>"
        "</office:body></office:document>"
    )
    parts = formats.parse(flat.encode(), "a.fodt", ".fodt", None, None)
    assert (parts.kind, parts.title, parts.pages[0].text) == ("odt", "Log", "Flat.")


def slide(title: str, *lines: str, attributes: str = "") -> str:
    paragraphs = "".join(f"<a:p><a:r><a:t>{line}</a:t></a:r></a:p>" for line in lines)
    return (
        f'<p:sld xmlns:p="p" xmlns:a="a" {attributes}><p:sp>{paragraphs}</p:sp><p:sp><p:nvPr>'
        f'<p:ph type="title"/></p:nvPr><a:p><a:r><a:t>{title}</a:t></a:r></a:p></p:sp><p:sp><p:nvPr>'
        '<p:ph type="sldNum"/></p:nvPr><a:p><a:t>7</a:t></a:p></p:sp></p:sld>'
    )


def test_slides_are_pages(tmp_path: Path) -> None:
    ids = "".join(f'<p:sldId id="{n}" r:id="slide{n}"/>' for n in (2, 1, 3))
    table_ = (
        "<a:tbl><a:tr><a:tc><a:p><a:t>Port</a:t></a:p></a:tc><a:tc><a:p><a:t>14</a:t></a:p></a:tc>"
        "</a:tr></a:tbl>"
    )
    members: dict[str, str | bytes] = {
        "_rels/.rels": relations(officeDocument="ppt/presentation.xml"),
        "ppt/presentation.xml": f'<p:presentation xmlns:p="p" xmlns:r="r">{ids}</p:presentation>',
        "ppt/_rels/presentation.xml.rels": relations(
            slide1="slides/one.xml", slide2="slides/two.xml", slide3="slides/three.xml"
        ),
        "ppt/slides/one.xml": slide("Brannock", "The ferry left.", "At six."),
        "ppt/slides/two.xml": slide("Start").replace("</p:sld>", table_ + "</p:sld>"),
        "ppt/slides/three.xml": slide("HIDDEN", attributes='show="0"'),
        "ppt/slides/_rels/one.xml.rels": relations(notesSlide="../notes/n.xml"),
        "ppt/notes/n.xml": slide("", "Say that it rained.").replace("p:sld", "p:notes"),
    }
    document = read(packed(members), "a.pptx", tmp_path)
    assert [page.text.strip() for page in document.pages] == [
        "Start\n\nPort | 14",
        "Brannock\n\nThe ferry left.\n\nAt six.\n\nSay that it rained.",
        "",
    ]
    assert [page.number for page in document.pages] == [1, 2, 3]
    assert [one.title for one in document.headings] == ["Start", "Brannock"]


def test_entities_and_fetches(tmp_path: Path) -> None:
    """Nothing grows, and nothing of this machine comes in."""
    (tmp_path / "secret.txt").write_text("SECRET")
    levels = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(9))
    system = f'<!ENTITY s SYSTEM "{tmp_path}/secret.txt">'
    texts = []
    for entities, inside in ((system, "&s;"), (f'<!ENTITY e0 "boom">{levels}', "&e9;")):
        body = par(f"Before {inside} after.") + par("Later.")
        document = f"<!DOCTYPE x [{entities}]><w:document {WORD}>{body}</w:document>"
        data = packed({"word/document.xml": document})
        try:
            texts.append(read(data, "a.docx", tmp_path).text)
        except DocumentError as error:
            texts.append(str(error))
    assert texts[0] == "Before after.\n\nLater."
    assert texts[1].startswith(("Before after.", "a.docx "))
    assert "boomboom" not in texts[1]


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated, "parse_isolated", formats.parse)
    monkeypatch.setattr(archive, "MAX_MEMBER_BYTES", 1 << 20)
    for name, data in (
        ("a.docx", docx(par("a" * (2 << 20)))),
        ("a.odt", odt(f"<text:p>{'a' * (2 << 20)}</text:p>")),
    ):
        with pytest.raises(DocumentError, match=rf"^{name} is not a readable"):
            read(data, name, tmp_path)


def test_deep_and_endless_elements_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated, "CPU_SECONDS", 5)
    many = par("x" + "</w:t><w:br/><w:t>" * 200_000 + "y")
    assert read(docx(many), "a.docx", tmp_path).text == "x\ny"
    deep = "<w:tbl><w:tr><w:tc>" * 20_000 + par("deep")
    with pytest.raises(DocumentError, match=r"^a\.docx "):
        read(docx(deep), "a.docx", tmp_path)


@pytest.mark.parametrize("keep", [0.5, 0.95])
def test_damaged(keep: float, tmp_path: Path) -> None:
    data = docx(par("text " * 500))
    with pytest.raises(DocumentError, match=r"^a\.docx is not a readable Word document \(damaged"):
        read(data[: int(len(data) * keep)], "a.docx", tmp_path)
    with pytest.raises(DocumentError, match=r"^a\.docx has no text in it$"):
        read(docx(par("")), "a.docx", tmp_path)


def test_an_encrypted_open_document(tmp_path: Path) -> None:
    manifest = (
        '<m:manifest xmlns:m="m"><m:file-entry m:full-path="content.xml"><m:encryption-data/>'
        "</m:file-entry></m:manifest>"
    )
    data = packed(
        {
            "mimetype": "application/vnd.oasis.opendocument.text",
            "content.xml": b"\x8a" * 100,
            "META-INF/manifest.xml": manifest,
        }
    )
    with pytest.raises(DocumentError, match=r"^a\.odt is encrypted: remove the password"):
        read(data, "a.odt", tmp_path)


@pytest.mark.parametrize(
    ("form", "labels"),
    [
        ("decimal", ["3.", "4.", "5."]),
        ("lower-letter", ["c.", "d.", "e."]),
        ("upper-roman", ["III.", "IV.", "V."]),
        ("none", [".", ".", "."]),
        ("bullet", ["-", "-", "-"]),
    ],
)
def test_labels(form: str, labels: list[str]) -> None:
    counter = Labels()
    rules = {0: Rule(form, "%1.", 3)}
    assert [counter.next("a", rules, 0) for _ in range(3)] == labels


def test_labels_of_several_levels() -> None:
    counter = Labels()
    rules = {0: Rule("decimal", "%1"), 1: Rule("decimal", "%1.%2"), 2: Rule("lower-letter", "%3)")}
    levels = [0, 1, 1, 2, 0, 1, 2, 2]
    assert [counter.next("a", rules, level) for level in levels] == [
        *("1", "1.1", "1.2", "a)", "2", "2.1", "a)", "b)"),
    ]
