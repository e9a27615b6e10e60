"""Looks up a question in memory: by the retriever and, if the checkpoint has weights for them or was not
trained, by its words. Used by `ask`, `chat` and `find` alike.

Reaches the model and the memory through a session.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from mplus_cli.asking.open_memory import OpenMemory
from mplus_cli.asking.parts import Part, find_part, names_part
from mplus_cli.asking.prompting import Draft
from mplus_cli.asking.scope import chunks_outside
from mplus_cli.asking.words import Words, word_weights
from mplus_cli.errors import UsageError
from mplus_cli.runtime.session import Session

if TYPE_CHECKING:
    from models.recall import Found
    from models.scan import ChunkScore

NOTHING_LEFT = "nothing from these documents is in memory: ask others, or leave out --document"


def retrieve(
    session: Session, opened: OpenMemory, draft: Draft
) -> tuple[Found, Words, Part | None]:
    """What was found in memory for a question, the matches of its words, and the part of the documents
    that it names: then nothing else is found, if memory has anything of the part.

    Raises:
        UsageError: a document that is named is not there, nothing of it is in memory, or the model
            cannot leave documents out.
    """
    outside = chunks_outside(opened.stored, draft.question.documents, opened.memory.chunks)
    if outside and session.model.config.recall == "tokens":
        raise UsageError(
            f"{session.loaded.name} cannot be asked about single documents: leave out --document"
        )
    if outside and len(outside) == opened.memory.chunks:
        raise UsageError(NOTHING_LEFT)
    weights = word_weights(session, opened.calibration)
    words = Words.find(weights, draft.question, opened.texts, opened.calibration)
    part = _named_part(session, opened, draft.question.text, outside)
    if part and part.spans:
        others = frozenset(range(opened.memory.chunks)).difference(part.spans)
        found = _look_up(session, opened, draft, _without(words, others))
        if found.ranked:
            return found, words, part
        part = replace(part, spans={})  # it was forgotten
    found = _look_up(session, opened, draft, _without(words, outside))
    if outside and not found.ranked:  # the rest of these documents was forgotten
        raise UsageError(NOTHING_LEFT)
    return found, words, part


def _look_up(
    session: Session, opened: OpenMemory, draft: Draft, prior: Mapping[int, float] | None
) -> Found:
    from models.recall import look_up

    return look_up(session.model, opened.memory, draft.query_ids, prior, draft.bare_ids)


def _without(words: Words, chunks: frozenset[int]) -> Mapping[int, float] | None:
    """The prior of a question's words, with these chunks left out."""
    if not chunks:
        return words.prior
    return dict(words.prior or {}) | dict.fromkeys(chunks, float("-inf"))


def _named_part(
    session: Session, opened: OpenMemory, question: str, outside: frozenset[int]
) -> Part | None:
    """The part that a question names; None too where the model cannot leave chunks out."""
    if session.model.config.recall == "tokens" or not names_part(question):
        return None
    rows = opened.stored.all_chunks(opened.view)
    return find_part(question, [row for row in rows if row.number not in outside])


def rank_chunks(
    session: Session, opened: OpenMemory, draft: Draft, found: Found
) -> tuple[ChunkScore, ...]:
    """The chunks by their score, best first; if layers choose tokens, found by reading the question."""
    from models.generate import rank_by_prefill

    if session.model.config.recall == "tokens":
        return rank_by_prefill(session.model, opened.memory, draft.query_ids)
    return found.ranked
