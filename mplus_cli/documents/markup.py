"""HTML and XHTML to text: block elements become paragraphs. Does no I/O, and fetches nothing."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from mplus_cli.documents.characters import clean_characters
from mplus_cli.documents.encoding import decode
from mplus_cli.documents.markup_writer import Writer
from mplus_cli.documents.model import Heading
from mplus_cli.documents.note_marks import NoteMarks
from mplus_cli.documents.page_metadata import PageMetadata

_DROPPED = frozenset(
    {
        *("script", "style", "nav", "template", "noscript", "head", "title", "iframe", "object"),
        *("button", "select", "option", "textarea", "input", "audio", "video", "canvas", "map"),
        *("rt", "rp", "annotation", "annotation-xml"),
    }
)
_BLOCKS = frozenset(
    {
        *("address", "article", "aside", "blockquote", "body", "center", "details", "dialog"),
        *("div", "fieldset", "figcaption", "figure", "footer", "form", "header", "hgroup", "hr"),
        *("h1", "h2", "h3", "h4", "h5", "h6", "html", "legend", "main", "p", "pre", "section"),
        *("summary", "dl", "dt", "dd", "ol", "ul", "li", "text"),
        *("table", "caption", "thead", "tbody", "tfoot", "tr", "td", "th"),
    }
)
HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_TIGHT = frozenset({"li", "tr", "dd", "dt"})  # one line each, not a paragraph each
_DECLARED = re.compile(
    rb"""(?:<meta[^<>]{0,200}charset\s*=|<\?xml[^<>]{0,100}encoding\s*=)[\s"']*([\w.:-]{1,40})""",
    re.IGNORECASE,
)
# In XHTML these may close themselves; an HTML parser would take the rest of the file for theirs.
_SELF_CLOSED = re.compile(
    r"<(title|script|style|iframe|textarea|noscript|nav|template|object|p|div|span|a|i|b|em)"
    r"(\s[^<>]{0,500})?/>",
    re.IGNORECASE,
)
_XML_HEAD = re.compile(r"^\s*<\?xml[^<>]{0,300}\?>")


@dataclass(frozen=True, slots=True)
class Markup:
    """What a file of HTML says: its title ("" if none), its text, its headings.

    `anchors` are the characters of the text at which the elements with an id begin, by id.
    """

    title: str
    text: str
    headings: tuple[Heading, ...] = ()
    anchors: Mapping[str, int] = field(default_factory=dict)
    authors: tuple[str, ...] = ()
    date: str = ""


def read_markup(data: bytes) -> Markup:
    """An HTML or XHTML file. Raises `encoding.BinaryData`."""
    return parse_markup(decode(data, declared_encoding(data)))


def declared_encoding(data: bytes) -> str | None:
    """The encoding that a file declares."""
    match = _DECLARED.search(data[:4096])
    return match.group(1).decode("ascii", "replace") if match else None


def parse_markup(markup: str) -> Markup:
    """Decoded HTML."""
    return read_with(markup, Reader)


def read_with(markup: str, make_reader: "Callable[[str], Reader]") -> Markup:
    """Decoded HTML, as a reader understands it, which `make_reader` makes of the markup."""
    from lxml import etree  # type: ignore[import-untyped]

    markup = _SELF_CLOSED.sub(r"<\1\2></\1>", _XML_HEAD.sub("", markup))
    markup = _without_cdata(markup).replace("\0", "")
    reader = make_reader(markup)
    # Events instead of a tree: a tree of empty elements takes a hundred times the file.
    parser = etree.HTMLParser(target=reader, recover=True)
    try:
        parser.feed(markup)
        parser.close()
    except etree.LxmlError as error:  # nothing but white space, or no memory left
        if reader.counts:
            raise MemoryError from error
    return reader.markup()


