"""From a question to the prompt's ids: measured first, composed after memory was looked up.

Gets the prompt's format from a session; independent of memory, and prints nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from mplus_cli.asking.lexical import end_of
from mplus_cli.asking.question import DEFAULT_NEW_TOKENS, Question
from mplus_cli.errors import UsageError
from mplus_cli.runtime.session import Session

RANKED_TOKENS = 64
"""Of a question, about so many at most are read to rank chunks, as they are read behind many of them: the
end of a longer one, as what is asked mostly stands there."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A question that fits, before memory is looked up. Lengths are in tokens."""

    question: Question
    query_ids: tuple[int, ...]
    """What is looked up: the question, after the one before it in a chat."""
    limit: int
    """The longest answer."""
    room: int
    """The longest prompt."""
    bare_ids: tuple[int, ...] = ()
    """The question, after the one before it in a chat, or the end of the two, as a prompt: chunks are ranked
    by reading it."""


def measure(session: Session, question: Question) -> Draft:
    """Measure a question, with undecodable characters of the command line replaced.

    Raises:
        UsageError: it does not fit with its answer.
    """
    question = replace(question, text=question.text.encode("utf-8", "replace").decode().strip())
    config, room = session.model.config, session.model.room
    bare = len(_render(session, question.text))
    wanted = question.max_new_tokens
    limit = wanted or max(1, min(DEFAULT_NEW_TOKENS, room - bare))
    if bare + limit > room:
        if wanted is None:
            raise UsageError(
                f"the question takes {bare} tokens, but only {room - limit} fit: shorten it"
            )
        what = f"the question takes {bare} tokens and the answer up to {limit}"
        raise UsageError(
            f"{what}, but only {room} fit: shorten it, or give a smaller --max-new-tokens"
        )
    longest = max(min(config.max_prompt_tokens, room - limit), bare)
    ranking = tuple(_render(session, _ranked_by(session, question)))
    return Draft(question, query_ids(session, question), limit, longest, ranking)


def _ranked_by(session: Session, question: Question) -> str:
    text = " ".join(_asked(question))
    offsets = session.plain_tokenizer.encode(text)[1]
    return end_of(text, offsets[-RANKED_TOKENS - 1][1]) if len(offsets) > RANKED_TOKENS else text


def query_ids(session: Session, question: Question) -> tuple[int, ...]:
    """What to look up in memory: the question, after the one before it in a chat."""
    ids: list[int] = []
    for text in _asked(question):
        ids += session.loaded.prompt.render(session.tokenizer, text)[1]
    return tuple(ids)


def _asked(question: Question) -> list[str]:
    """The question, after the one before it in a chat."""
    before = [question.turns[-1][0]] if question.turns else []
    return [*before, question.text]


def compose(session: Session, draft: Draft, texts: Iterable[str] = ()) -> list[int]:
    """The prompt's ids, cut to fit.

    Earlier turns are dropped first, then the end of the texts; never the question.

    Args:
        texts: of chunks to read again, best first; no more are taken than there is room for.
    """
    question, turns = draft.question.text, list(draft.question.turns)
    while turns and len(_render(session, question, turns)) > draft.room:
        turns.pop(0)
    tokenizer, held, size = session.plain_tokenizer, [], 0
    for text in texts:
        held.append(text.strip())
        size += len(tokenizer.encode(held[-1])[0])
        if size > draft.room:
            break
    context = "\n\n".join(held)
    _, offsets = tokenizer.encode(context)
    keep = len(offsets)
    while keep > 0:
        prompt = _render(session, question, turns, context[: offsets[keep - 1][1]])
        if len(prompt) <= draft.room:
            return prompt
        keep -= len(prompt) - draft.room
    return _render(session, question, turns)


def _render(
    session: Session,
    question: str,
    turns: Sequence[tuple[str, str]] = (),
    context: str | None = None,
) -> list[int]:
    prompt = session.loaded.prompt
    return prompt.render(session.tokenizer, question, turns=turns, context=context)[0]
