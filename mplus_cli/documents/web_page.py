"""The main text of web pages, without menus, notices and comments. Does no I/O, and fetches nothing.

A block (a paragraph, a line of a list or table) is left out only where two witnesses agree: the page itself
(the block is mostly links, or stands in an element named as a menu, comments, a notice and the like) and a
maintained extractor, trafilatura. Where that finds little of a page, all of it is kept.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mplus_cli.documents.encoding import decode
from mplus_cli.documents.markup import HEADINGS, Markup, Reader, declared_encoding, read_with
from mplus_cli.documents.markup_writer import Writer

_CONTENT = re.compile(r"<(?:main|article)\b", re.IGNORECASE)
_FRAME_NAME = re.compile(
    r"(?:^|[\s_-])(?:comments?|respond|repl(?:y|ies)|disqus|cookies?|cookieconsent|cc|consent|gdpr"
    r"|shar(?:e|ing)|social|related|recommended|newsletters?|subscri(?:be|ption)|sign-?up|sidebar"
    r"|secondary|widgets?|nav|navbar|navigation|navbox|menu|breadcrumbs?|footer|header|headerbar"
    r"|masthead|top-?bar|banner|promo|advert(?:isement)?|ads?|sponsor(?:ed)?|tags?|cat-?links|pager"
    r"|pagination|skip(?:-?link)?|log-?in|search|toolbar|actions?|online|popular|trending|toc"
    r"|personal|portal|copyright|popup|modal|overlay|site-?(?:sub|info|title|description)"
    r"|(?:page|side|entry|article|post)-?(?:header|footer|nav|meta))(?:$|[\s_-])",
    re.IGNORECASE,
)
_FRAME_ROLES = ("navigation", "banner", "contentinfo", "complementary", "search", "dialog")
_FRAME_ELEMENTS = ("header", "footer", "aside", "form")
_MARKERS = ("headerlink", "mw-editsection")
"""Classes of marks beside headings: a link to the heading, a link to edit it."""
_MOST_MARKUP = (
    2 << 20
)  # characters that an extractor is given: it builds a tree, and larger pages are books
_MOST_SUSPECTS = 5000  # blocks; a page with more is an index of links
_LEAST_FOUND = 0.3  # of a page's words: an extractor that finds fewer has not understood the page
_WORDS = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class _BlockFacts:
    """A block: its text, and whether it looks like a part of the frame."""

    text: str
    framing: bool


class _Blocks(Writer):
    """Keeps what it sees of each block, and leaves out those that were decided on."""

    def __init__(self, dropped: frozenset[int]) -> None:
        super().__init__()
        self.seen: list[_BlockFacts] = []
        self.links = 0  # that are open
        self.frames = 0  # elements of the frame that are open
        self.headings_open = 0  # whose links are not a sign of a menu
        self._dropped = dropped
        self._letters = self._framing = 0  # of the block

    def inline(self, text: str) -> None:
        letters = len("".join(text.split()))
        self._letters += letters
        if self.frames or (self.links and not self.headings_open):
            self._framing += letters
        super().inline(text)

    def end_block(self, separator: str) -> None:
        text = "".join(self.current)
        if text.strip(" |\n-"):
            framing = 2 * self._framing > self._letters
            if len(self.seen) in self._dropped:
                self.current = []
            self.seen.append(_BlockFacts(text, framing))
        self._letters = self._framing = 0
        super().end_block(separator)


class _WebReader(Reader):
    """Leaves out the page's own head and foot, and puts the description of a picture in its place."""

    def __init__(self, markup: str, dropped: frozenset[int] = frozenset()) -> None:
        self.blocks = _Blocks(dropped)
        super().__init__(markup, self.blocks)
        self.has_content = bool(_CONTENT.search(markup))
        self._kinds: list[tuple[int, int, int]] = []  # of each open element: link, frame, heading

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        super().start(tag, attributes)
        name = tag.lower()
        link = int(name == "a" and "href" in attributes)
        frame = int(_is_frame(name, attributes))
        self._count((link, frame, int(name in HEADINGS)), 1)
        self._kinds.append((link, frame, int(name in HEADINGS)))
        if name == "img" and not self.hidden_at:
            self.writer.inline(f" {attributes.get('alt', '')} ")

    def end(self, tag: str) -> None:
        super().end(tag)
        while len(self._kinds) > len(self.open):
            self._count(self._kinds.pop(), -1)

    def _count(self, kinds: tuple[int, int, int], by: int) -> None:
        link, frame, heading = kinds
        self.blocks.links += by * link
        self.blocks.frames += by * frame
        self.blocks.headings_open += by * heading

    def hides(self, name: str, attributes: Mapping[str, str]) -> bool:
        frames = self.has_content and name in ("header", "footer")
        inside = self.counts["main"] or self.counts["article"]
        marker = any(one in attributes.get("class", "").split() for one in _MARKERS)
        return (frames and not inside) or marker or super().hides(name, attributes)


def _is_frame(name: str, attributes: Mapping[str, str]) -> bool:
    if name in ("html", "body", "main", "article"):
        return False
    if name in _FRAME_ELEMENTS or attributes.get("role", "").lower() in _FRAME_ROLES:
        return True
    named = f"{attributes.get('class', '')} {attributes.get('id', '')}"[:500]
    return bool(_FRAME_NAME.search(named))


def read_web_page(data: bytes) -> Markup:
    """As `markup.read_markup`, for a page of the web: what frames it is left out, pictures are described.

    Its own head and foot go where the page says which part is its content (`main`, `article`).
    """
    markup = decode(data, declared_encoding(data))
    readers: list[_WebReader] = []

    def first(text: str) -> Reader:
        readers.append(_WebReader(text))
        return readers[0]

    found = read_with(markup, first)
    dropped = frame_of(readers[0].blocks.seen, markup)
    return read_with(markup, lambda text: _WebReader(text, dropped)) if dropped else found


def frame_of(blocks: Sequence[_BlockFacts], markup: str) -> frozenset[int]:
    """The numbers of the blocks that frame the text."""
    suspects = [number for number, block in enumerate(blocks) if block.framing]
    if not 0 < len(suspects) <= _MOST_SUSPECTS or len(markup) > _MOST_MARKUP:
        return frozenset()
    text = f" {' '.join(_words(extracted(markup)))} "
    total = sum(len(_words(block.text)) for block in blocks)
    if text.count(" ") - 1 < _LEAST_FOUND * total:
        return frozenset()
    return frozenset(number for number in suspects if _key(blocks[number].text) not in text)


def extracted(markup: str) -> str:
    """What the extractor takes for the text of a page, "" if it finds none or fails."""
    import logging

    for library in ("trafilatura", "htmldate", "courlan", "justext"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
    import trafilatura

    try:
        return trafilatura.extract(markup, favor_recall=True, include_comments=False) or ""
    except Exception:  # whatever a page makes it raise: nothing is left out then
        return ""


def _words(text: str) -> list[str]:
    return _WORDS.findall(text.casefold())


def _key(text: str) -> str:
    """The words of a block, for comparing blocks."""
    return f" {' '.join(_words(text))} "
