"""The events of an answer, and their JSON: the sources that were found, text as it comes, the answer.

Plain values: what asks a server needs no more than these.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mplus_cli.place import Place

WITHOUT_ANSWER = ("refused", "unsure", "whole", "part")
"""The reasons of an `Answer` that gives none."""


@dataclass(frozen=True, slots=True)
class Source:
    """A chunk that an answer may come from. `score` is its share of all chunks' scores, 0 to 1."""

    document: str
    pages: tuple[int, int] | None
    chunk: int
    score: float
    text: str
    place: Place | None = None
    """The chunk's place in its document; None if an older mplus read it."""
    quote_span: tuple[int, int] | None = None
    """The span of the sentences that fit the question best; None in a text without words."""
    answer_span: tuple[int, int] | None = None
    """The span of the answer's words, in the quote if possible; None if the text does not have them."""

    second_span: tuple[int, int] | None = None
    """Where the sentences stand that speak to the question best besides the quote."""
    quote_pages: tuple[int, int] | None = None
    """The pages of the quote; None without pages, and where they are not known that closely."""
    quote_place: Place | None = None
    """The place of the quote in its document; None if an older mplus read it."""

    @property
    def spot(self) -> tuple[tuple[int, int] | None, Place | None]:
        """Pages and place of the quote, or of the chunk where they are not known that closely."""
        return self.quote_pages or self.pages, self.quote_place or self.place

    @property
    def quote(self) -> str | None:
        """The sentences that fit the question best."""
        return None if self.quote_span is None else self.text[slice(*self.quote_span)]

    @property
    def second_quote(self) -> str | None:
        """The sentences that speak to it best besides the quote."""
        return None if self.second_span is None else self.text[slice(*self.second_span)]

    def to_json(self) -> dict[str, Any]:
        """A source in the JSON of `mplus ask` and `mplus find`."""
        return {
            "document": self.document,
            "pages": _listed(self.pages),
            "chunk": self.chunk,
            "score": self.score,
            "text": self.text,
            "place": self.place.to_json() if self.place else None,
            "quote": self.quote,
            "quote_span": _listed(self.quote_span),
            "answer_span": _listed(self.answer_span),
            "second_quote": self.second_quote,
            "second_quote_span": _listed(self.second_span),
            "quote_pages": _listed(self.quote_pages),
            "quote_place": self.quote_place.to_json() if self.quote_place else None,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Source:
        """The source that `to_json` wrote."""
        return cls(
            document=values["document"],
            pages=_pair(values["pages"]),
            chunk=values["chunk"],
            score=values["score"],
            text=values["text"],
            place=_place(values["place"]),
            quote_span=_pair(values["quote_span"]),
            answer_span=_pair(values["answer_span"]),
            second_span=_pair(values["second_quote_span"]),
            quote_pages=_pair(values.get("quote_pages")),
            quote_place=_place(values.get("quote_place")),
        )


@dataclass(frozen=True, slots=True)
class Usage:
    """The cost of an answer. Seconds count from the question, with the model loaded."""

    prompt_tokens: int
    new_tokens: int
    stm_tokens: int
    recalled_tokens: int
    ltm_tokens: int
    seconds_to_first_token: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Retrieved:
    """Memory was searched; the answer follows."""

    sources: tuple[Source, ...]

    def to_event(self) -> dict[str, Any]:
        """A line of `mplus ask --jsonl`, and what the server sends."""
        return {"event": "retrieved", "sources": [source.to_json() for source in self.sources]}


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More of the answer's text."""

    text: str

    def to_event(self) -> dict[str, Any]:
        """A line of `mplus ask --jsonl`, and what the server sends."""
        return {"event": "text", "text": self.text}


@dataclass(frozen=True, slots=True)
class Answer:
    """The end: everything about the answer."""

    question: str
    answer: str
    memory: str
    model: str
    sources: tuple[Source, ...]
    usage: Usage
    reason: str
    """Why it ended: `models.generate.Finished`; `refused`; `unsure`: nothing likely enough was found;
    `verdict`: yes or no, where answers have no probability; `about`: told by the documents' records, or a
    reply to small talk; `whole`: it asks about a whole text, which no passage tells; `part`: about a page or
    chapter as a whole, whose beginning the sources are."""
    confidence: float | None = None
    """The probability that it is right; None for a refusal, and where it is not known."""
    doubtful: bool = False
    """Whether that is so low that the passage should be checked."""
    note: str | None = None
    """What a user should know of the search: that only the documents named by title were searched, or that
    the page or chapter named was not found."""
    understood_as: str | None = None
    """A follow-up as it was read, with a name for its pronoun; None where that is `question`."""

    @property
    def is_unsure(self) -> bool:
        """Whether the passage comes first: the answer is doubtful, or too doubtful to be given."""
        return self.doubtful or self.reason == "unsure"

    def to_json(self) -> dict[str, Any]:
        """The object of `mplus ask --json`."""
        values = asdict(self) | {"sources": [source.to_json() for source in self.sources]}
        return values | {"refused": self.refused}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Answer:
        """The answer that `to_json` wrote."""
        own = {name: value for name, value in values.items() if name != "refused"}
        sources = tuple(map(Source.from_json, own.pop("sources")))
        return cls(**own | {"sources": sources, "usage": Usage(**own["usage"])})

    def to_event(self) -> dict[str, Any]:
        """The last line of `mplus ask --jsonl`, and what the server sends."""
        return {"event": "answer", **self.to_json()}

    @property
    def refused(self) -> bool:
        """Whether there is no answer: then the sources are the closest passages."""
        return self.reason in WITHOUT_ANSWER


def usage_words(usage: Usage) -> str:
    """The tokens and seconds of an answer, in words."""
    return (
        f"{usage.prompt_tokens:,} tokens read and {usage.new_tokens:,} written, "
        f"{usage.recalled_tokens:,} of {usage.ltm_tokens:,} long-term and {usage.stm_tokens:,} "
        f"short-term memory tokens used; first token after {usage.seconds_to_first_token:.1f} s, "
        f"done after {usage.seconds:.1f} s"
    )


def _place(values: Mapping[str, Any] | None) -> Place | None:
    return Place.loads(json.dumps(values)) if values else None


def _pair(values: Sequence[int] | None) -> tuple[int, int] | None:
    return None if values is None else (values[0], values[1])


def _listed(span: tuple[int, int] | None) -> list[int] | None:
    return None if span is None else list(span)


Event = Retrieved | TextDelta | Answer


def event_from_json(values: Mapping[str, Any]) -> Event:
    """The event that `to_event` wrote; KeyError, TypeError or ValueError for others."""
    kind = values["event"]
    if kind == "retrieved":
        return Retrieved(tuple(map(Source.from_json, values["sources"])))
    if kind == "text":
        return TextDelta(values["text"])
    if kind != "answer":
        raise ValueError(f"{kind} is not an event of an answer")
    return Answer.from_json({name: value for name, value in values.items() if name != "event"})
