"""Joins lines into paragraphs once it has been decided which belong together.

Each line comes with a `Joint`: how it goes on. This module does the going on: spaces, hyphens at
line ends, no space between Chinese characters, and which page every character belongs to. It does
not know how the joints were found.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from mplus_cli.documents.characters import SOFT_HYPHEN, is_wide

HYPHENS = "-\u2010" + SOFT_HYPHEN
_WORD = re.compile(r"[^\W\d_]+(?:[-\u2010'’][^\W\d_]+)*")
_LAST_HALF = re.compile(r"([^\W\d_]+(?:-[^\W\d_]+)*)[-\u2010]\Z")
_FIRST_HALF = re.compile(r"([^\W\d_]+)")
_SPACES = re.compile(r"\s+")
# English halves that make compounds, where no syllable ends so: "well-known", not "wel-come".
_COMPOUND_STARTS = frozenset({"well", "self", "half", "ill"})
_WORD_ENDS = frozenset(  # that make one word of such a start: wellness, selfish, halfway, illness
    {"ness", "being", "ington", "ingtons", "ing", "ed", "er", "ers", "spring", "springs", "ish"}
    | {"ishly", "ishness", "less", "lessly", "lessness", "same", "way", "back", "ling", "lings"}
    | {"penny", "pence", "nesses", "heartedly", "wit", "wits", "tone", "head", "born"}
)
_TENS = frozenset({"twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"})
_DIGITS = frozenset(
    {"one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "first", "second"}
    | {"third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth"}
)
_COMPOUND_ENDS = frozenset(
    {"known", "looking", "minded", "natured", "hearted", "eyed", "haired", "fashioned", "tempered"}
    | {"shaped", "sized", "dressed", "mannered", "humoured", "humored"}
)
_PREFIXES = frozenset({"un", "over", "under", "out", "mis", "re", "pre", "onlook", "for", "down"})


class Joint(Enum):
    """How a line goes on: in the same paragraph, on a new line, or with a new paragraph."""

    JOIN = " "
    LINE = "\n"
    PARAGRAPH = "\n\n"


@dataclass(slots=True)
class Line:
    """A line of text, what follows it, and the index of its page."""

    text: str
    joint: Joint = Joint.JOIN
    page: int = 0
    verbatim: bool = False  # keeps its indentation and inner spaces


def join_lines(lines: Sequence[Line], page_total: int = 1) -> list[str]:
    """The text of each page; one after the other they are the text of all `lines`."""
    hyphens = Hyphens(lines)
    pages: list[list[str]] = [[] for _ in range(page_total)]
    for index, line in enumerate(lines):
        following = lines[index + 1] if index + 1 < len(lines) else None
        text = _plain(line)
        if following is None:
            pages[line.page].append(text.rstrip())
        elif line.joint is Joint.JOIN:
            pages[line.page].append(hyphens.joined(text, _plain(following)))
        else:
            pages[line.page].append(text.replace(SOFT_HYPHEN, "").rstrip() + line.joint.value)
    return ["".join(page).replace(SOFT_HYPHEN, "") for page in pages]


def _plain(line: Line) -> str:
    return line.text.rstrip() if line.verbatim else _SPACES.sub(" ", line.text).strip()


class Hyphens:
    """Tells a hyphen that breaks a word at a line end from one that is part of it.

    The document itself is the dictionary: a compound or a whole word seen elsewhere decides; where
    neither is, two halves that are words of their own stay a compound, unless this document is
    known to break words.
    """

    def __init__(self, lines: Sequence[Line]) -> None:
        texts = [line.text.replace(SOFT_HYPHEN, "") for line in lines]
        self.broken = [
            _halves(a.text.rstrip(), b.text.lstrip())
            for a, b in pairwise(lines)
            if a.joint is Joint.JOIN and a.text.rstrip().endswith(("-", "\u2010"))
        ]
        self.words = _count(texts) if any(self.broken) else Counter()
        votes = sum(self._vote(*halves) for halves in self.broken if halves)
        self.breaks_words = votes > 0

    def _vote(self, left: str, right: str) -> int:
        """1 where the document elsewhere has the two halves as one word, -1 as a compound, or 0."""
        whole, compound = self.words[left + right], self.words[f"{left}-{right}"]
        return (whole > compound) - (whole < compound)

    def joined(self, text: str, following: str) -> str:
        """`text`, ready for `following`: with a space, without its hyphen, or as it is."""
        if text.endswith(SOFT_HYPHEN):
            return text.rstrip(SOFT_HYPHEN)
        if not following or not text:
            return text
        halves = _halves(text, following)
        if halves:
            return text[:-1] if self._breaks(*halves) else text
        if text[-1] in HYPHENS and text[-2:-1].isalnum() and following[0].isalnum():
            return text  # Anglo-/Saxon, 1914-/1918
        if text.endswith(("--", "—")) and text.rstrip("-—")[-1:].strip() and following[0].isalnum():
            return text
        if is_wide(text[-1]) and is_wide(following[0]):
            return text
        return text + " "

    def _breaks(self, left: str, right: str) -> bool:
        vote = self._vote(left, right)
        if vote:
            return vote > 0
        first, last = left.rsplit("-", 1)[-1], right
        if _is_compound(first, last):
            return False
        both_words = min(len(first), len(last)) >= 3 and self.words[first] and self.words[last]
        return self.breaks_words or not both_words


def _is_compound(first: str, last: str) -> bool:
    """Whether two halves are an English compound, whatever the document does with its words."""
    if first in _TENS:
        return last in _DIGITS
    if first in _COMPOUND_STARTS:
        return len(last) > 2 and last not in _WORD_ENDS
    return len(first) > 2 and last in _COMPOUND_ENDS and first not in _PREFIXES


def _halves(text: str, following: str) -> tuple[str, str] | None:
    """The two halves, in lower case, of a word hyphenated between two lines."""
    left = _LAST_HALF.search(text[-60:])
    right = _FIRST_HALF.match(following[:60])
    if not left or not right or not right.group(1)[0].islower():
        return None
    return left.group(1).lower(), right.group(1).lower()


def _count(texts: Iterable[str]) -> Counter[str]:
    words: Counter[str] = Counter()
    for text in texts:
        found = [word.lower().replace("\u2010", "-") for word in _WORD.findall(text)]
        # The halves at the ends of a line are not evidence.
        if text.rstrip().endswith(("-", "\u2010")) and found:
            found.pop()
        words.update(found)
        for word in found:
            if "-" in word:
                words.update(word.split("-"))
    return words
