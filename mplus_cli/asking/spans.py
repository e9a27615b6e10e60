"""Answers that are spans of the text: where one may begin, continue and end (a `models.spans.Span`).

An answer made of the question's own words says nothing, and is nearly always wrong ("What is the name of
Sir Walter's estate?": "Sir Walter"); so such a span may not end there. Questions that offer a choice
("Was it A or B?") are exempt. Reaches the texts and the tokenizer through `Quotable`; needs no network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mplus_cli.asking.lexical import WORD
from mplus_cli.asking.quoting import Quotable
from mplus_cli.english.answer_type import kind_of

_EMPTY = frozenset(
    "a an the i me my he him his she her hers it its they them their we us our you your this that these "
    "those who whom whose which what there here and or but of to in on at by for from with as so is was "
    "are were be been had has have do did s".split()
)
"""Words that are not answers by themselves."""


@dataclass(frozen=True, slots=True)
class TextSpan:
    """The position of a span in the texts."""

    source: Quotable
    is_answer: Callable[[Sequence[int]], bool]
    """Whether tokens say something that the question does not."""
    ids: tuple[int, ...] = ()
    places: tuple[int, ...] = ()
    """The positions that it may continue from."""

    @property
    def may_end(self) -> bool:
        """Whether it can end here: not inside a word, and it says something."""
        return any(map(self.source.is_between_words, self.places)) and self.is_answer(self.ids)

    def ahead(self) -> Mapping[int, TextSpan]:
        """The tokens that can come next, and the positions behind each."""
        ahead = self.source.going_on(self.places) if self.ids else self.source.beginning
        return {
            token: TextSpan(self.source, self.is_answer, (*self.ids, token), places)
            for token, places in ahead.items()
        }


def says_something(question: str, answer: str) -> bool:
    """Whether an answer has a word that is not the question's, or chooses from what it offers."""
    words = WORD.findall(answer.lower())
    known = (
        _EMPTY if kind_of(question) == "choice" else _EMPTY | set(WORD.findall(question.lower()))
    )
    return any(word not in known for word in words)
