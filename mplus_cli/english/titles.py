"""Which documents a question names by their titles: "What does Walden say about ants?", `in "The Ferry"`.

A title may be a word of any sentence, or the name of a person, so a question counts as naming one only where
its words say so. Works on titles and texts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mplus_cli.english.numbers import CARDINAL, ROMAN
from mplus_cli.english.texts import TEXT
from mplus_cli.library import DocumentRow

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_SMALL = frozenset("a an the of and or in on at to for from with by de la le der die das".split())
_ARTICLES = ("a", "an", "the")
_SUBTITLE = re.compile(r"\s*[:;(\[–—]|\s+-\s|,\s")
_QUOTES = {'"': '"', "“": "”", "‘": "’", "«": "»", "*": "*", "_": "_", "'": "'"}
# Without such a word in front, "text Emma" and "work" may be verbs.
_A_TEXT = rf"(?:\b(?:the|this|that|an?|his|her|their|in|of)|['’]s) (?:[\w-]+ )?{TEXT}"
_COUNTED = r"(?:chapter|page|part|section|volume|act|scene|canto|word|paragraph)s"
_OWN_PARTS = r"(?:page|chapter|canto|preface|prologue|epilogue)s?"
_PARTS = r"(?:section|part|book|volume|act|scene)s?"  # which a town or a life may have too

_NEXT = r"\W*$|[,;]|\s+(?:who|whose|what|which|where|when|why|how)\b"
# In all of these only a text can be meant: what stands before it and behind it in the question.
_SURE = [
    (re.compile(before + "$", re.I), re.compile(after, re.I))
    for before, after in (
        (rf"{_A_TEXT} (?:called |titled |entitled )?", r"\W*(?:$|[,;]| by\b| about\b)"),
        (r"^who wrote ", r"\W*$"),
        (r"^(?:when|(?:in )?(?:what|which) year) (?:was|is) ", r" (?:written|published)\W*$"),
        (r"\b(?:author|writer|title|plot|themes?|moral|synopsis|summary) of ", r"\W*(?:$|[,;])"),
        (rf"\b{_OWN_PARTS} (?:[\w-]+ )?(?:of|in) ", r"\W*(?:$|[,;])"),
        (rf"\b{_PARTS} (?:{CARDINAL}|{ROMAN}) (?:of|in) ", r"\W*(?:$|[,;])"),
        (rf"^how many {_COUNTED} (?:does|has|are in|are there in) ", r"(?: have| contain)?\W*$"),
        (r"^(?:please )?(?:summari[sz]e|outline|recap) ", r"\W*$"),
        (r"^what(?:'s|’s| is) ", r" about\W*$"),
        (r"^how does ", r" (?:end|begin|start|finish)\W*$"),
    )
]
# In these a person could be meant too.
_LIKELY = [
    (re.compile(before + "$", re.I), re.compile(after, re.I))
    for before, after in (
        (r"\baccording to ", _NEXT),
        (r"\bwhat (?:does|do|did) ", r" (?:say|tell|teach|mention|claim|argue|advise|recommend)\b"),
        (r"^how many (?:books|lines) (?:does|has) ", r"(?: have| contain)?\W*$"),
        (r"^how many (?:books|lines) are (?:there )?in ", r"\W*$"),
        (r"^what was ", r" about\W*$"),
    )
]
# In these a place as well: one that other texts speak of,
_OR_A_PLACE = [
    (re.compile(before + "$", re.I), re.compile(after, re.I))
    for before, after in (
        (r"\b(?:in|throughout) ", _NEXT),
        (rf"\b{_PARTS} of ", r"\W*(?:$|[,;])"),
    )
]
# or that any text speaks of.
_OR_ITS_END = [
    (re.compile(r"^how did $", re.I), re.compile(r" (?:end|begin|start|finish)\W*$", re.I))
]
_TO_A_PLACE = (
    r"(?:in|into|at|to|from|near|towards?|through|around|outside|across|reach(?:ed)?|left|leave)"
)
_SPEECH = re.compile(
    r"\b(?:say|says|said|word|words|cry|cries|cried|call|calls|called|shout|shouted|answer|answers|answered|write"
    r"|writes|wrote|mean|means|meant|named)(?: out| aloud| back)?\W*$",
    re.IGNORECASE,
)
_RANKS = (
    r"(?:Mr|Mrs|Miss|Ms|Dr|Sir|Lady|Lord|Captain|Count|Countess|Aunt|Uncle|Master|Mistress|Madame|Father|Mother"
    r"|Brother|Sister|King|Queen|Prince|Princess)\.?"
)
_SAYS = r"(?:said|says|cried|asked|replied|answered|whispered|thought|laughed|smiled|nodded)"


@dataclass(frozen=True, slots=True)
class TitleName:
    """A title in a question, and what it means."""

    documents: tuple[int, ...]
    """The ids of the documents called so."""
    span: tuple[int, int]
    """Its characters, with quotation marks."""


def titles_named(
    question: str,
    documents: Sequence[DocumentRow],
    texts: Callable[[], Mapping[int, Sequence[str]]] = dict,
) -> tuple[TitleName, ...]:
    """The titles in a question, in its order; of one within another the longer.

    A title counts in quotation marks or italics, and where the words around it can only be about a text.
    Else its words must be capitalised and not the name of a person; a single word must also stand as a text's
    title does ("In Walden, ..."), and must not be in the texts in lower case. Where a place may be meant, no
    other document must speak of one.

    Args:
        texts: gives the texts that are in memory, by the ids of their documents.
    """
    words = [(found[0], *found.span()) for found in _WORD.finditer(question)]
    found: dict[tuple[int, int], TitleName] = {}
    for document in documents:
        for title in _forms(document.title):
            for start, stop in _places(title, words, question):
                name = _named(question, title, documents, document, (start, stop), texts)
                if name is not None:
                    own = found.get(name.span)
                    ids = (*(own.documents if own else ()), document.id)
                    found[name.span] = TitleName(tuple(dict.fromkeys(ids)), name.span)
    longest = [
        name
        for span, name in found.items()
        if not any(a <= span[0] and span[1] <= b and (a, b) != span for a, b in found)
    ]
    return tuple(sorted(longest, key=lambda name: name.span))


Title = tuple[str, ...]
"""The words of a title."""


def _forms(title: str) -> Iterator[Title]:
    """The words of a title, and of what stands before its subtitle; without an article in front too."""
    whole, short = (tuple(_WORD.findall(part)) for part in (title, _SUBTITLE.split(title)[0]))
    for words in dict.fromkeys((whole, short)):
        if any(word.lower() not in _SMALL for word in words):
            yield words
            if words[0].lower() in _ARTICLES:
                yield words[1:]


def _places(
    title: Title, words: Sequence[tuple[str, int, int]], question: str
) -> Iterator[tuple[int, int]]:
    """Where the words of a title stand in a question, one after the other."""
    wanted = [_key(word) for word in title]
    for first in range(len(words) - len(wanted) + 1):
        here = words[first : first + len(wanted)]
        if [_key(word) for word, _, _ in here] == wanted:
            start, stop = here[0][1], here[-1][2]
            if not re.search(r"[?!\"“”]", question[start:stop]):
                yield start, stop


def _named(
    question: str,
    title: Title,
    documents: Sequence[DocumentRow],
    document: DocumentRow,
    span: tuple[int, int],
    texts: Callable[[], Mapping[int, Sequence[str]]],
) -> TitleName | None:
    """A title at a place of a question; None where its words may well mean something else."""
    start, stop = span
    before, after = question[:start], question[stop:]
    opening = before[-1:]
    closing = re.match(r"[.,;:!?]?(.)", after)
    if opening in _QUOTES and closing and closing[1] == _QUOTES[opening]:
        end = stop + closing.end()
        outside = (before[:-1], after[closing.end() :])
        is_speech = opening not in "*_" and _SPEECH.search(outside[0]) is not None
        is_speech = is_speech and not _stands(*outside, _SURE)
        return None if is_speech else TitleName((document.id,), (start - 1, end))
    written = _WORD.findall(question[start:stop])
    if not all(word[0].isupper() or word.lower() in _SMALL or word in title for word in written):
        return None
    if _stands(before, after, _SURE):
        return TitleName((document.id,), span)
    content = [word for word in title if word.lower() not in _SMALL]
    if not all(
        word[0].isupper() or word[0].isdigit() for word in written if word.lower() not in _SMALL
    ):
        return None
    is_likely = _stands(before, after, _LIKELY)
    is_end = _stands(before, after, _OR_ITS_END)
    is_short = len(content) < 2
    if is_short and not (is_likely or is_end or _stands(before, after, _OR_A_PLACE)):
        return None
    held = texts()
    every = [text for own in held.values() for text in own]
    is_marked = written[0].lower() in _ARTICLES and written[0][0].isupper() and start > 0
    if is_short and not is_marked and _is_common(content[0], every):
        return None
    called_so = {row.id for row in documents if title in _forms(row.title)}
    others = [text for number, own in held.items() if number not in called_so for text in own]
    if not is_likely and _is_place(title, every if is_end else others):
        return None
    return None if _is_person(title, every) else TitleName((document.id,), span)


def _stands(
    before: str, after: str, patterns: Sequence[tuple[re.Pattern[str], re.Pattern[str]]]
) -> bool:
    return any(first.search(before) and last.match(after) for first, last in patterns)


def _is_common(word: str, texts: Sequence[str]) -> bool:
    """Whether a word is in the texts in lower case."""
    pattern = re.compile(rf"\b{re.escape(word.lower())}\b")
    return any(pattern.search(text) for text in texts)


def _is_person(title: Title, texts: Sequence[str]) -> bool:
    """Whether someone in the texts has this name, or its last word."""
    whole = r"\s+".join(re.escape(word) for word in title)
    names = rf"(?:{whole}|{re.escape(title[-1])})"
    pattern = re.compile(
        rf"\b(?:{_RANKS}|{_SAYS})\s+{names}\b|\b{names}\s+(?:{_SAYS}|himself|herself)\b"
    )
    return any(pattern.search(text) for text in texts)


def _is_place(title: Title, texts: Iterable[str]) -> bool:
    """Whether texts speak of a place of this name."""
    words = title[1:] if title[0].lower() in _ARTICLES else title
    name = r"\s+".join(map(re.escape, words))
    pattern = re.compile(rf"\b{_TO_A_PLACE}\s+(?:the\s+)?{name}\b")
    return any(pattern.search(text) for text in texts)


def _key(word: str) -> str:
    return word.replace("’", "'").casefold()
