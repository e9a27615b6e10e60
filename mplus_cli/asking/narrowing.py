"""What a question says of the documents it is about: their titles, and what their headings count.

Works on a memory's records and texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache

from mplus_cli.asking.open_memory import OpenMemory
from mplus_cli.asking.parts import Part, names_part
from mplus_cli.asking.question import Question
from mplus_cli.asking.scope import find_document, listed
from mplus_cli.english import capitals
from mplus_cli.english.headings import of_kind
from mplus_cli.english.titles import titles_named
from mplus_cli.errors import UsageError
from mplus_cli.library import DocumentRow
from mplus_cli.library.outline import outline
from mplus_cli.library.values import ChunkRow
from mplus_cli.runtime.session import Session


@dataclass(frozen=True, slots=True)
class Scope:
    """The documents that a question is about."""

    documents: tuple[DocumentRow, ...]
    question: Question
    """With the names of the documents to search."""
    as_this_book: Question
    """The same, with "this book" for the title."""
    note: str | None = None
    """That fewer documents are searched than the user asked for, since the question names them."""

    @property
    def to_look_up(self) -> Question:
        """The question to look up: "chapter 3 of this book" where it names a part, else as it was asked."""
        return self.as_this_book if names_part(self.as_this_book.text) else self.question


def scope_of(session: Session, opened: OpenMemory, question: Question) -> Scope:
    """The documents that a question is about: those that it names by title, of those that are asked.

    Only they are searched, if the model can leave documents out and anything of them is in memory.

    Raises:
        UsageError: a name means no document, or several.
    """
    known = opened.stored.documents()
    asked = [find_document(known, name) for name in question.documents] or known
    rows = cache(lambda: opened.stored.all_chunks(opened.view))
    titles = titles_named(question.text, asked, cache(lambda: _texts_of(rows(), asked)))
    if not titles:
        return Scope(tuple(asked), question, question)
    named = [row for row in asked if any(row.id in title.documents for title in titles)]
    as_book = question.text
    if len(titles) == 1:
        start, stop = titles[0].span
        as_book = f"{question.text[:start]}this book{question.text[stop:]}"
    as_this_book = replace(question, text=as_book)
    if len(named) == len(asked) or session.model.config.recall == "tokens":
        return Scope(tuple(named), question, as_this_book)
    held = _documents_held(opened, rows())
    names = [name for row in named if row.id in held for name in _sure_name(known, row)]
    if not names:
        return Scope(tuple(named), question, as_this_book)
    shown = listed(row.title for row in named)
    verb, them = ("was", "it") if len(named) == 1 else ("were", "them")
    note = f"Only {shown} {verb} searched, as the question names {them}."
    narrowed = replace(question, documents=tuple(names))
    return Scope(tuple(named), narrowed, replace(narrowed, text=as_book), note)


def _texts_of(rows: Iterable[ChunkRow], documents: Iterable[DocumentRow]) -> dict[int, list[str]]:
    """The texts of documents, by their ids."""
    texts: dict[int, list[str]] = {document.id: [] for document in documents}
    for row in rows:
        if row.document_id in texts:
            texts[row.document_id].append(row.text)
    return texts


def in_ordinary_letters(opened: OpenMemory, question: Question) -> Question:
    """A question that was typed in capitals, and such turns before it, as they would be typed without."""
    typed = (*(asked for asked, _ in question.turns), question.text)
    *asked, text = capitals.in_ordinary_letters(typed, opened.all_texts)
    answers = (answer for _, answer in question.turns)
    return replace(question, text=text, turns=tuple(zip(asked, answers, strict=True)))


def search_note(scope: Scope, part: Part | None) -> str | None:
    """What a user should know of where a question was looked up: in fewer documents than were asked, or not
    in the part that it names."""
    missing = None
    if part is not None and not part.spans:
        missing = f"No {part.name} was found, so the search was not limited to it."
    return " ".join(filter(None, (scope.note, missing))) or None


def count_parts(
    opened: OpenMemory, documents: Sequence[DocumentRow], kind: str
) -> list[tuple[str, int | None]]:
    """The titles of documents, and how many parts of a kind ("chapter") each has by its headings; None if
    they do not say, or if it was not read to its end."""
    rows, counts = opened.stored.all_chunks(opened.view), list[tuple[str, int | None]]()
    for document in documents:
        found = outline(row.place for row in rows if row.document_id == document.id)
        is_whole = document.complete and found.is_complete
        counts.append(
            (document.title, len(of_kind(kind, found.sections)) or None if is_whole else None)
        )
    return counts


def _documents_held(opened: OpenMemory, rows: Iterable[ChunkRow]) -> set[int]:
    """The ids of the documents that anything of is in memory: one may not be read yet, or forgotten."""
    memory = opened.memory
    tokens = (memory.stm.tokens, *(segment.tokens for segment in memory.segments))
    held = {int(number) for part in tokens for number in part.chunks.unique()}
    return {row.document_id for row in rows if row.number in held}


def _sure_name(documents: Sequence[DocumentRow], document: DocumentRow) -> list[str]:
    """A name that means this document alone, if there is one."""
    for name in (document.title, document.path, str(document.id)):
        with suppress(UsageError):
            if find_document(documents, name).id == document.id:
                return [name]
    return []
