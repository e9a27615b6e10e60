"""Reading again: the text of what was recalled, shown to the model beside its memory.

Memory was written before the question was known. A model that was trained for it reads the best passages
of the best chunks again, between the question and its repetition; other models are shown whole chunks, in
front of the question. Reaches the model and the memory through a session.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mplus_cli.asking.lexical import Match, find_words, match_words
from mplus_cli.asking.parts import Part
from mplus_cli.asking.passages import ScoredText, Span, best_of_all, score_text
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
TOGETHER = 4
"""Passages of all chunks together, for a reader that looks where an answer may stand."""
CHUNK_STEP = 1.5
"""What the passages of a chunk are behind those of the next better one, in standard deviations of the
retriever's scores. Chosen with the next two on the questions that `asking.json` was fitted on: with them
the right answer stands in the passages for 187 of 214, without for 164."""
PER_NAT = 0.15
"""What a passage gains by each nat of the likeliest answer that stands in it,"""
LEAST_NATS = -12.0
"""down to so many nats, which is what a passage without one counts."""


def compose_with_text(
    session: Session,
    memory: Memory,
    draft: Draft,
    found: Found,
    texts: Callable[[Sequence[int]], Sequence[str]],
    part: Part | None = None,
) -> list[int]:
    """The ids of a prompt with the text that the question wants to be read again.

    Args:
        texts: gives the texts of chunks.
        part: whose passages come before others.
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
    scored = score_recalled(session, memory, question.text, found, best, held, part)
    return compose(session, draft, _passages(scored))


def passages_by_words(question: str, texts: Sequence[str], count: int) -> list[str]:
    """What a model in training is shown of these texts: as in use, but the retriever, which is not trained
    yet, has no say. Passages of the `count` texts that fit best."""
    return _passages(_scored_by_words(question, texts, count))


def passages_for_second(question: str, texts: Sequence[str], count: int) -> list[str]:
    """As `passages_by_words` for a reader of text in training: as in use, but for memory's say."""
    return together(_scored_by_words(question, texts, count))


def _scored_by_words(question: str, texts: Sequence[str], count: int) -> list[ScoredText]:
    """The `count` texts that fit best by their words, best first, with their passages scored."""
    ranked = sorted(zip(match_words(question, texts), texts, strict=True), key=_by_score)
    return [score_text(question, text, longest=PASSAGE) for _, text in ranked[:count]]


def together(texts: Sequence[ScoredText], answers: Sequence[tuple[str, float]] = ()) -> list[str]:
    """The `TOGETHER` best passages of texts, best text first: those that fit the question, and those where an
    answer stands that the memory suggests.

    Args:
        answers: with their log-probabilities.
    """
    scores = []
    for number, text in enumerate(texts):
        places = [
            (place, max(nats, LEAST_NATS))
            for answer, nats in answers
            for place in find_words(text.text, answer)
        ]
        likeliest = [
            max((nats for (a, b), nats in places if start <= a and b <= stop), default=LEAST_NATS)
            for start, stop in text.passages
        ]
        scores.append(
            [
                score + PER_NAT * nats - CHUNK_STEP * number
                for score, nats in zip(text.scores, likeliest, strict=True)
            ]
        )
    best = best_of_all(texts, scores, TOGETHER, SENTENCE)
    return [
        passage
        for text, spans in zip(texts, best, strict=True)
        for passage in _joined(text.text, spans)
    ]


def score_recalled(
    session: Session,
    memory: Memory,
    question: str,
    found: Found,
    chunks: Sequence[int],
    texts: Sequence[str],
    part: Part | None = None,
) -> list[ScoredText]:
    """The texts of recalled chunks, with their passages scored by the question's words and by memory.

    Args:
        part: whose passages come before others.
    """
    from models.evidence import similarities

    model, encode = session.model, session.plain_tokenizer.encode
    alike: list[Tensor | None] = [None] * len(chunks)
    if found.queries and model.config.memory_positions != "last":
        alike = [*similarities(model, memory, found.queries, chunks)]
    scored = [
        score_text(question, text, near, encode(text)[1], longest=PASSAGE)
        for text, near in zip(texts, alike, strict=True)
    ]
    if part is None:
        return scored
    return [text.preferring(part.within(chunk)) for text, chunk in zip(scored, chunks, strict=True)]


def _passages(texts: Sequence[ScoredText]) -> list[str]:
    """The best passages of n texts: n of the first, one fewer of each that follows."""
    return [
        passage
        for number, text in enumerate(texts)
        for passage in _joined(text.text, text.best_few(len(texts) - number, SENTENCE))
    ]


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
