"""DOCX to text: the body of a Word document, each note after the paragraph that refers to it.

What a reader does not see is left out: deleted and hidden text, comments, placeholders, field codes,
headers and footers. No library does all of that: python-docx ignores notes, mammoth hidden text and page
breaks, and both build an XML tree of unbounded size. This reads the parser events of `archive` instead.
"""

from collections.abc import Callable, Mapping

from mplus_cli.documents.archive import ZIP_ERRORS, Archive, Unreadable, XmlReader
from mplus_cli.documents.docx_styles import Numbering, Styles, is_on, value
from mplus_cli.documents.list_labels import Labels
from mplus_cli.documents.model import DocumentError
from mplus_cli.documents.office import Block, Body, to_pages
from mplus_cli.documents.office_package import Package, stated
from mplus_cli.documents.parts import Parts

_PROPERTIES = ("pPr", "numPr")
"""Elements whose own hold the properties of a paragraph, whatever they are called."""
_SKIPPED = frozenset(
    {
        *("Fallback", "moveFrom", "delText", "instrText", "delInstrText", "rt", "rPrChange"),
        *("pPrChange", "tblPrChange", "trPrChange", "tcPrChange", "sectPr", "numberingChange"),
    }
)
"""Fallback repeats its sibling; the tracked changes hold earlier versions."""
_PLAIN = {"tab": "\t", "ptab": "\t", "cr": "\n", "noBreakHyphen": "-"}
_MAX_LEVEL = 8  # of an outline, from 0; 9 is body text


def read_docx(data: bytes, label: str, progress: Callable[[int, int], None] | None = None) -> Parts:
    """The text of a Word document. Raises DocumentError."""
    try:
        package = Package(Archive(data))
        main = package.main("word/document.xml")
        kept = package.related(main)
        styles = Styles(package.tree(kept.get("styles")))
        numbering = Numbering(package.tree(kept.get("numbering")))
        notes: dict[tuple[str, str], list[Block]] = {}
        for kind in ("footnotes", "endnotes"):
            reader = _Reader(styles, numbering, {})
            if package.feed(kept.get(kind), reader):
                notes |= {(kind, number): blocks for number, blocks in reader.notes.items()}
        reader = _Reader(styles, numbering, notes)
        package.archive.feed(main, reader)
    except (*ZIP_ERRORS, Unreadable) as error:
        what = f"{label} is not a readable Word document (damaged or truncated)"
        raise DocumentError(f"{what}: get a fresh copy") from error
    if progress:
        progress(1, 1)
    pages, headings, known = to_pages([*reader.body.finish(), *reader.at_end], package.page_count())
    title, author, date = stated(package.core(), reader.body.titles)
    return Parts(
        "docx",
        title,
        pages,
        len(pages) if known else None,
        headings=headings,
        author=author,
        date=date,
    )


