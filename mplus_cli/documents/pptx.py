"""PPTX to text: one page per slide, its title as a heading, followed by the speaker's notes."""

from collections.abc import Callable, Mapping

from mplus_cli.documents.archive import ZIP_ERRORS, Archive, Unreadable, XmlReader
from mplus_cli.documents.docx_styles import value
from mplus_cli.documents.epub_contents import named
from mplus_cli.documents.model import DocumentError
from mplus_cli.documents.office import PAGE, Block, Body, to_pages
from mplus_cli.documents.office_package import Package, stated
from mplus_cli.documents.parts import Parts

_TITLES = ("title", "ctrTitle")
_FRAMES = ("sldNum", "ftr", "hdr", "dt", "sldImg")  # what is the same on every slide
_MAX_SLIDES = 20_000


def read_pptx(data: bytes, label: str, progress: Callable[[int, int], None] | None = None) -> Parts:
    """The slides of a presentation. Raises DocumentError."""
    try:
        package = Package(Archive(data))
        main = package.main("ppt/presentation.xml")
        slides = _slides(package, main)
    except (*ZIP_ERRORS, Unreadable) as error:
        what = f"{label} is not a readable presentation (damaged or truncated)"
        raise DocumentError(f"{what}: get a fresh copy") from error
    blocks: list[Block] = []
    broken = 0
    for number, slide in enumerate(slides, start=1):
        if number > 1:
            blocks.append(Block(PAGE))
        reader, notes = _Reader(), _Reader()
        broken += not package.feed(slide, reader)
        if reader.shown:
            blocks += reader.blocks()
            package.feed(package.related(slide).get("notesSlide"), notes)
            blocks += notes.blocks()
        if progress:
            progress(number, len(slides))
    pages, headings, known = to_pages(blocks, len(slides))
    title, author, date = stated(package.core(), [])
    some = "1 slide" if broken == 1 else f"{broken} slides"
    return Parts(
        "pptx",
        title,
        pages,
        len(pages) if known else None,
        (f"{some} could not be read and were left out",) if broken else (),
        headings=headings,
        author=author,
        date=date,
    )


def _slides(package: Package, main: str) -> list[str]:
    """The parts of the slides, in their order."""
    root = package.archive.xml(main)
    parts = {name: part for _, name, part in package.relations(main)}
    references = [_relation(one.attrib) for one in named(root, "sldId")[:_MAX_SLIDES]]
    return [parts[name] for name in references if name in parts]


def _relation(attributes: Mapping[str, str]) -> str:
    """The relation id of an element (`r:id`), which may have an id of its own as well."""
    return next((str(given) for key, given in attributes.items() if str(key).endswith("}id")), "")


class _Reader(XmlReader):
    """Takes the events of a slide, or of the notes to it."""

    def __init__(self) -> None:
        super().__init__()
        self.shown = True
        self._body = Body()
        self._titles: list[Block] = []
        self._place = ""  # what the shape that is open is for

    def blocks(self) -> list[Block]:
        """The titles first, wherever the file has them."""
        return self._titles + self._body.finish()

    def _begin(self, name: str, tag: str, attributes: Mapping[str, str]) -> None:
        if name in ("sld", "notes"):
            self.shown = value(attributes, "show") not in ("0", "false")
        elif name == "sp":
            self._place = ""
            self._body.open_sink()
        elif name == "ph":
            self._place = value(attributes, "type")
        elif name == "p":
            self._body.open_paragraph()
        elif name == "br":
            self._body.write("\n")
        elif name == "tbl":
            self._body.open_table()
        elif name == "tr":
            self._body.open_row()
        elif name == "tc":
            self._body.open_cell()

    def _finish(self, name: str) -> None:
        if name == "sp":
            self._end_shape()
        elif name == "p" and self._body.paragraph is not None:
            self._body.close_paragraph()
        elif name == "tc":
            self._body.close_cell()
        elif name == "tr":
            self._body.close_row()
        elif name == "tbl":
            self._body.close_table()

    def _end_shape(self) -> None:
        blocks = self._body.close_sink()
        if self._place in _TITLES and blocks:
            text = " ".join(" ".join(block.text.split()) for block in blocks)
            self._titles.append(Block(text, level=1))
        elif self._place not in _FRAMES:
            self._body.add(blocks)

    def _take(self, text: str) -> None:
        if self._open[-1:] == ["t"]:
            self._body.write(text)
