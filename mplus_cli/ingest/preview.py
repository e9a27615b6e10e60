"""What `mplus ingest` would read, without reading it into a memory: `--dry-run` and `--text`.

Opens documents and cleans their text as ingesting does; writes nothing, and loads no weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from mplus_cli.documents import Document, DocumentError, Tokenizer, count_tokens
from mplus_cli.documents.places import Places
from mplus_cli.english.headings import of_kind
from mplus_cli.ingest.job import Plan
from mplus_cli.library.outline import outline


@dataclass(frozen=True, slots=True)
class Previewed:
    """A document that would be read, or why it would not: an entry of `mplus ingest --dry-run --json`.

    `chapters` is their number by its headings; `tokens` is None where the model's tokenizer is not here.
    """

    path: str
    title: str | None = None
    author: str | None = None
    date: str | None = None
    format: str | None = None
    pages: int | None = None
    chapters: int = 0
    characters: int = 0
    tokens: int | None = None
    seconds: float | None = None
    status: Literal["would-read", "failed"] = "would-read"
    error: str | None = None
    warnings: tuple[str, ...] = ()


Measures = tuple[Tokenizer, float | None]
"""The tokenizer of a model, and how many seconds it takes to read a token, None if that is not known."""


def to_json(previews: Sequence[Previewed]) -> dict[str, Any]:
    """The object of `mplus ingest --dry-run --json`."""
    readable = [one for one in previews if one.error is None]
    tokens = [one.tokens for one in readable if one.tokens is not None]
    seconds = [one.seconds for one in readable if one.seconds is not None]
    return {
        "documents": [asdict(one) for one in previews],
        "tokens": sum(tokens) if len(tokens) == len(readable) else None,
        "seconds": round(sum(seconds), 1) if len(seconds) == len(readable) else None,
    }


def open_each(planned: Plan) -> Iterator[tuple[str, Document | DocumentError]]:
    """The documents one after the other, each with what the user called it, or why it cannot be read."""
    for source, load in planned.given:
        try:
            document = load()
            if not document.text.strip():
                raise DocumentError(f"{source.name} has no text in it")
        except DocumentError as error:
            yield source.name, error
        else:
            yield source.name, document


def preview(planned: Plan, measured: Measures | None) -> Iterator[Previewed]:
    """What would be read of each document; the number of tokens only if `measured`."""
    for name, document in open_each(planned):
        if isinstance(document, DocumentError):
            yield Previewed(name, status="failed", error=str(document))
            continue
        tokens = seconds = None
        if measured is not None:
            tokenizer, pace = measured
            tokens = count_tokens(document, tokenizer)
            seconds = None if pace is None else round(tokens * pace, 1)
        yield Previewed(
            path=name,
            title=document.title,
            author=document.author,
            date=document.date,
            format=document.kind,
            pages=len(document.pages) if document.page_count is not None else None,
            chapters=_chapters(document),
            characters=len(document.text),
            tokens=tokens,
            seconds=seconds,
            warnings=document.warnings,
        )


def _chapters(document: Document) -> int:
    """As `ask` and `memory map` count them, from the places of the chunks that were read."""
    _, place = Places(document).of(0, len(document.text))
    return len(of_kind("chapter", outline([place]).sections))
