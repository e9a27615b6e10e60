"""FictionBook (FB2) to HTML, which is then read as such. Knows no files."""

import re

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
