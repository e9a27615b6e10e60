"""ODT to text: an OpenDocument text, as a package or as one flat XML file.

Each note comes after the paragraph that refers to it. What a reader does not see is left out: tracked
deletions, hidden text, comments. Our own code, as for DOCX: odfpy is partly GPL and reads without limits.
"""

from collections.abc import Callable, Mapping

from mplus_cli.documents.archive import (
    ZIP_ERRORS,
    Archive,
    Unreadable,
    XmlReader,
    feed_xml,
    xml_root,
)
from mplus_cli.documents.docx_styles import value
from mplus_cli.documents.epub_contents import named
from mplus_cli.documents.list_labels import Labels, Rules
from mplus_cli.documents.model import DocumentError
from mplus_cli.documents.odt_styles import OUTLINE, Styles
from mplus_cli.documents.office import Block, Body, to_pages
from mplus_cli.documents.office_package import stated
from mplus_cli.documents.parts import Parts

MIMETYPE = b"application/vnd.oasis.opendocument.text"
_SKIPPED = frozenset(
    {
        *("tracked-changes", "annotation", "note-citation", "ruby-text", "hidden-text", "number"),
        *("binary-data", "object", "forms", "placeholder"),
    }
)
_DESCRIBED = (
    "title",
    "desc",
)  # of a picture, in the namespace of SVG; elsewhere a title is a field


def read_odt(data: bytes, label: str, progress: Callable[[int, int], None] | None = None) -> Parts:
    """The text of an OpenDocument text. Raises DocumentError."""
    try:
        if data.startswith(b"PK"):
            archive = Archive(data)
            _refuse_encrypted(archive, label)
            content = archive.read("content.xml")
            roots = [
                archive.xml(name) for name in ("styles.xml", "meta.xml") if name in archive.names
            ]
            roots.append(xml_root(content))
        else:
            content = data
            roots = [xml_root(data)]
        reader = _Reader(Styles(roots))
        feed_xml(content, reader)
    except (*ZIP_ERRORS, Unreadable) as error:
        what = f"{label} is not a readable OpenDocument text (damaged or truncated)"
        raise DocumentError(f"{what}: get a fresh copy") from error
    if progress:
        progress(1, 1)
    meta = next((one for root in roots for one in named(root, "meta")), None)
    counts = [] if meta is None else named(meta, "document-statistic")
    count = value(counts[0].attrib, "page-count") if counts else ""
    pages, headings, known = to_pages(
        [*reader.body.finish(), *reader.at_end],
        int(count) if count.isdecimal() and len(count) < 7 else None,
    )
    title, author, date = stated(meta, reader.body.titles)
    return Parts(
        "odt",
        title,
        pages,
        len(pages) if known else None,
        headings=headings,
        author=author,
        date=date,
    )


def _refuse_encrypted(archive: Archive, label: str) -> None:
    try:
        manifest = archive.xml("META-INF/manifest.xml")
    except Unreadable:
        return
    for entry in named(manifest, "file-entry"):
        if value(entry.attrib, "full-path") == "content.xml" and named(entry, "encryption-data"):
            raise DocumentError(f"{label} is encrypted: remove the password and try again")


