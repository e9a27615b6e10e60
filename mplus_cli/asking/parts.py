"""The part of a document that a question names: "page 12", "chapters 3-5", "section 2.3", "Part Two", or the
title of a chapter in quotation marks.

Relies on English words, and on chunks as a memory records them; needs no model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from mplus_cli.asking.passages import Span
from mplus_cli.library import ChunkRow

_UNITS = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth".split()
_WORDS = {
    **{word: at for words in (_UNITS, _ORDINALS) for at, word in enumerate(words, 1)},
    **{ten: at for at, ten in zip(range(20, 100, 10), _TENS, strict=True)},
    **{
        f"{ten} {unit}": 10 * tens + units
        for tens, ten in enumerate(_TENS, 2)
        for units, unit in enumerate(_UNITS[:9], 1)
    },
}
_SPELT = "|".join(sorted(_WORDS, key=len, reverse=True)).replace(" ", "[ -]")
_NUMBER = rf"(?:{_SPELT}|\d{{1,5}}(?:\.\d{{1,3}})*|[a-z]{{1,2}}-\d{{1,4}}|[ivxlc]{{1,9}})\b"
_ROMAN = re.compile(r"c{0,3}(?:xc|xl|l?x{0,3})(?:ix|iv|v?i{0,3})")
_KIND = (
    r"(?:(?P<kind>page|chapter|section|part|book|volume|act|scene)(?P<many>s)? (?:the )?"
    r"|(?P<short>pp?|ch|chap|sec)(?:\. ?|(?=\d))|§ ?)"
)
_SHORT = {"p": "page", "pp": "page", "ch": "chapter", "chap": "chapter", "sec": "section"}
_DOUBTFUL = frozenset(("part", "book", "volume", "act", "scene", "title"))
"""What may be a word of the story where no heading is called so."""
_OF_ANOTHER = (
    r"(?: of|,? in) (?:the|an?|his|her|its|their|my|our|your|that) (?!(?:whole |entire )?"
    r"(?:book|novel|story|text|document|paper|report|article|work|tale|chapter|part|section|volume)\b)"
)
# "The page 12 years old" is a boy, and what comes before a page is not on it.
_NOT_BEHIND = (
    "the a an no any his her this that which what before after until since between than except to"
)
_NAMED = re.compile(
    rf"(?<!\w){''.join(f'(?<!{word} )' for word in _NOT_BEHIND.split())}{_KIND}(?P<first>{_NUMBER})"
    rf"(?:(?: ?[-–—] ?| to | through | (?P<both>and) )(?:page |chapter |section )?(?P<last>{_NUMBER}))?"
    rf"(?! (?:years?|days?|times|people|men|women|another|after another|by one|day)\b)(?!{_OF_ANOTHER})"
)
_TITLE = re.compile(
    r"\b(?:chapter|section|part|in|summari[sz]e) [\"“](?P<title>[^\"“”]{2,120})[\"”]"
)
_HEADING = re.compile(rf"(?:{_KIND})?(?P<first>{_NUMBER})(?!\.?\d)")
_ASKS_FOR_ALL = frozenset(
    "what s is are was on in at of from the does do did say says said happens happen happened stands written "
    "about tell me us summarise summarize summary sum up recap outline give show a an please can could you "
    "would describe read contain contains this book document text and".split()
)
_YES_OR_NO = re.compile(r"(?:is|are|was|does|do|did)\b")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of documents that a question names."""

    name: str
    """As the question has it: "page 12"."""
    spans: Mapping[int, Span]
    """Where it begins and ends in each of its chunks, by their numbers: the first of each document, then the
    second; none if there is no such part."""
    is_all: bool
    """Whether the question asks what stands there, and nothing else."""

    def within(self, chunk: int) -> Span:
        """Where it stands in a chunk; (0, 0) where it does not."""
        return self.spans.get(chunk, (0, 0))


@dataclass(frozen=True, slots=True)
class _Name:
    kind: str
    """The singular of those in `_KIND`, or "title"."""
    keys: frozenset[str]
    written: str


def names_part(question: str) -> bool:
    """Whether a question may name a part: only then do the chunks have to be looked through."""
    return bool(_names(_plain(question)))


def find_part(question: str, rows: Sequence[ChunkRow]) -> Part | None:
    """The part that a question names, in chunks in the order of the text; None if it names none.

    Printed page labels go before the numbers of the pages in the file. Several of a kind are all meant; of
    several kinds ("chapter 3 of part two") what they share.
    """
    text = _plain(question)
    names = sorted(_names(text), key=lambda name: name.kind)
    if not names:
        return None
    held: list[tuple[int, int, Span]] = []
    for document in {row.document_id for row in rows}:
        own = [row for row in rows if row.document_id == document]
        found = [_joined(same, own) for _, same in groupby(names, lambda name: name.kind)]
        for at, number in enumerate(sorted(set.intersection(*map(set, found)))):
            start, stop = max(f[number][0] for f in found), min(f[number][1] for f in found)
            held += [(at, number, (start, stop))] if start < stop else []
    spans = {number: span for _, number, span in sorted(held)}
    if not spans and all(name.kind in _DOUBTFUL for name in names):
        return None
    rest = _TITLE.sub(" ", _NAMED.sub(" ", text))
    is_all = not _YES_OR_NO.match(text) and set(re.findall(r"\w+", rest)) <= _ASKS_FOR_ALL
    return Part(" and ".join(name.written for name in names), spans, is_all)


