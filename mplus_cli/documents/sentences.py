"""Where sentences end. Independent of tokens and layout; a heuristic for European and CJK prose."""

import re
from collections.abc import Iterator

_SPACE = re.compile(r"\s+")
_CLOSERS = "\"'”’»›)]}*_"
_END = re.compile(rf"[.!?…‽][.!?…]*[{re.escape(_CLOSERS)}]*\Z")
_WIDE_END = re.compile(r"[。！？｡][」』”’）]*\Z")
_LAST_WORD = re.compile(r"[(\[\"'“‘_*]*([^\W_][\w.\-’']*)\.\Z")
_ABBREVIATION = re.compile(
    r"m(?:r|rs|s|essrs|me|lle)|dr|ste?|prof|rev|cap?t|cpt|lt|sgt|maj|adm|gov|esq|sr|vs|cf|viz|e\.?g|"
    r"i\.?e|al|approx|ca?|vols?|nos|pp?|figs|chap|eds|trans|op|cit|ibid|bros|dept|jan|feb|apr|jun|jul|"
    r"aug|sept|oct|nov|dec|tues?|thu|thurs?|z\.b|d\.h|u\.a|bzw|nr",
    re.IGNORECASE,
)
# These are words too, unless they begin with a capital.
_CAPITALISED = re.compile(
    r"No|Art|Fig|Col|Gen|Sen|Rep|Pres|Hon|Mt|Ft|Ch|Sec|Ed|Sat|Sun|Mon|Wed|Fri|Mar|Sep|Hr|Fr|Str"
)


def split_sentences(text: str) -> Iterator[tuple[int, int]]:
    """The spans of the sentences of a text, without the space between them. A paragraph ends a
    sentence."""
    start = 0
    for space in _SPACE.finditer(text):
        ends = "\n\n" in space[0] or is_sentence_break(text, space.start(), space.end())
        if space.start() == start:
            start = space.end()
        elif ends:
            yield start, space.start()
            start = space.end()
    stop = len(text.rstrip())
    if start < stop:
        yield start, stop


def ends_sentence(before: str) -> bool:
    """Whether `before` (without trailing spaces) ends with a sentence and its closing quotes.

    "Mr.", "e.g." and initials do not end one.
    """
    tail = before[-80:]
    if _WIDE_END.search(tail):
        return True
    if not _END.search(tail):
        return False
    word = _LAST_WORD.search(tail)
    return not (word and _is_abbreviation(word.group(1)))


def _is_abbreviation(word: str) -> bool:
    """`word` is what stands before the full stop, without it: "Mr", "e.g", "J", "J.R"."""
    if _ABBREVIATION.fullmatch(word) or _CAPITALISED.fullmatch(word):
        return True
    letters = word.split(".")
    return all(len(letter) == 1 and letter.isupper() for letter in letters)


def is_sentence_break(text: str, end: int, start: int) -> bool:
    """Whether one sentence of `text` ends at `end` and the next begins at `start`."""
    before = text[max(0, end - 80) : end]
    if start == end:
        return bool(_WIDE_END.search(before)) and text[start : start + 1] not in "」』”’）"
    following = text[start : start + 2].lstrip("\"'“‘«(")
    if following[:1].islower():
        return False
    return ends_sentence(before)