def _without_cdata(markup: str) -> str:
    """CDATA sections as plain text, which an HTML parser would drop."""
    pieces = markup.split("<![CDATA[")
    for index, piece in enumerate(pieces[1:], 1):
        content, _, after = piece.partition("]]>")
        pieces[index] = content.replace("&", "&amp;").replace("<", "&lt;") + after
    return "".join(pieces)


class Reader:
    """Takes the events of an HTML parser, and writes what is text and not hidden."""

    def __init__(self, markup: str, writer: Writer | None = None) -> None:
        self.writer = writer or Writer()
        self.notes = NoteMarks(self.writer)
        self.stated = PageMetadata()
        self.anchors: dict[str, int] = {}
        self.marks: list[int] = []  # of the headings that are open: what was written before each
        self.open: list[str] = []
        self.counts: Counter[str] = Counter()
        self.hidden_at = 0  # how many elements are open, with the outermost hidden one; 0: none is
        self.texts: list[str] = []
        self.titles: list[str] | None = None
        self.in_title = False

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        self._flush()
        name = tag.lower()
        self.open.append(name)
        self.counts[name] += 1
        if name == "title" and self.titles is None:
            self.titles, self.in_title = [], True
        self.stated.enter(name, attributes)
        if self.hidden_at:
            return
        if self.hides(name, attributes):
            self.hidden_at = len(self.open)
            return
        _enter(name, self.writer)
        if name in HEADINGS:
            self.marks.append(len(self.writer.done))
        self.notes.enter(name, attributes)
        for key in ("id", "name"):
            if anchor := attributes.get(key):
                self.anchors.setdefault(anchor, self.writer.next_start())

    def hides(self, name: str, attributes: Mapping[str, str]) -> bool:
        """Whether an element is not text."""
        return _hidden(name, attributes)

    def end(self, tag: str) -> None:
        self._flush()
        name = tag.lower()
        while self.counts[name]:
            last = self.open.pop()
            self.counts[last] -= 1
            if last == "title":
                self.in_title = False
            if not self.hidden_at:
                self._leave(last)
            elif len(self.open) < self.hidden_at:
                self.hidden_at = 0
            if last == name:
                break

    def data(self, text: str) -> None:
        self.texts.append(text)

    def comment(self, text: str) -> None:
        self._flush()

    def close(self) -> None:
        self._flush()

    def _flush(self) -> None:
        if not self.texts:
            return
        text = "".join(self.texts)
        self.texts = []
        if self.in_title and self.titles is not None:
            self.titles.append(text)
        if not self.hidden_at:
            self.writer.inline(text)

    def _leave(self, name: str) -> None:
        self.notes.leave(name)
        _leave(name, self.writer)
        if name in HEADINGS:
            self.writer.end_heading(int(name[1]), self.marks.pop())

    def markup(self) -> Markup:
        """What was read."""
        while self.open:
            self.end(self.open[-1])
        title = " ".join(clean_characters("".join(self.titles or [])).split())
        text = self.writer.text()
        blank = len(text) - len(text.lstrip())
        headings = tuple(
            replace(one, start=max(0, one.start - blank)) for one in self.writer.headings
        )
        stated = self.stated
        return Markup(title, text.strip(), headings, self.anchors, stated.authors, stated.date)


def _hidden(name: str, attributes: Mapping[str, str]) -> bool:
    if name in _DROPPED or "hidden" in attributes:
        return True
    return "display:none" in attributes.get("style", "").replace(" ", "").lower()


def _enter(name: str, writer: Writer) -> None:
    if name == "br":
        writer.line_break()
    elif name in _BLOCKS and name not in {"td", "th"}:
        writer.end_block("\n" if name in _TIGHT else "\n\n")
        if name == "li":
            writer.current.append("- ")
        writer.pre += name == "pre"


def _leave(name: str, writer: Writer) -> None:
    if name in {"td", "th"}:
        writer.current.append(" | ")
    elif name in _BLOCKS:
        writer.end_block("\n" if name in _TIGHT else "\n\n")
        writer.pre -= name == "pre"