def _plain(question: str) -> str:
    """In lower case; "I" counts as a number only where nothing follows that it may be the subject of."""
    text = " ".join(question.split())
    return re.sub(r"\bI (?!of\b|in\b|and\b|to\b)(?=\w)", "me ", text).lower()


def _names(text: str) -> list[_Name]:
    """The parts that a text in lower case names."""
    found = [
        _Name("title", frozenset((_key(m["title"]),)), m["title"]) for m in _TITLE.finditer(text)
    ]
    for match in _NAMED.finditer(text):
        kind, last = _kind(match), match["last"]
        if match["both"] and not (match["many"] or match["short"] == "pp"):
            last = None  # "page 12 and two letters"
        keys = [_value(number, kind) for number in (match["first"], last) if number]
        if len(keys) == 2 and not match["both"] and all(map(str.isdecimal, keys)):
            low, high = map(int, keys)
            keys = [str(number) for number in range(low, min(high, low + 9999) + 1)]
        if all(keys):
            written = match[0] if last else text[match.start() : match.end("first")]
            found.append(_Name(kind, frozenset(keys), written))
    return found


def _kind(match: re.Match[str]) -> str:
    return match["kind"] or _SHORT.get(match["short"] or "", "section")


def _value(number: str, kind: str) -> str:
    """A number in figures; a page's label as it is; "" for a word that is no Roman number."""
    spelt = _WORDS.get(number.replace("-", " "))
    if spelt or any(map(str.isdigit, number)):
        return str(spelt or number)
    worth = [{"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}[letter] for letter in number]
    value = sum(-a if a < b else a for a, b in zip(worth, [*worth[1:], 0], strict=True))
    return (number if kind == "page" else str(value)) if _ROMAN.fullmatch(number) else ""


def _key(title: str) -> str:
    return " ".join(re.findall(r"\w+", title.lower()))


def _joined(names: Iterator[_Name], rows: Sequence[ChunkRow]) -> dict[int, Span]:
    """Where parts of one kind stand in the chunks of a document, from the first to the last character."""
    spans: dict[int, Span] = {}
    for name in names:
        known = list(_pages(rows) if name.kind == "page" else _sections(rows, name.kind))
        sure = [(number, span) for number, span, keys, _ in known if keys & name.keys]
        likely = [(number, span) for number, span, _, keys in known if keys & name.keys]
        for number, (start, stop) in sure or likely:
            low, high = spans.get(number, (start, stop))
            spans[number] = (min(low, start), max(high, stop))
    return spans


Known = tuple[int, Span, frozenset[str], frozenset[str]]
"""A chunk's number, a span of its text, what that is certainly called, and what else it may be called."""


def _pages(rows: Sequence[ChunkRow]) -> Iterator[Known]:
    """Pages by their labels, and by their numbers in the file."""
    for row in rows:
        held = row.place.pages if row.place else ()
        for (start, number, label), stop in zip(held, _ends(held, row), strict=True):
            if row.text[start:stop].strip():
                yield (
                    row.number,
                    (start, stop),
                    frozenset((label.lower(),)),
                    frozenset((str(number),)),
                )
        if not held and row.first_page and row.last_page:
            labels = row.place.labels if row.place and row.place.labels else ()
            numbers = map(str, range(row.first_page, row.last_page + 1))
            whole = (0, len(row.text))
            yield row.number, whole, frozenset(map(str.lower, labels)), frozenset(numbers)


def _sections(rows: Sequence[ChunkRow], kind: str) -> Iterator[Known]:
    """Sections by what their headings call them ("Chapter 3"), and by a number alone ("3. The Ferry")."""
    for row in rows:
        place = row.place
        held = (
            place.headings
            if place and place.headings
            else ((0, 0, place.section if place else ()),)
        )
        for (start, _, titles), stop in zip(held, _ends(held, row), strict=True):
            if row.text[start:stop].strip():
                called = [_called(title.lower(), kind) for title in titles]
                yield (
                    *(row.number, (start, stop)),
                    frozenset().union(*(sure for sure, _ in called)),
                    frozenset().union(*(likely for _, likely in called)),
                )


def _called(title: str, kind: str) -> tuple[frozenset[str], frozenset[str]]:
    """What a heading is called for sure, and what it may be called, for a kind of part."""
    match = _HEADING.match(title)
    behind = title[match.end() :] if match else title
    if kind == "title":
        return frozenset((_key(title), _key(behind))), frozenset()
    number = _value(match["first"], kind) if match else ""
    # "Section 2" has all that is headed "2.1" and "2.2".
    numbers = frozenset(number[: dot.start()] for dot in re.finditer(r"\.|$", number)) - {""}
    if match and match["first"] != match[0]:
        return (numbers if _kind(match) == kind else frozenset()), frozenset()
    is_number = match and (match["first"][0].isdigit() or not re.match(r"\s*\w", behind))
    return frozenset(), numbers if is_number and kind in ("chapter", "section") else frozenset()


def _ends(held: Sequence[tuple[Any, ...]], row: ChunkRow) -> list[int]:
    """Where each of the pages or sections of a chunk ends, which begin one after the other."""
    return [*(part[0] for part in held[1:]), len(row.text)][: len(held)]
