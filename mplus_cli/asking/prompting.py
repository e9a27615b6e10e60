"""From a question to the ids that a model is to see: earlier turns and reread text, made to fit.

Knows prompt formats and memory through a session; no screen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mplus_cli.asking.events import DEFAULT_NEW_TOKENS, OpenMemory, Question
from mplus_cli.errors import MplusError, UsageError
from mplus_cli.runtime.session import Session

if TYPE_CHECKING:
    from models.scan import ChunkScore


def query_ids(session: Session, question: Question) -> list[int]:
    """What to look up in memory: the question, after the one before it in a chat."""
    before = [question.turns[-1][0]] if question.turns else []
    ids: list[int] = []
    for text in (*before, question.text):
        ids += session.loaded.prompt.render(session.tokenizer, text)[1]
    return ids


def compose(session: Session, opened: OpenMemory, question: Question) -> tuple[list[int], int]:
    """The prompt's ids and how many tokens the answer may have, everything made to fit.

    Earlier turns go first where room is short, then the end of the text to reread; never the
    question.
    """
    config = session.model.config
    room = session.model.generate.positions - 1 - config.recalled_tokens - config.stm_tokens
    bare = len(_render(session, question.text))
    wanted = question.max_new_tokens
    limit = wanted or max(1, min(DEFAULT_NEW_TOKENS, room - bare))
    if bare + limit > room:
        what = f"the question takes {bare} tokens and the answer up to {limit}"
        raise UsageError(f"{what}, but {room} fit: ask less, or give a smaller --max-new-tokens")
    free = max(min(config.max_prompt_tokens, room - limit), bare)
    turns = list(question.turns)
    while turns and len(_render(session, question.text, turns)) > free:
        turns.pop(0)
    context = _reread(session, opened, question, turns, free) if question.reread else None
    return _render(session, question.text, turns, context), limit


def _reread(
    session: Session,
    opened: OpenMemory,
    question: Question,
    turns: Sequence[tuple[str, str]],
    free: int,
) -> str | None:
    """As much of the best chunks' text as fits into a prompt of `free` tokens, best chunk first."""
    ranked = _rank(session, opened, query_ids(session, question))[: question.reread]
    rows = opened.stored.chunks([score.chunk for score in ranked])
    text = "\n\n".join(row.text.strip() for row in rows)
    _, offsets = session.plain_tokenizer.encode(text)
    keep = len(offsets)
    while keep > 0:
        context = text[: offsets[keep - 1][1]]
        excess = len(_render(session, question.text, turns, context)) - free
        if excess <= 0:
            return context
        keep -= excess
    return None


def _rank(session: Session, opened: OpenMemory, ids: Sequence[int]) -> Sequence[ChunkScore]:
    """The chunks by their fit to a question, before its prompt is composed."""
    from models.generate import Recalled, look_up, stream

    if session.model.config.recall == "chunks":
        return look_up(session.model, opened.memory, ids)[0]
    for event in stream(session.model, opened.memory, ids, ids, max_new_tokens=1):
        if isinstance(event, Recalled):
            return event.ranked
    raise MplusError("memory could not be searched: verify it with `mplus memory verify`")


def _render(
    session: Session,
    question: str,
    turns: Sequence[tuple[str, str]] = (),
    context: str | None = None,
) -> list[int]:
    prompt = session.loaded.prompt
    return prompt.render(session.tokenizer, question, turns=turns, context=context)[0]
