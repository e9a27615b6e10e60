"""Passages of a memory that fit words or a question, without an answer.

Works on a session; prints nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mplus_cli.asking.events import Source
from mplus_cli.asking.narrowing import in_ordinary_letters, scope_of, search_note
from mplus_cli.asking.open_memory import OpenMemory
from mplus_cli.asking.prompting import measure
from mplus_cli.asking.question import Question, check
from mplus_cli.asking.retrieving import rank_chunks, retrieve
from mplus_cli.asking.sources import beginning, gather_evidence
from mplus_cli.errors import UsageError
from mplus_cli.runtime.session import Note, Session

SHARED = 0.4
"""A passage is close if it shares this much of the question's words, weighed by rarity,"""
MATCHED = 0.53
"""or whose chunk matches so much of it for the retriever: 93 of 100 questions about what was read find
something near, and 4 of 100 about other matters (`docs/passages.md`)."""
MOST = 100
"""The most passages: the sentences of each are compared with the question."""
LEAST_WORDS = 3
"""With fewer words the retriever alone is not reliable."""


def find(
    session: Session, opened: OpenMemory, question: Question, count: int, note: Note
) -> tuple[Source, ...]:
    """The best passages for words or a question, best first, at most `count`; only close ones.

    Args:
        note: takes `search_note`, if there is one.

    Raises:
        UsageError: there is no word, too many of them, or no such document.
    """
    check(question)
    if not 1 <= count <= MOST:
        raise UsageError(f"-n is {count}: give a whole number from 1 to {MOST}")
    draft = measure(session, in_ordinary_letters(opened, question))
    scope = scope_of(session, opened, draft.question)
    found, _, part = retrieve(session, opened, replace(draft, question=scope.to_look_up))
    if said := search_note(scope, part):
        note(said)
    found = replace(found, ranked=rank_chunks(session, opened, draft, found))
    if part and part.is_all and (first := beginning(opened, part, found, count)):
        return first
    best = gather_evidence(session, opened, draft.question.text, found, count, part)
    judges = len(draft.question.text.split()) >= LEAST_WORDS
    near = [
        share >= SHARED or (judges and matched >= MATCHED)
        for share, matched in zip(best.shared, best.matched, strict=True)
    ]
    return tuple(source for source, is_near in zip(best.sources(), near, strict=True) if is_near)


def passages_json(sources: Sequence[Source], notes: Sequence[str]) -> list[dict[str, Any]]:
    """The array of `mplus find --json`; each passage has the `note` of the search, if there is one."""
    note = {"note": " ".join(notes)} if notes else {}
    return [{**source.to_json(), **note} for source in sources]
