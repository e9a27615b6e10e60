"""Plain text and Markdown to clean text. Knows bytes, no files."""

import re
from collections.abc import Sequence

from mplus_cli.documents.characters import clean_characters
from mplus_cli.documents.encoding import decode
from mplus_cli.documents.flow_text import flow_text
from mplus_cli.documents.joining import Joint, Line, join_lines
from mplus_cli.documents.markdown import for_readers, without_front_matter
from mplus_cli.documents.model import Page
from mplus_cli.documents.parts import Parts
from mplus_cli.documents.running_heads import running_lines

_TERMINAL = re.compile(r"[.!?:;…。！？][\"'”’»)\]_*]*\Z")
_GUTENBERG = r"^\*\*\* ?{} OF (?:THE|THIS) PROJECT GUTENBERG EBOOK\b.*\*\*\*[^\S\n]*$"
_GUTENBERG_START = re.compile(_GUTENBERG.format("START"), re.MULTILINE)
_GUTENBERG_END = re.compile(_GUTENBERG.format("END"), re.MULTILINE)
_GUTENBERG_TITLE = re.compile(r"^Title: *(\S.*)$", re.MULTILINE)


def read_plain(data: bytes) -> Parts:
    """The text of a .txt file, a page for each form feed. Raises `encoding.BinaryData`."""
    pages = [clean_characters(page) for page in decode(data).split("\f")]
    text, title = strip_licence(_without_comments("\f".join(pages)))
    pages = text.split("\f")
    if sum(bool(page.strip()) for page in pages) < 2:
        return Parts("text", title, (Page(None, _flowed(text.replace("\f", "\n"))),))
    texts = _flowed_pages(pages)
    numbered = tuple(Page(number, text) for number, text in enumerate(texts, start=1))
    return Parts("text", title, numbered, len(numbered))


def read_markdown(data: bytes) -> Parts:
    """The text of a .md file. Raises `encoding.BinaryData`."""
    text, title = without_front_matter(clean_characters(decode(data)))
    text, licensed = strip_licence(for_readers(text))
    return Parts("markdown", title or licensed, (Page(None, _flowed(text, fences=True)),))


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


def strip_licence(text: str) -> tuple[str, str]:
    """`text` without what Project Gutenberg puts around a book, and the title that names.

    Only what is before the START marker and behind the END marker goes.
    """
    title = ""
    start = _GUTENBERG_START.search(text)
    if start:
        named = _GUTENBERG_TITLE.search(text, 0, start.start())
        title = named.group(1).strip() if named else ""
        text = text[start.end() :]
    end = _GUTENBERG_END.search(text)
    return (text[: end.start()] if end else text), title