class _Reader(XmlReader):
    """Takes the events of the body, or of a part that holds notes."""

    def __init__(
        self,
        styles: Styles,
        numbering: Numbering,
        known_notes: Mapping[tuple[str, str], list[Block]],
    ) -> None:
        super().__init__()
        self.body = Body()
        self.notes: dict[str, list[Block]] = {}
        self.at_end: list[Block] = []
        self._known_notes = known_notes
        self._styles = styles
        self._numbering = numbering
        self._labels = Labels()
        self._hidden_runs: list[bool] = []
        self._rows_gone: list[bool] = []
        self._own: list[dict[str, str]] = []  # the own properties of each open paragraph
        self._note = ""
        self._placeholder_in = 0  # depth of the content control that shows a placeholder; 0: none

    def _begin(self, name: str, tag: str, attributes: Mapping[str, str]) -> None:
        above = self._open[-2] if len(self._open) > 1 else ""
        if name in _SKIPPED or (name == "del" and above not in ("rPr", "trPr")):
            self._skip()
        elif above in _PROPERTIES:
            self._describe(name, attributes)
        elif name in _STARTS:
            _STARTS[name](self, above, attributes)

    def _finish(self, name: str) -> None:
        if name in _ENDS and not (self._open and self._open[-1] in _PROPERTIES):
            _ENDS[name](self)

    def _take(self, text: str) -> None:
        if self._open[-1:] == ["t"]:
            self._write(text)

    def _write(self, text: str) -> None:
        if not any(self._hidden_runs):
            self.body.write(text)

    def _describe(self, name: str, attributes: Mapping[str, str]) -> None:
        """Take a property of the open paragraph; it overrides the style's."""
        if name == "pageBreakBefore" and is_on(attributes) and self.body.blocks:
            self.body.begin_page("told")
        elif self._own:
            self._own[-1][name] = value(attributes)

    def _start_paragraph(self, above: str, attributes: Mapping[str, str]) -> None:
        self.body.open_paragraph()
        self._own.append({})

    def _end_paragraph(self) -> None:
        paragraph, own = self.body.paragraph, self._own.pop()
        if paragraph is None:
            return
        style = self._styles.paragraph(own.get("pStyle", ""))
        outline, depth = own.get("outlineLvl", ""), own.get("ilvl", "")
        paragraph.style, paragraph.hidden, paragraph.level = style.name, style.hidden, style.level
        if outline.isdecimal():
            paragraph.level = int(outline[:2]) + 1 if int(outline[:2]) <= _MAX_LEVEL else 0
        number = own.get("numId", style.list)
        level = int(depth[:2]) if depth.isdecimal() else style.list_level or 0
        empty = not any(piece.strip() for piece in paragraph.pieces)
        if number not in ("", "0") and not empty and not paragraph.hidden:
            paragraph.label = self._numbering.label(self._labels, number, level)
        self.body.close_paragraph()

    def _start_run(self, above: str, attributes: Mapping[str, str]) -> None:
        self._hidden_runs.append(False)

    def _end_run(self) -> None:
        self._hidden_runs.pop()

    def _run_style(self, above: str, attributes: Mapping[str, str]) -> None:
        if self._of_run() and self._styles.hides_run(value(attributes)):
            self._hidden_runs[-1] = True

    def _vanish(self, above: str, attributes: Mapping[str, str]) -> None:
        if self._of_run():
            self._hidden_runs[-1] = is_on(attributes)

    def _of_run(self) -> bool:
        """Whether the element that was just opened is a run property."""
        return self._open[-3:-1] == ["r", "rPr"] and bool(self._hidden_runs)

    def _deleted(self, above: str, attributes: Mapping[str, str]) -> None:
        """The end of a paragraph, or a row."""
        if above == "trPr" and self._rows_gone:
            self._rows_gone[-1] = True
        elif above == "rPr" and self._open[-3:-2] == ["pPr"] and self.body.paragraph:
            self.body.paragraph.runs_on = True

    def _break(self, above: str, attributes: Mapping[str, str]) -> None:
        kind = value(attributes, "type")
        if kind == "page":
            self.body.begin_page("told")
        else:
            self._write("\n")

    def _rendered_break(self, above: str, attributes: Mapping[str, str]) -> None:
        self.body.begin_page("rendered")

    def _plain(self, above: str, attributes: Mapping[str, str]) -> None:
        if above == "r":
            self._write(_PLAIN[self._open[-1]])

    def _refer(self, above: str, attributes: Mapping[str, str]) -> None:
        kind = "footnotes" if self._open[-1] == "footnoteReference" else "endnotes"
        blocks = self._known_notes.get((kind, value(attributes, "id")), [])
        paragraph = self.body.paragraph
        if any(self._hidden_runs) or paragraph is None:
            return
        (paragraph.behind if kind == "footnotes" else self.at_end).extend(blocks)

    def _start_note(self, above: str, attributes: Mapping[str, str]) -> None:
        self._note = value(attributes, "id")
        self.body.open_sink()

    def _end_note(self) -> None:
        self.notes[self._note] = self.body.close_sink()

    def _end_box(self) -> None:
        blocks = self.body.close_sink()
        if self.body.paragraph is not None and not any(self._hidden_runs):
            self.body.paragraph.behind += blocks

    def _placeholder(self, above: str, attributes: Mapping[str, str]) -> None:
        """The content of the control is only a prompt for what to type."""
        if is_on(attributes) and "sdt" in self._open:
            self._placeholder_in = len(self._open) - 2

    def _start_content(self, above: str, attributes: Mapping[str, str]) -> None:
        if self._placeholder_in == len(self._open) - 1:
            self._skip()
        self._placeholder_in = 0

    def _start_row(self, above: str, attributes: Mapping[str, str]) -> None:
        self._rows_gone.append(False)
        self.body.open_row()

    def _end_row(self) -> None:
        self.body.close_row(hidden=self._rows_gone.pop())


_STARTS: dict[str, Callable[[_Reader, str, Mapping[str, str]], None]] = {
    "p": _Reader._start_paragraph,
    "r": _Reader._start_run,
    "rStyle": _Reader._run_style,
    "vanish": _Reader._vanish,
    "del": _Reader._deleted,
    "br": _Reader._break,
    "lastRenderedPageBreak": _Reader._rendered_break,
    **dict.fromkeys(_PLAIN, _Reader._plain),
    **dict.fromkeys(("footnoteReference", "endnoteReference"), _Reader._refer),
    **dict.fromkeys(("footnote", "endnote"), _Reader._start_note),
    "txbxContent": lambda reader, above, attributes: reader.body.open_sink(),
    "showingPlcHdr": _Reader._placeholder,
    "sdtContent": _Reader._start_content,
    "tbl": lambda reader, above, attributes: reader.body.open_table(),
    "tr": _Reader._start_row,
    "tc": lambda reader, above, attributes: reader.body.open_cell(),
}
_ENDS: dict[str, Callable[[_Reader], None]] = {
    "p": _Reader._end_paragraph,
    "r": _Reader._end_run,
    **dict.fromkeys(("footnote", "endnote"), _Reader._end_note),
    "txbxContent": _Reader._end_box,
    "tr": _Reader._end_row,
    "tc": lambda reader: reader.body.close_cell(),
    "tbl": lambda reader: reader.body.close_table(),
}
