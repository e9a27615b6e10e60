"""How a question names a part of a document: "page 12", "chapters 3-5", "section 2.3", "the last chapter",
"the preface", or the title of a chapter in quotation marks.

Works on the words of the question; what they refer to is found elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mplus_cli.english.numbers import CARDINAL, ORDINAL, ROMAN, number, roman
from mplus_cli.english.texts import TEXT

NUMBERED = "page chapter section part book volume act scene canto stave letter appendix".split()
"""What parts with a number are called."""
UNNUMBERED = (
    "preface foreword prologue epilogue afterword postscript introduction conclusion abstract "
    "dedication glossary"
).split()
"""What parts without one are called."""
_SURE = frozenset("page chapter section preface foreword prologue epilogue afterword".split())
"""What always means the document; all other names may be words of the story."""
_SHORT = {
    **dict.fromkeys(("p", "pp"), "page"),
    **dict.fromkeys(("ch", "chap"), "chapter"),
    **dict.fromkeys(("sec", "§"), "section"),
    "vol": "volume",
}
_NUMBER = (
    rf"(?:{ORDINAL}|\d{{1,5}}(?:\.\d{{1,3}})+|{CARDINAL}|[a-z]{{1,2}}-\d{{1,4}}|{ROMAN})(?!\w|\.\d)"
)
_KIND = rf"(?P<kind>{'|'.join(NUMBERED)})"
KIND_BEFORE = (
    rf"(?:{_KIND}(?P<many>s)? (?:the )?"
    r"|(?P<short>pp?|ch|chap|sec|vol)(?:\. ?|(?=\d))|(?P<sign>§) ?)"
)
"""A pattern of the word or sign in front of a number, in lower case; `kind_of` says what it means."""

# "Page 12 of the ledger" is no page of the book, but "chapter 3 of this novel" is one of its chapters.
_OF_ANOTHER = (
    r"(?: of|,? in| from) (?:(?:the|an?|his|her|its|their|my|our|your|that)|[\w-]+(?:'s|’s|s'|s’)) "
    rf"(?!(?:whole |entire )?(?:{TEXT}|{'|'.join(NUMBERED)})\b)"
)
# "The page 12 years old" is a boy, and what comes before a page is not on it.
_NOT_BEHIND = (
    "the a an no any his her this that which what before after until since between than except to"
)
_NOT_COUNTED = r"(?! (?:years?|days?|times|people|men|women|another|after another|by one|day)\b)"
_UP_TO = r"(?: ?[-–—] ?| to | through )"
_RANGE = rf"(?:{_UP_TO}(?:page |chapter |section )?{_NUMBER}{_NOT_COUNTED})"
_FIGURES = r"\d{1,5}(?:\.\d{1,3})*(?!\w|\.\d)"
_AND = r"(?:,? (?:and|or|&) )"
# "3, 4 and 5", "I-III, V", or "3 to 5"; a number in words that no "and" follows may be of another sentence.
_MORE = (
    rf"(?:(?:, {_NUMBER}{_NOT_COUNTED}{_RANGE}?)*{_AND}{_NUMBER}{_NOT_COUNTED}{_RANGE}?"
    rf"|(?:, ?{_FIGURES}{_NOT_COUNTED}{_RANGE}?)+)"
)
_WITH_NUMBER = (
    rf"(?<!\w){''.join(f'(?<!{word} )' for word in _NOT_BEHIND.split())}{KIND_BEFORE}"
    rf"(?P<first>{_NUMBER}){_NOT_COUNTED}(?>(?P<last>{_RANGE}?)(?P<more>{_MORE}?))(?!{_OF_ANOTHER})"
)
_LISTED = rf"(?:{_AND}|, ?)(?P<first>{_NUMBER})(?P<last>{_RANGE}?)"
_WITHIN = r"(?:(?P<within>in|on|of|from|at|during|throughout|within) )?"
# "On the last page he wrote" is about what he wrote on.
_NOT_OWNED = r"(?! (?:he|she|it|they|we|me|you|that|which|who|whom|was|were|had)\b)"
_IN_ORDER = (
    rf"(?<!\w){_WITHIN}(?:the|its) (?P<written>(?:very )?(?:"
    r"(?P<before_last>penultimate|second[- ](?:to[- ])?last|next[- ]to[- ]last)"
    rf"|(?P<end>first|opening|last|final|closing)(?: (?P<count>{CARDINAL}))?|(?P<at>{ORDINAL})"
    rf") {_KIND}s?)\b{_NOT_OWNED}(?!{_OF_ANOTHER})"
)
_ALONE = rf"(?<!\w){_WITHIN}(?:the|its) (?P<written>{'|'.join(UNNUMBERED)})\b{_NOT_OWNED}(?!{_OF_ANOTHER})"
_TITLE = (
    r"\b(?:(?:chapter|section|part)(?: called| titled| entitled)?|in|summari[sz]e)"
    r" [\"“](?P<title>[^\"“”]{2,120})[\"”]"
)
_ASKS_FOR_ALL = frozenset(
    "what s is are was on in at of from the does do did say says said happens happen happened stands written "
    "about tell me us summarise summarize summary sum up recap outline give show a an please can could you "
    "would describe read contain contains this book document text and".split()
)
# To compile these patterns takes 35 ms, and few questions name a part.
_ANY = re.compile(
    rf"\b(?:{'|'.join([*NUMBERED, *UNNUMBERED])})|\b(?:{'|'.join(_SHORT)})(?=[.\d])|[§\"“]"
)
_YES_OR_NO = re.compile(r"(?:is|are|was|does|do|did)\b")


@dataclass(frozen=True, slots=True)
class PartName:
    """A name of a part of a document, or of several of one kind."""

    kind: str
    """One of `NUMBERED`; "alone" for one of `UNNUMBERED`; or "title"."""
    written: str
    """As the question has it: "page 12", "last chapter"."""
    keys: frozenset[str] = frozenset()
    """The numbers in figures, the page labels, or the words; of any of them."""
    order: tuple[int, int | None] | None = None
    """The slice of all parts of the kind, where no number says it better."""

    @property
    def is_sure(self) -> bool:
        """Whether nothing but a part of the document can be meant."""
        return self.kind in _SURE or self.written in _SURE


@dataclass(frozen=True, slots=True)
class PartsNamed:
    """The parts that a question names."""

    names: tuple[PartName, ...]
    asks_for_all: bool
    """Whether the question asks what stands there, and nothing else."""


def parts_named(question: str) -> PartsNamed:
    """The parts that a question names; those in quotation marks first, then in the order of the question."""
    text = _plain(question)
    if not _ANY.search(text):
        return PartsNamed((), asks_for_all=False)
    found = [*_titles(text), *_numbered(text), *_in_order(text), *_alone(text)]
    rest = text
    for pattern in (_TITLE, _WITH_NUMBER, _IN_ORDER, _ALONE):
        rest = re.sub(pattern, " ", rest)
    asks_for_all = (
        bool(found)
        and not _YES_OR_NO.match(text)
        and set(re.findall(r"\w+", rest)) <= _ASKS_FOR_ALL
    )
    # "Who tore the last page?" asks about paper; "who sings on the last page?" about the text.
    names = tuple(name for name, is_place in found if is_place or asks_for_all)
    return PartsNamed(names, asks_for_all)


def kind_of(match: re.Match[str]) -> str:
    """The kind that `KIND_BEFORE` matched."""
    return match["kind"] or _SHORT[match["short"] or match["sign"]]


def in_figures(written: str, *, label: bool = False) -> str:
    """A number in figures, "" for a word that is none; `label`: Roman numerals as they are."""
    value = number(written)
    if value is not None:
        return str(value)
    if any(map(str.isdigit, written)):
        return written
    value = roman(written)
    return "" if value is None else written if label else str(value)


def title_key(title: str) -> str:
    """The words of a title, in lower case."""
    return " ".join(re.findall(r"\w+", title.lower()))


def _plain(question: str) -> str:
    """In lower case; "I" counts as a number only where nothing follows that it may be the subject of."""
    text = " ".join(question.split())
    return re.sub(r"\bI (?!of\b|in\b|and\b|to\b)(?=\w)", "me ", text).lower()


Found = Iterator[tuple[PartName, bool]]
"""Names, and whether each is certainly a place where something stands."""


def _titles(text: str) -> Found:
    for match in re.finditer(_TITLE, text):
        title = match["title"]
        yield PartName("title", title, frozenset((title_key(title),))), True


def _numbered(text: str) -> Found:
    for match in re.finditer(_WITH_NUMBER, text):
        kind, stop = kind_of(match), match.end("last")
        keys = _keys(match, kind)
        is_list = match["many"] or match["short"] == "pp" or not text[match.end() :].strip(" ?.!")
        if is_list:  # and not "page 12 and two letters"
            stop = match.end()
            for listed in re.finditer(_LISTED, match["more"]):
                keys += _keys(listed, kind)
        if all(keys):
            yield PartName(kind, text[match.start() : stop], frozenset(keys)), True


def _keys(match: re.Match[str], kind: str) -> list[str]:
    """A number in figures, or all those of a range; "" for a word that is none."""
    written = [match["first"], *re.findall(rf"{_NUMBER}$", match["last"])]
    keys = [in_figures(part, label=kind == "page") for part in written]
    if len(keys) == 2 and all(map(str.isdecimal, keys)):
        low, high = map(int, keys)
        keys = [str(value) for value in range(low, min(high, low + 9999) + 1)]
    return keys


def _in_order(text: str) -> Found:
    for match in re.finditer(_IN_ORDER, text):
        count = number(match["count"] or "one") or 1
        at = number(match["at"] or "") or 0
        numbers: range | tuple[()] = range(at, at + 1)
        order: tuple[int, int | None] = (at - 1, at)
        if match["before_last"]:
            numbers, order = (), (-2, -1)
        elif match["end"] in ("first", "opening"):
            numbers, order = range(1, count + 1), (0, count)
        elif match["end"]:
            numbers, order = (), (-count, None)
        # "The first page" is where the text begins, whatever is printed on it.
        keys = frozenset(map(str, () if match["kind"] == "page" else numbers))
        yield PartName(match["kind"], match["written"], keys, order), bool(match["within"])


def _alone(text: str) -> Found:
    for match in re.finditer(_ALONE, text):
        word = match["written"]
        yield PartName("alone", word, frozenset((word,))), bool(match["within"])
