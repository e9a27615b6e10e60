"""Questions about a document as a whole: what it says of itself, and what no single passage tells.

Knows English words, and documents as a memory records them; no model.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mplus_cli.library import DocumentRow
from mplus_cli.wording import count

NOT_TOLD = "This asks about the whole text, and mplus answers from single passages."
"""The answer to what no single passage tells."""

_BOOK = r"(?:book|novel|story|text|document|paper|report|article|work|tale|memory)"
_THIS = rf"(?:it|this|that|(?:this|the|that|your) (?:whole |entire )?{_BOOK})"
_SUM = re.compile(
    r"^(?:(?:please|can you|could you|would you) )*(?:summari[sz]e|sum up|recap|outline|retell)\b"
    rf"|\b(?:summary|synopsis|outline|overview|plot|gist|moral|message|themes?|main \w+) of {_THIS}\b"
    rf"|^what(?:'s|’s| is| was) {_THIS} (?:all )?about\b"
    rf"|^what happens in {_THIS}\W*$"
    r"|^who (?:are|is) the (?:main|principal|central) characters?\b"
    r"|^(?:list|count|name|enumerate) (?:all|every|each)\b"
)
_COUNT = re.compile(
    r"\bhow many (?:chapters|sections|parts|volumes|words|sentences|paragraphs|lines|characters|scenes"
    rf"|pages)\b(?:$|\W*$| (?:has|does|do|are there in|are in|is in) {_THIS}\b)"
    r"|\bhow (?:often|many times) (?:is|are|was|were|does|do|did)\b.*\b"
    r"(?:mention(?:ed)?|named|appear|occur|come up|used?)\b"
)
_TITLE = re.compile(
    rf"^what(?:'s|’s| is| was) the (?:title|name) of {_THIS}\W*$"
    rf"|^what is {_THIS} (?:called|titled|entitled)\W*$"
    rf"|^(?:what|which) {_BOOK} is (?:it|this|that)\W*$"
)
_PAGES = re.compile(rf"^how (?:many pages|long) (?:has|is|are there in|does) {_THIS}(?: have)?\W*$")


def spans_the_whole(question: str) -> bool:
    """Whether a question asks to sum up or to count over a whole text."""
    text = _plain(question)
    return bool(_SUM.search(text) or _COUNT.search(text))


def of_itself(question: str, documents: Sequence[DocumentRow]) -> str | None:
    """The answer to a question about the title or length of the documents; None where it asks for
    something else, or where they do not say."""
    text = _plain(question)
    if _TITLE.search(text):
        return "; ".join(document.title for document in documents)
    if _PAGES.search(text):
        told = [row for row in documents if row.pages is not None]
        if len(told) == len(documents) == 1:
            return count(told[0].pages or 0, "page")
        return "; ".join(f"{row.title}: {count(row.pages or 0, 'page')}" for row in told) or None
    return None


def _plain(question: str) -> str:
    return " ".join(question.lower().split())
