"""Plain text and Markdown to clean text. Works on bytes; does no I/O."""

import re
from collections.abc import Sequence

from mplus_cli.documents.characters import clean_characters
from mplus_cli.documents.emphasis import without_emphasis
from mplus_cli.documents.encoding import decode
from mplus_cli.documents.flow_text import flow_text
from mplus_cli.documents.joining import Joint, Line, join_lines
from mplus_cli.documents.markdown import for_readers, front_values, without_front_matter
from mplus_cli.documents.metadata import author_of, date_of, sane_title
from mplus_cli.documents.model import Page
from mplus_cli.documents.parts import Parts
from mplus_cli.documents.running_heads import running_lines
from mplus_cli.documents.title_page import find_title_page

_TERMINAL = re.compile(r"[.!?:;…。！？][\"'”’»)\]_*]*\Z")
_GUTENBERG = r"^\*\*\* ?{} OF (?:THE|THIS) PROJECT GUTENBERG EBOOK\b.*\*\*\*[^\S\n]*$"
_GUTENBERG_START = re.compile(_GUTENBERG.format("START"), re.MULTILINE)
_GUTENBERG_END = re.compile(_GUTENBERG.format("END"), re.MULTILINE)
_VALUE = r"^{}: *(\S.*(?:\n[ \t]{{2,}}\S.*)*)"
_GUTENBERG_TITLE = re.compile(_VALUE.format("Title"), re.MULTILINE)
_GUTENBERG_AUTHOR = re.compile(_VALUE.format("Author"), re.MULTILINE)
_HEAD = 2000  # characters in which such lines stand, where no marker ends them


def read_plain(data: bytes, name: str = "") -> Parts:
    """The text of a .txt file, a page for each form feed. Raises `encoding.BinaryData`.

    Args:
        name: of the file, without its ending: it may confirm the title in the first lines.
    """
    pages = [clean_characters(page) for page in decode(data).split("\f")]
    whole = _without_comments("\f".join(pages))
    text = strip_licence(whole)
    title, author = header_names(whole)
    if not title and (page_one := find_title_page(text.replace("\f", "\n\n"), name)):
        title, author = page_one.title, page_one.author
    pages = text.split("\f")
    if sum(bool(page.strip()) for page in pages) < 2:
        (clean,) = without_emphasis([_flowed(text.replace("\f", "\n"))])
        return Parts("text", title, (Page(None, clean),), author=author)
    texts = without_emphasis(_flowed_pages(pages))
    numbered = tuple(Page(number, text) for number, text in enumerate(texts, start=1))
    return Parts("text", title, numbered, len(numbered), author=author)


def read_markdown(data: bytes) -> Parts:
    """The text of a .md file. Raises `encoding.BinaryData`."""
    whole = clean_characters(decode(data))
    text, title = without_front_matter(whole)
    front = whole[: -len(text) or None] if text != whole else ""
    readable = for_readers(text)
    licensed, author = header_names(readable)
    text = _flowed(strip_licence(readable), fences=True)
    return Parts(
        "markdown",
        title or licensed,
        (Page(None, text),),
        author=author_of(front_values(front, "author")) or author,
        date=date_of(" ".join(front_values(front, "date"))),
    )


def _flowed(text: str, *, fences: bool = False) -> str:
    return join_lines(flow_text(text, fences=fences))[0]


def _flowed_pages(pages: Sequence[str]) -> list[str]:
    """The text of each page, without what repeats at its head and foot."""
    raw = [page.split("\n") for page in pages]
    lines: list[Line] = []
    for number, (page, heads) in enumerate(zip(raw, running_lines(raw), strict=True)):
        text = "\n".join("" if index in heads else line for index, line in enumerate(page))
        flowed = flow_text(text)
        if lines and flowed and _goes_on(lines[-1].text, flowed[0].text):
            lines[-1].joint = Joint.JOIN
        for line in flowed:
            line.page = number
        lines += flowed
    return join_lines(lines, len(pages))


def _goes_on(text: str, following: str) -> bool:
    """Whether a sentence runs over the end of a page."""
    return following.lstrip()[:1].islower() and not _TERMINAL.search(text.rstrip()[-80:])


def _without_comments(text: str) -> str:
    """`text` without the markup comments it begins with, as those of a licence."""
    rest = text.lstrip()
    while rest.startswith("<!--") and "-->" in rest:
        rest = rest[4:].partition("-->")[2].lstrip()
        text = rest
    return text


def strip_licence(text: str) -> str:
    """`text` without Project Gutenberg's header and footer: what is before the START marker and behind the
    END marker."""
    if start := _GUTENBERG_START.search(text):
        text = text[start.end() :]
    end = _GUTENBERG_END.search(text)
    return text[: end.start()] if end else text


def header_names(text: str) -> tuple[str, str | None]:
    """The title ("" if none) and author in the header that Project Gutenberg puts before a book: before the
    START marker or, where that was cut off, in the first lines if both stand there."""
    start = _GUTENBERG_START.search(text)
    end = start.start() if start else _HEAD
    title, author = (
        pattern.search(text, 0, end) for pattern in (_GUTENBERG_TITLE, _GUTENBERG_AUTHOR)
    )
    if title is None or not (start or author):
        return "", None
    names = author[1].split("\n") if author else []
    return sane_title(title[1]), author_of(names)
