"""Keeps sampled answers close to the text of the recalled chunks: which tokens may come next.

A small reader garbles names that it read compressed ("marpslike"), while the text lies beside the memory.
So tokens that continue the quoted place of the text are preferred and, after a word, those that begin any
other word of it. The choice is still the reader's; refusals, "Yes" and "No" are always allowed.

Works on texts and on a tokenizer's table of spellings; of the network it needs only the settings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from models.prompts import REFUSAL
from mplus_cli.runtime.session import Session
from mplus_cli.runtime.spelling import Spelling

if TYPE_CHECKING:
    from torch import Tensor

    from models.sampling import Guide

VERDICTS = ("Yes", "No")
ALWAYS = (REFUSAL, *VERDICTS)
"""Answers that are allowed without being in the text."""
_END = "\n"
"""Between texts; no answer crosses it."""
_OPENS = ("$", "£", "€", "#", "@")
"""Characters that belong to a word when they precede its first letter or digit."""
_WORD = re.compile(r"[^\W_]+")


class Quotable:
    """Texts that answers may quote, as the vocabulary spells them.

    Args:
        texts: line breaks and runs of spaces in them count as one space.
        weight: nats a token that leaving the texts costs.
        stop_ids: what ends an answer: wherever a word does.
    """

    def __init__(
        self, spelling: Spelling, texts: Sequence[str], weight: float, stop_ids: Collection[int]
    ) -> None:
        self._spelling = spelling
        self.weight = weight
        self.stop_ids = tuple(stop_ids)
        parts: list[str] = []
        starts: list[int] = []
        inside = bytearray()
        for text in texts:
            plain = " ".join(text.split())
            at = self._places(plain)  # of each character in the spelled text
            begin = len(inside)
            inside += bytes(at[-1] + 1)
            for word in _WORD.finditer(plain):
                first, last = at[word.start()], at[word.end()]
                opens = plain[word.start() - 1 : word.start()] in _OPENS
                starts.append(begin + at[word.start() - opens])
                inside[begin + first + 1 : begin + last] = b"\1" * (last - first - 1)
            if not plain.isascii():
                for here, there in pairwise(at):  # no answer ends within a character
                    inside[begin + here + 1 : begin + there] = b"\1" * (there - here - 1)
            parts.append(spelling.spell(plain) + _END)
        self._text = "".join(parts)
        self._inside = inside
        self._starts = tuple(starts)

    def _places(self, plain: str) -> Sequence[int]:
        if plain.isascii() or self._spelling.letters is None:
            return range(len(plain) + 1)
        return [0, *accumulate(len(letter.encode("utf-8")) for letter in plain)]

    def is_between_words(self, place: int) -> bool:
        """Whether a position is not inside a word."""
        return not self._inside[place]

    def going_on(self, places: Sequence[int]) -> dict[int, tuple[int, ...]]:
        """The tokens that continue the text at any of the positions, and the positions behind each."""
        return self._tokens(places)

    @cached_property
    def beginning(self) -> dict[int, tuple[int, ...]]:
        """The tokens that an answer can begin with: any word of the texts, in either case."""
        found = {token: list(places) for token, places in self._tokens(self._starts).items()}
        for token, places in self._tokens(self._starts, swap=True).items():
            found.setdefault(token, []).extend(places)
        return {token: tuple(places) for token, places in found.items()}

    @cached_property
    def jumping(self) -> dict[int, tuple[int, ...]]:
        """The tokens that are a space and the beginning of any word of the texts."""
        return self._tokens(self._starts, lead=self._spelling.space)

    def _tokens(
        self, places: Sequence[int], lead: str = "", swap: bool = False
    ) -> dict[int, tuple[int, ...]]:
        alike: dict[str, list[int]] = {}  # words come again and again
        for place in places:
            alike.setdefault(self._word(place), []).append(place)
        found: dict[int, list[int]] = {}
        find, special = self._spelling.find, self._spelling.special
        for word, held in alike.items():
            if swap:
                if not (word[:1].isascii() and word[:1].isalpha()):
                    continue
                word = word[0].swapcase() + word[1:]
            for length in range(1, len(word) + 1):
                token = find(lead + word[:length])
                if token is not None and token not in special:
                    found.setdefault(token, []).extend(place + length for place in held)
        return {token: tuple(stops) for token, stops in found.items()}

    def _word(self, place: int) -> str:
        """The text from a place to the next space, or to the one behind it where it begins with one:
        no token holds more."""
        end = self._text.find(_END, place)
        space = self._text.find(self._spelling.space, place + 1, end)
        return self._text[place : end if space < 0 else space]


def quotable(
    session: Session, texts: Sequence[str], always: Sequence[str] = ALWAYS
) -> Quotable | None:
    """What an answer from chunks with these texts may quote; None if the checkpoint does not quote, or
    the spelling of its vocabulary is not known."""
    weight = session.model.config.reading.quote_weight
    spelling = session.spelling if weight else None
    if spelling is None:
        return None
    return Quotable(spelling, [*texts, *always], weight, session.loaded.stop_ids)


def guide_along(
    session: Session, texts: Callable[[Sequence[int]], Sequence[str]]
) -> Callable[[Sequence[int]], Guide | None] | None:
    """Makes the guide of an answer from the chunks in its prefix; None if the checkpoint does not
    quote."""
    if not session.model.config.reading.quote_weight:
        return None

    def guide(chunks: Sequence[int]) -> Guide | None:
        source = quotable(session, texts(chunks))
        return None if source is None else Quote(source)

    return guide


@dataclass(frozen=True)
class Quote:
    """An answer's position in the texts it may quote (a `models.sampling.Guide`)."""

    source: Quotable
    places: tuple[int, ...] | None = None
    """The positions that the answer may continue from; None: it has not begun; empty: it has left the
    texts."""

    def after(self, token: int) -> Quote:
        """The position after one more token."""
        places = self._here.get(token) or self._elsewhere.get(token) or ()
        return Quote(self.source, places)

    def bias(self, logits: Tensor) -> Tensor:
        """What is added to logits (V,) of the next token."""
        bias = logits.new_full(logits.shape, -self.source.weight)
        bias[[*self._here, *self._elsewhere]] = 0.0
        if self.places is not None and self._is_between_words:
            bias[list(self.source.stop_ids)] = 0.0
        return bias

    @cached_property
    def _here(self) -> dict[int, tuple[int, ...]]:
        if self.places is None:
            return self.source.beginning
        return self.source.going_on(self.places)

    @cached_property
    def _elsewhere(self) -> dict[int, tuple[int, ...]]:
        if self.places is None or not self._is_between_words:
            return {}
        return self.source.jumping

    @property
    def _is_between_words(self) -> bool:
        places = self.places or ()
        return not places or any(map(self.source.is_between_words, places))
