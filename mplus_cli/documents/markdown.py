"""Removes from Markdown what is not meant for readers: front matter, comments, link targets.

Code is left alone. Does no I/O.
"""

import re
from collections.abc import Iterator

_FRONT = re.compile(r"\s*(---|\+\+\+)[ \t]*\n")
_TITLE = re.compile(r"^title[ \t]*[:=][ \t]*(\S.*)$", re.MULTILINE | re.IGNORECASE)
_SETTING = re.compile(r"\s*[\w.-]+[ \t]*[:=]|\s*-[ \t]|\s+\S|\s*#|\s*\[")
_FENCE = re.compile(r"^[ \t]*(```|~~~)", re.MULTILINE)
_CODE = re.compile(r"`[^`\n]{1,500}`")
_LINK = re.compile(
    r"!?\[([^\[\]\n]{0,1000})\]\((?:[^()\s]|\([^()\s]{0,500}\)){0,2000}"
    r"(?:[ \t]+[\"'][^\n\"']{0,500}[\"'])?\)"
)
_REFERENCE = re.compile(r"(?<![\w\]])!?\[([^\[\]\n]{0,1000})\]\[[^\[\]\n]{0,200}\]")
_DEFINITION = re.compile(r"^ {0,3}\[[^\[\]^\n][^\[\]\n]{0,200}\]:[ \t]*\S.*\n?", re.MULTILINE)
_ITEMS = re.compile(r"(?:\n[ \t]*-[ \t].*|\n[ \t]+\S.*)*")
_ITEM = re.compile(r"^[ \t]*(?:-[ \t]+)?(?:name[ \t]*:[ \t]*)?", re.MULTILINE)
_MAX_FRONT = 1 << 16  # characters


def without_front_matter(text: str) -> tuple[str, str]:
    """The text without YAML or TOML at its start, and the title that gives ("" if none)."""
    start = _FRONT.match(text)
    if not start:
        return text, ""
    end = text.find(f"\n{start[1]}", start.end() - 1, start.end() + _MAX_FRONT)
    front = text[start.end() : max(end, start.end())]
    lines = [line for line in front.split("\n") if line.strip()]
    if end < 0 or not all(map(_SETTING.match, lines)):
        return text, ""
    title = _TITLE.search(front)
    rest = text[end + 4 :].partition("\n")[2]
    return rest, title[1].strip().strip("\"'").strip() if title else ""


def front_values(front: str, name: str) -> list[str]:
    """The values of a setting of front matter, or of its plural: one, a list in brackets, or one in
    items below it; [] if there is no such setting."""
    setting = re.search(rf"^{name}s?[ \t]*[:=][ \t]*(.*)$", front, re.MULTILINE | re.IGNORECASE)
    if setting is None:
        return []
    value = setting[1].strip()
    if value.startswith("["):
        values = value.strip("[]").split(",")
    elif value:
        values = [value]
    else:
        items = _ITEMS.match(front, setting.end())
        values = _ITEM.sub("", items[0]).split("\n") if items else []
    return [one for text in values if (one := text.strip().strip("\"'").strip())]


def for_readers(text: str) -> str:
    """Markdown without comments and definitions of links; links as their text, pictures as theirs."""
    return "".join(part if code else _plain(part) for part, code in _parts(text))


def _parts(text: str) -> Iterator[tuple[str, bool]]:
    """Stretches of text, and whether each is fenced code."""
    start = 0
    fence = ""
    for match in _FENCE.finditer(text):
        if not fence:
            yield text[start : match.start()], False
            start, fence = match.start(), match[1]
        elif match[1] == fence:
            yield text[start : match.end()], True
            start, fence = match.end(), ""
    yield text[start:], bool(fence)


def _plain(text: str) -> str:
    text = without_comments(text)
    pieces: list[str] = []
    start = 0
    for code in _CODE.finditer(text):
        pieces += [_without_links(text[start : code.start()]), code.group()]
        start = code.end()
    return "".join([*pieces, _without_links(text[start:])])


def _without_links(text: str) -> str:
    return _REFERENCE.sub(r"\1", _LINK.sub(r"\1", _DEFINITION.sub("", text)))


def without_comments(text: str) -> str:
    """The text without <!-- comments -->."""
    first, *others = text.split("<!--")
    kept = [first]
    for index, piece in enumerate(others):
        _, mark, after = piece.partition("-->")
        if not mark:  # never closed: it is not a comment, and neither is what follows
            return "".join([*kept, *(f"<!--{one}" for one in others[index:])])
        kept.append(after)
    return "".join(kept)
