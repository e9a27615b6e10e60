"""Looks up a question in memory: by the retriever and, if the checkpoint has weights for them, by its
words. Used by `ask`, `chat` and `find` alike.

Knows the model and the memory through a session.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mplus_cli.asking.choosing import Words
from mplus_cli.asking.events import OpenMemory
from mplus_cli.asking.lexical import match_words
from mplus_cli.asking.prompting import Draft
from mplus_cli.asking.scope import chunks_outside
from mplus_cli.errors import UsageError
from mplus_cli.runtime.session import Session

if TYPE_CHECKING:
    from models.recall import Found
    from models.scan import ChunkScore

WORDS = 10.0
"""What a unit of BM25 weighs beside the similarity of one of the question's tokens to a chunk, at most 1: so
much that similarity decides between chunks of equal words, above all of none."""
NOTHING_LEFT = "nothing of these documents is in memory: ask others, or leave out --document"


def retrieve(session: Session, opened: OpenMemory, draft: Draft) -> tuple[Found, Words]:
    """What was found in memory for a question, and the matches of its words.

    Raises:
        UsageError: a document that is named is not there, nothing of it is in memory, or the model
            cannot leave documents out.
    """
    from models.recall import look_up

    outside = chunks_outside(opened.stored, draft.question.documents, opened.memory.chunks)
    if outside and session.model.config.recall == "tokens":
        raise UsageError(
            f"{session.loaded.name} cannot be asked about single documents: leave out --document"
        )
    if outside and len(outside) == opened.memory.chunks:
        raise UsageError(NOTHING_LEFT)
    words = Words.find(opened.calibration, draft.question, opened.texts)
    prior = _by_words(session, opened, draft) if words.prior is None else words.prior
    if outside:
        prior = dict(prior or {}) | dict.fromkeys(outside, float("-inf"))
    found = look_up(session.model, opened.memory, draft.query_ids, prior)
    if outside and not found.ranked:  # the rest of these documents was forgotten
        raise UsageError(NOTHING_LEFT)
    return found, words


def _by_words(session: Session, opened: OpenMemory, draft: Draft) -> Mapping[int, float] | None:
    """What the question's words add to the scores of an untrained base, which tell less than they do; None
    for a trained one, and where layers choose tokens."""
    if session.loaded.trained or session.model.config.recall == "tokens":
        return None
    question = draft.question
    asked = f"{question.turns[-1][0]} {question.text}" if question.turns else question.text
    matches = match_words(asked, opened.stored.texts(opened.memory.chunks))
    return {number: WORDS * match.bm25 for number, match in enumerate(matches)}


def rank_chunks(
    session: Session, opened: OpenMemory, draft: Draft, found: Found
) -> tuple[ChunkScore, ...]:
    """The chunks by their score, best first; if layers choose tokens, found by reading the question."""
    from models.generate import rank_by_prefill

    if session.model.config.recall == "tokens":
        return rank_by_prefill(session.model, opened.memory, draft.query_ids)
    return found.ranked
