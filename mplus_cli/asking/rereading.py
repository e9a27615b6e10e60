"""Reading again: the text of what was recalled, shown to the model beside its memory.

Memory was written before the question was known. A model that was trained for it reads the best passages
of the best chunks again, between the question and its repetition; other models are shown whole chunks, in
front of the question. Reaches the model and the memory through a session.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mplus_cli.asking.lexical import Match, match_words
from mplus_cli.asking.passages import Span, score_text
from mplus_cli.asking.prompting import Draft, compose
from mplus_cli.runtime.session import Session

if TYPE_CHECKING:
    from torch import Tensor

    from models.memory import Memory
    from models.recall import Found

PASSAGE = 200
"""Most characters of a passage of more than one sentence. Shorter than those that are shown to a user: more
places fit into as many tokens."""
SENTENCE = 320
"""Most characters of any."""


def compose_with_text(
    session: Session,
    memory: Memory,
    draft: Draft,
    found: Found,
    texts: Callable[[Sequence[int]], Sequence[str]],
) -> list[int]:
    """The ids of a prompt with the text that the question wants to be read again.

    Args:
        texts: gives the texts of chunks.
    """
    from models.generate import rank_by_prefill

    question, prompt = draft.question, session.loaded.prompt
    count = question.reread
    if count is None:
        count = prompt.reread if question.quote else 0
    if not count:
        return compose(session, draft)
    ranked = found.ranked
    if session.model.config.recall == "tokens":
        ranked = rank_by_prefill(session.model, memory, draft.query_ids)
    best = [score.chunk for score in ranked[:count]]
    held = texts(best)
    if not prompt.reread:
        return compose(session, draft, held)
    shown = passages_of_memory(session, memory, question.text, found, best, held)
    return compose(session, draft, shown)


def passages_by_words(question: str, texts: Sequence[str], count: int) -> list[str]:
    """What a model in training is shown of these texts: as in use, but the retriever, which is not trained
    yet, has no say. Passages of the `count` texts that fit best."""
    ranked = sorted(zip(match_words(question, texts), texts, strict=True), key=_by_score)
    return _passages(question, [(text, None, ()) for _, text in ranked[:count]])


def passages_of_memory(
    session: Session,
    memory: Memory,
    question: str,
    found: Found,
    chunks: Sequence[int],
    texts: Sequence[str],
) -> list[str]:
    """The best passages of recalled chunks, best chunk first."""
    from models.evidence import similarities

    model, encode = session.model, session.plain_tokenizer.encode
    alike: list[Tensor | None] = [None] * len(chunks)
    if found.queries and model.config.memory_positions != "last":
        alike = [*similarities(model, memory, found.queries, chunks)]
    return _passages(
        question,
        [(text, near, encode(text)[1]) for text, near in zip(texts, alike, strict=True)],
    )


def _passages(
    question: str, texts: Sequence[tuple[str, Tensor | None, Sequence[Span]]]
) -> list[str]:
    """The best passages of n texts: n of the first, one fewer of each that follows.

    Args:
        texts: each with its memory tokens' similarities and its tokens' offsets (see `score_text`).
    """
    shown: list[str] = []
    for number, (text, near, offsets) in enumerate(texts):
        scored = score_text(question, text, near, offsets, longest=PASSAGE)
        shown += _joined(text, scored.best_few(len(texts) - number, SENTENCE))
    return shown


def _by_score(entry: tuple[Match, str]) -> float:
    return -entry[0].bm25


def _joined(text: str, spans: Sequence[Span]) -> list[str]:
    """The passages at these spans, in one line each; those of a paragraph that follow one another as one."""
    parts: list[str] = []
    before = 0
    for start, stop in spans:
        passage, between = " ".join(text[start:stop].split()), text[before:start]
        if parts and not between.strip() and "\n\n" not in between:
            parts[-1] += f" {passage}"
        else:
            parts.append(passage)
        before = stop
    return parts
