"""HTML and XHTML to text: block elements become paragraphs. Knows no files and no network."""

import re
from typing import Any

from mplus_cli.documents.characters import SOFT_HYPHEN, clean_characters
from mplus_cli.documents.encoding import decode

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
_TIGHT = frozenset({"li", "tr", "dd", "dt"})  # one line each, not a paragraph each
_DECLARED = re.compile(
    rb"""(?:<meta[^<>]{0,200}charset\s*=\s*|<\?xml[^<>]{0,100}encoding\s*=\s*)["']?\s*([\w.:-]{1,40})""",
    re.IGNORECASE,
)
# In XHTML these may close themselves; an HTML parser would take the rest of the file for theirs.
_SELF_CLOSED = re.compile(
    r"<(title|script|style|iframe|textarea|noscript|nav|template|object|p|div|span|a|i|b|em)"
    r"(\s[^<>]{0,500})?/>",
    re.IGNORECASE,
)
_XML_HEAD = re.compile(r"^\s*<\?xml[^<>]{0,300}\?>")
_SPACES = re.compile(r"[^\S\n]+")


def markup_text(data: bytes) -> tuple[str, str]:
    """Title and text of an HTML or XHTML file. Raises `encoding.BinaryData`."""
    return parse_markup(decode(data, _declared(data)))


def _declared(data: bytes) -> str | None:
    match = _DECLARED.search(data[:4096])
    return match.group(1).decode("ascii", "replace") if match else None


def parse_markup(markup: str) -> tuple[str, str]:
    """Title and text of decoded HTML."""
    import warnings

    from bs4 import BeautifulSoup

    markup = _SELF_CLOSED.sub(r"<\1\2></\1>", _XML_HEAD.sub("", markup))
    markup = _without_cdata(markup)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "looks like a file name", "XML parsed as HTML"
        soup = BeautifulSoup(markup.replace("\0", ""), "lxml")
    heading = soup.find("title")
    title = " ".join(clean_characters(heading.get_text()).split()) if heading else ""
    writer = _Writer()
    _walk(soup, writer)
    return title, writer.text()


def _without_cdata(markup: str) -> str:
    """CDATA sections as plain text, which an HTML parser would drop."""
    pieces = markup.split("<![CDATA[")
    for index, piece in enumerate(pieces[1:], 1):
        content, _, after = piece.partition("]]>")
        pieces[index] = content.replace("&", "&amp;").replace("<", "&lt;") + after
    return "".join(pieces)


class _Writer:
    """Collects inline text and breaks it into paragraphs and lines."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.current: list[str] = []
        self.separator = ""
        self.pre = 0

    def inline(self, text: str) -> None:
        text = clean_characters(text).replace(SOFT_HYPHEN, "")
        self.current.append(text if self.pre else re.sub(r"\s+", " ", text))

    def line_break(self) -> None:
        self.current.append("\n")

    def end_block(self, separator: str) -> None:
        """End the paragraph, if there is one; the larger of the separators asked for counts."""
        text = "".join(self.current)
        self.current = []
        if self.pre:
            text = text.strip("\n").rstrip()
        else:
            text = "\n".join(line.strip() for line in _SPACES.sub(" ", text).split("\n"))
            text = re.sub(r"\n{2,}", "\n\n", text).strip()
        if text.strip(" |\n"):
            if self.done:
                self.done.append(self.separator)
            self.done.append(text.removesuffix(" |"))
            self.separator = separator
        elif len(separator) > len(self.separator):
            self.separator = separator

    def text(self) -> str:
        self.end_block("\n\n")
        return "".join(self.done).strip()


def _walk(soup: Any, writer: _Writer) -> None:
    """Visit the tree in order, without recursion: hostile files nest deeply."""
    from bs4.element import CData, NavigableString, Tag

    stack: list[tuple[Any, bool]] = [(soup, False)]
    while stack:
        node, leaving = stack.pop()
        if isinstance(node, Tag):
            if leaving:
                _leave(node.name.lower(), writer)
            elif not _hidden(node):
                _enter(node.name.lower(), writer)
                stack.append((node, True))
                stack += [(child, False) for child in reversed(node.contents)]
        elif type(node) in (NavigableString, CData):
            writer.inline(str(node))


def _hidden(node: Any) -> bool:
    style = str(node.get("style") or "").replace(" ", "").lower()
    return node.name.lower() in _DROPPED or node.has_attr("hidden") or "display:none" in style


def _enter(name: str, writer: _Writer) -> None:
    if name == "br":
        writer.line_break()
    elif name in _BLOCKS and name not in {"td", "th"}:
        writer.end_block("\n" if name in _TIGHT else "\n\n")
        if name == "li":
            writer.current.append("- ")
        writer.pre += name == "pre"


def _leave(name: str, writer: _Writer) -> None:
    if name in {"td", "th"}:
        writer.current.append(" | ")
    elif name in _BLOCKS:
        writer.end_block("\n" if name in _TIGHT else "\n\n")
        writer.pre -= name == "pre"
