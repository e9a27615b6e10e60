"""Decides which lines of plain text belong together. Looks at characters only, not at geometry.

The test at its heart: if the first word of the next line would have fit on this one, the line was
ended on purpose (verse, a list, a heading, a table); if not, it was wrapped.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

from mplus_cli.documents.joining import Joint, Line

_UNWRAPPED = 160  # lines longer than this were never wrapped
_INDENT_CAP = 8  # columns of indentation kept: enough for code and verse, not for centred text
_LIST_ITEM = re.compile(r"(?:[-*+•‣◦▪–—]|\(?(?:\d{1,3}|[a-zA-Z]|[ivxlc]{1,5})[.)])\s+\S")
_SURE_ITEM = re.compile(r"(?:[-*+•‣◦▪]|\(\w{1,4}\)|[a-z]\))\s+\S")
_TABLE_ROW = re.compile(r"\||.*\S(?: {3,}|\t)\S.*\S(?: {3,}|\t)\S|.*\S(?:\t| {5,})\S")
_OWN_LINE = re.compile(r"#{1,6}\s|>|[\W_]*\Z|\[\^?\w+\]:")
_FENCE = re.compile(r"\s*(```|~~~)")
_TERMINAL = re.compile(r"[.!?:;…。！？][\"'”’»)\]_*]*\Z")


def flow_text(text: str, *, fences: bool = False, slack: float = 0.0) -> list[Line]:
    """The lines of cleaned `text`, each with its joint.

    `fences`: whether ``` marks code. `slack`: the share of a line by which widths are uncertain
    (text set in a proportional font).
    """
    raw = [line.expandtabs(4).rstrip() for line in text.split("\n")]
    width = _wrap_width(raw)
    lines: list[Line] = []
    for block, code in _blocks(raw, fences):
        joints = [Joint.LINE] * len(block) if code else _joints(block, width, slack)
        lines += _block_lines(block, joints, keep=code)
    return lines


def _blocks(raw: Sequence[str], fences: bool) -> list[tuple[list[str], bool]]:
    """Runs of lines between blank ones, and fenced code whole, with whether they are code."""
    blocks: list[tuple[list[str], bool]] = []
    current: list[str] = []
    fence = ""
    for line in raw:
        mark = _FENCE.match(line) if fences else None
        if fence:
            current.append(line)
            if mark and mark.group(1) == fence:
                blocks.append((current, True))
                current, fence = [], ""
        elif mark:
            blocks.append((current, False))
            current, fence = [line], mark.group(1)
        elif line:
            current.append(line)
        elif current:
            blocks.append((current, False))
            current = []
    blocks.append((current, bool(fence)))
    return [(block, code) for block, code in blocks if block]


def _block_lines(block: Sequence[str], joints: Sequence[Joint], keep: bool) -> list[Line]:
    """`block` as lines; those ended on purpose keep the indentation they have over the others."""
    base = min(_indent(line) for line in block if line.strip())
    cap = 80 if keep else _INDENT_CAP
    lines = []
    for index, (text, joint) in enumerate(zip(block, joints, strict=True)):
        starts_line = index == 0 or joints[index - 1] is not Joint.JOIN
        on_purpose = joint is not Joint.JOIN and starts_line
        indent = min(_indent(text) - base, cap) if on_purpose and joint is Joint.LINE else 0
        lines.append(Line(" " * max(indent, 0) + text.strip(), joint, verbatim=on_purpose))
    lines[-1].joint = Joint.PARAGRAPH
    return lines


def _wrap_width(raw: Sequence[str]) -> int:
    """The column at which this text is wrapped: that of its longer lines within paragraphs."""
    lengths = sorted(len(line) for line, after in pairwise(raw) if line and after.strip())
    return lengths[len(lengths) * 9 // 10] if lengths else 80


def _joints(block: Sequence[str], width: int, slack: float) -> list[Joint]:
    """How each line of a block of plain text goes on."""
    if len(block) == 1:
        return [Joint.LINE]
    if width > _UNWRAPPED:
        return [Joint.PARAGRAPH if len(line) > 80 else Joint.LINE for line in block]
    limit = _limit(block, width) * (1 - slack)
    pairs = list(pairwise(block))
    early = [_would_fit(a, b, limit) for a, b in pairs]
    # The end of a list item is not a vote for verse.
    votes = [e for (_, b), e in zip(pairs, early, strict=True) if not _LIST_ITEM.match(b.strip())]
    mostly_early = votes and sum(votes) * 2 >= len(votes) and not _is_prose(block, limit)
    if mostly_early or _is_verse(block, width):
        return [Joint.LINE] * len(block)
    base = min(_indent(line) for line in block)
    joints = []
    for index, (a, b) in enumerate(pairs):
        fits = early[index] and len(a) < 0.6 * limit
        if _is_row(a) or _is_row(b):
            joints.append(Joint.LINE)
        elif _new_paragraph(block, index + 1, base):
            joints.append(Joint.PARAGRAPH)
        elif _ends_here(a, b, first=index == 0, fits=fits):
            joints.append(Joint.LINE)
        else:
            joints.append(Joint.JOIN)
    return [*joints, Joint.LINE]


def _limit(block: Sequence[str], width: int) -> int:
    """The width a block was wrapped to: its own, if it is long and wide enough to show one."""
    own = max(len(line) for line in block)
    return own if len(block) >= 4 and 0.6 * width <= own <= 1.15 * width else width


def _would_fit(line: str, following: str, limit: float) -> bool:
    word = following.split(maxsplit=1)[0]
    return len(line) + 1 + len(word) <= limit


def _is_prose(block: Sequence[str], limit: float) -> bool:
    """Lines that all nearly reach the limit were wrapped, if loosely."""
    return len(block) >= 4 and all(len(line) > 0.8 * limit for line in block[:-1])


def _is_verse(block: Sequence[str], width: int) -> bool:
    """Three lines or more, none wide, all but one beginning with a capital."""
    if len(block) < 3 or max(len(line.strip()) for line in block) > 0.85 * width:
        return False
    capitals = sum(line.strip().lstrip("\"'“‘_*(—-")[:1].isupper() for line in block)
    return capitals >= len(block) - (len(block) > 4)


def _ends_here(line: str, following: str, *, first: bool, fits: bool) -> bool:
    """Whether a line break between the two is meant."""
    a, b = line.strip(), following.strip()
    if fits or _OWN_LINE.match(a) or _OWN_LINE.match(b) or _SURE_ITEM.match(b):
        return True
    after_item = first or bool(_LIST_ITEM.match(a)) or bool(_TERMINAL.search(a))
    return bool(_LIST_ITEM.match(b)) and after_item


def _is_row(line: str) -> bool:
    return bool(_TABLE_ROW.match(line.strip()))


def _new_paragraph(block: Sequence[str], index: int, base: int) -> bool:
    """Whether line `index` begins a paragraph that only its indentation marks."""
    indent = _indent(block[index])
    if not base < indent <= base + 12 or _LIST_ITEM.match(block[index - 1].strip()):
        return False
    goes_back = index + 1 == len(block) or _indent(block[index + 1]) < indent
    return goes_back and _indent(block[index - 1]) < indent


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