class _Reader(XmlReader):
    """Takes the events of the content."""

    def __init__(self, styles: Styles) -> None:
        super().__init__()
        self.body = Body()
        self.at_end: list[Block] = []
        self._styles = styles
        self._labels = Labels()
        self._lists: list[str] = []  # the styles of the lists that are open
        self._item: int | None = None  # the number that the item which has just begun gives itself
        self._fresh_item = False
        self._endnotes: list[bool] = []  # of the notes that are open
        self._last_list = ""

    def _begin(self, name: str, tag: str, attributes: Mapping[str, str]) -> None:
        style = self._styles.get(value(attributes, "style-name"))
        hidden = style.hidden or value(attributes, "display") == "none"
        aside = (len(self._open) == 2 and name != "body") or (name in _DESCRIBED and "svg" in tag)
        if aside or name in _SKIPPED or (hidden and name in ("p", "h", "span", "section")):
            self._skip()
        elif name in ("p", "h"):
            self._start_paragraph(name, attributes)
        elif name in _STARTS:
            _STARTS[name](self, attributes)

    def _finish(self, name: str) -> None:
        if name in _ENDS:
            _ENDS[name](self)

    def _take(self, text: str) -> None:
        self.body.write(text.replace("\n", " "))

    def _start_paragraph(self, name: str, attributes: Mapping[str, str]) -> None:
        paragraph = self.body.open_paragraph()
        style = self._styles.get(value(attributes, "style-name"))
        paragraph.style = "title" if style.is_title else ""
        if name == "h":
            level = value(attributes, "outline-level")
            paragraph.level = min(int(level[:2]), 10) if level.isdecimal() else 1
            numbered = value(attributes, "is-list-header") != "true" and not self._lists
            rules = self._styles.rules(OUTLINE)
            if numbered and paragraph.level - 1 in rules:
                paragraph.label = self._label(OUTLINE, rules, paragraph.level - 1)
        if self._fresh_item and self._lists:
            rules = self._styles.rules(self._lists[0])
            label = self._label(self._lists[0], rules, len(self._lists) - 1)
            paragraph.label = label if paragraph.level == 0 or label != "-" else ""
            self._fresh_item = False
        if style.begins_page and self.body.blocks:
            self.body.begin_page("told")

    def _label(self, key: str, rules: Rules, level: int) -> str:
        start, self._item = self._item, None
        return self._labels.next(key, rules, level, start)

    def _start_list(self, attributes: Mapping[str, str]) -> None:
        style = value(attributes, "style-name") or (self._lists[-1] if self._lists else "")
        goes_on = value(attributes, "continue-numbering") == "true"
        goes_on = goes_on or bool(value(attributes, "continue-list"))
        if not self._lists and not goes_on:
            self._labels.restart(style)
        self._lists.append(style)

    def _start_item(self, attributes: Mapping[str, str]) -> None:
        given = value(attributes, "start-value")
        self._item = int(given[:9]) if given.isdecimal() else None
        self._fresh_item = True

    def _end_item(self) -> None:
        self._fresh_item = False

    def _end_list(self) -> None:
        self._lists.pop()

    def _hide(self, attributes: Mapping[str, str]) -> None:
        if self.body.paragraph is not None and value(attributes, "is-hidden") != "false":
            self.body.paragraph.hidden = True

    def _start_note(self, attributes: Mapping[str, str]) -> None:
        self._endnotes.append(value(attributes, "note-class") == "endnote")

    def _end_note(self) -> None:
        self._endnotes.pop()

    def _end_aside(self) -> None:
        """A note, or a text box."""
        blocks = self.body.close_sink()
        if self._open[-1:] == ["note"] and self._endnotes[-1]:
            self.at_end += blocks
        elif self.body.paragraph is not None:
            self.body.paragraph.behind += blocks
        else:
            self.body.add(blocks)


_STARTS: dict[str, Callable[[_Reader, Mapping[str, str]], None]] = {
    "list": _Reader._start_list,
    "list-item": _Reader._start_item,
    "s": lambda reader, attributes: reader.body.write(" "),
    "tab": lambda reader, attributes: reader.body.write("\t"),
    "line-break": lambda reader, attributes: reader.body.write("\n"),
    "soft-page-break": lambda reader, attributes: reader.body.begin_page("rendered"),
    "hidden-paragraph": _Reader._hide,
    "note": _Reader._start_note,
    **dict.fromkeys(("note-body", "text-box"), lambda reader, attributes: reader.body.open_sink()),
    "table": lambda reader, attributes: reader.body.open_table(),
    "table-row": lambda reader, attributes: reader.body.open_row(),
    **dict.fromkeys(
        ("table-cell", "covered-table-cell"), lambda reader, attributes: reader.body.open_cell()
    ),
}
_ENDS: dict[str, Callable[[_Reader], None]] = {
    **dict.fromkeys(("p", "h"), lambda reader: reader.body.close_paragraph()),
    "list": _Reader._end_list,
    "list-item": _Reader._end_item,
    "note": _Reader._end_note,
    **dict.fromkeys(("note-body", "text-box"), _Reader._end_aside),
    "table-row": lambda reader: reader.body.close_row(),
    **dict.fromkeys(("table-cell", "covered-table-cell"), lambda reader: reader.body.close_cell()),
    "table": lambda reader: reader.body.close_table(),
}
