"""Plain text and Markdown to clean text. Knows bytes, no files."""

import re

from mplus_cli.documents.characters import clean_characters
from mplus_cli.documents.encoding import decode
from mplus_cli.documents.flow_text import flow_text
from mplus_cli.documents.joining import join_lines
from mplus_cli.documents.model import Page
from mplus_cli.documents.parts import Parts

_GUTENBERG = r"^\*\*\* ?{} OF (?:THE|THIS) PROJECT GUTENBERG EBOOK\b.*\*\*\*[^\S\n]*$"
_GUTENBERG_START = re.compile(_GUTENBERG.format("START"), re.MULTILINE)
_GUTENBERG_END = re.compile(_GUTENBERG.format("END"), re.MULTILINE)
_GUTENBERG_TITLE = re.compile(r"^Title: *(\S.*)$", re.MULTILINE)


def read_plain(data: bytes, *, markdown: bool) -> Parts:
    """The text of a .txt or .md file. Raises `encoding.BinaryData`."""
    text = clean_characters(decode(data))
    text, title = strip_licence(text)
    pages = join_lines(flow_text(text, fences=markdown))
    return Parts("markdown" if markdown else "text", title, (Page(None, pages[0]),))


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
