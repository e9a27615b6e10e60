"""FictionBook (FB2) to HTML, which is then read as such. Does no I/O."""

import re
from html import unescape

_NAMES = {
    "v": "p",
    "stanza": "div",
    "poem": "div",
    "epigraph": "blockquote",
    "cite": "blockquote",
    "text-author": "p",
    "subtitle": "p",
    "empty-line": "br",
    "emphasis": "em",
}
_TAG = re.compile(r"<(/?)(?:\w{1,20}:)?([a-z-]{1,20})\b([^<>]{0,2000})>", re.IGNORECASE)
_BINARY = re.compile(r"<binary\b[^<>]{0,500}>[^<]*</binary>", re.IGNORECASE)
_BOOK_TITLE = re.compile(r"<book-title\b[^<>]{0,200}>([^<]{0,1000})</book-title>", re.IGNORECASE)
_AUTHOR = re.compile(r"<author\b[^<>]{0,200}>(.{0,2000}?)</author>", re.IGNORECASE | re.DOTALL)
_NAME = re.compile(
    r"<(first-name|middle-name|last-name|nickname)\b[^<>]{0,200}>([^<]{0,300})<", re.I
)
_DATE = re.compile(
    r"<date\b(?:[^<>]{0,200}?\bvalue\s?=\s?[\"']([^\"'<>]{0,100})[\"'])?[^<>]{0,200}>([^<]{0,200})<",
    re.I,
)
_YEAR = re.compile(r"<year\b[^<>]{0,200}>([^<]{0,100})<", re.IGNORECASE)
_MAX_INFO = 1 << 16  # characters
_NOTE = re.compile(r"type\s*=\s*[\"']note", re.IGNORECASE)


def to_html(markup: str) -> str:
    """The book as HTML: titles of sections as headings of their depth, notes' marks as such."""
    title = _BOOK_TITLE.search(markup)
    _, _, body = _BINARY.sub("", markup).partition("</description>")
    depth = 0
    in_title = False

    def renamed(match: re.Match[str]) -> str:
        nonlocal depth, in_title
        end, name, rest = match[1], match[2].lower(), match[3]
        if name == "section":
            depth += -1 if end else 1
            return f"<{end}div>"
        if name == "title":
            in_title = not end
            return f"<{end}h{min(6, max(1, depth))}>"
        if name == "p" and in_title:  # a heading holds no paragraphs in HTML
            return "<br>" if end else ""
        if name == "a" and not end:
            role = " role='doc-noteref'" if _NOTE.search(rest) else ""
            return f"<a href='#'{role}>"
        return f"<{end}{_NAMES.get(name, name)}>"

    head = f"<title>{title[1]}</title>" if title else ""
    return f"<html><head>{head}</head>{_TAG.sub(renamed, body or markup)}</html>"


def authorship(markup: str) -> tuple[tuple[str, ...], str]:
    """The authors that a book names, and its date ("" if none): when it was written or, where that is
    not told, the year it was printed. The maker of the file is ignored."""
    title = _between(markup, "title-info")
    named = _AUTHOR.findall(title)
    authors = tuple(_full_name(dict(_NAME.findall(author))) for author in named)
    date = _DATE.search(title)
    year = _YEAR.search(_between(markup, "publish-info"))
    written = (date[2].strip() or date[1] or "") if date else ""
    return authors, unescape(written or (year[1] if year else ""))


def _full_name(parts: dict[str, str]) -> str:
    known = {name.lower(): text.strip() for name, text in parts.items()}
    names = [known.get(f"{part}-name", "") for part in ("first", "middle", "last")]
    return unescape(" ".join(filter(None, names)) or known.get("nickname", ""))


def _between(markup: str, name: str) -> str:
    """What stands in the first element of that name."""
    return markup.partition(f"<{name}")[2].partition(f"</{name}>")[0][:_MAX_INFO]
