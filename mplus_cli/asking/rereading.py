"""Reading again: the text of what was recalled, shown to the model beside its memory.

Memory was written before the question was known. A model that was trained for it reads the best passages
of the best chunks again, between the question and its repetition; other models are shown whole chunks, in
front of the question. Reaches the model and the memory through a session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mplus_cli.asking.lexical import Match, find_words, match_words
from mplus_cli.asking.parts import Part
from mplus_cli.asking.passages import (
    ScoredText,
    Span,
    best_of_all,
    memory_tokens,
    score_text,
    split_passages,
)
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
ROUND = 4
"""Passages that a reader of text, which looks where an answer may stand, is shown at a time."""
ROUNDS = (3, 3, 8)
"""Of how many of the best chunks, one time after the other."""
READS = max(ROUNDS)
"""Chunks of which it is shown passages at most."""
AROUND = 3.0
"""What such a passage gains where all of the question's words stand in it or near it, in standard deviations
of the retriever's scores. Chosen with the next three on 245 questions about six novels: with them the right
answer stands in four passages for 136, and without for 115."""
REACH = 250
"""Characters on each side that are near."""
PER_LOG_ODDS = 0.15
"""What it gains by each nat of its chunk's score."""
PER_NAT = 0.15
"""What it gains by each nat of the log-probability of the likeliest answer that stands in it."""
LEAST_NATS = -12.0
"""The lowest log-probability that counts: less likely answers count as this, and so does a passage without
any."""


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
    return _passages([fitting.text for fitting in _by_words(question, texts, count)])


def passages_for_second(question: str, texts: Sequence[str], count: int) -> list[str]:
    """As `passages_by_words` for a reader of text in training: as it is shown first in use, but for memory's
    say."""
    return next(in_rounds(_by_words(question, texts, count)), [])


@dataclass(frozen=True, slots=True)
class Fitting:
    """A text whose passages were scored, and how well all of it fits the question."""

    text: ScoredText
    match: Match
    score: float
    """Of its chunk, in nats."""


def _by_words(question: str, texts: Sequence[str], count: int) -> list[Fitting]:
    """The `count` texts that fit best by their words, best first."""
    matches = match_words(question, texts)
    best = sorted(range(len(texts)), key=lambda number: -matches[number].bm25)[:count]
    return [
        Fitting(
            score_text(question, texts[number], longest=PASSAGE),
            matches[number],
            matches[number].bm25,
        )
        for number in best
    ]


def in_rounds(
    texts: Sequence[Fitting], answers: Sequence[tuple[str, float]] = ()
) -> Iterator[list[str]]:
    """The best passages of texts, `ROUND` at a time, those of a round in the order of the texts: those that
    fit the question, and those where an answer stands that the memory suggests. The first round may be empty.

    Args:
        texts: best first.
        answers: with their log-probabilities.
    """
    scored, scores = [fitting.text for fitting in texts], [_scores(one, answers) for one in texts]
    shown: list[tuple[int, Span]] = []
    for turn, reads in enumerate(ROUNDS):
        now = best_of_all(scored[:reads], scores[:reads], ROUND, SENTENCE, shown)
        shown += now
        passages = [
            passage
            for number, text in enumerate(scored)
            for passage in _joined(text.text, sorted(span for of, span in now if of == number))
        ]
        if passages or not turn:
            yield passages


def _scores(fitting: Fitting, answers: Sequence[tuple[str, float]]) -> list[float]:
    """How well each passage fits, to compare those of several texts."""
    text = fitting.text
    places = [
        (place, max(nats, LEAST_NATS))
        for answer, nats in answers
        for place in find_words(text.text, answer)
    ]
    scores = []
    for score, (start, stop) in zip(text.scores, text.passages, strict=True):
        inside = (nats for (a, b), nats in places if start <= a and b <= stop)
        scores.append(
            score
            + AROUND * fitting.match.share(start - REACH, stop + REACH)
            + PER_LOG_ODDS * fitting.score
            + PER_NAT * max(inside, default=LEAST_NATS)
        )
    return scores


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


def heads_look_at(
    session: Session, found: Found, chunks: Sequence[int], texts: Sequence[str]
) -> tuple[tuple[tuple[Span, float], ...], ...]:
    """The passages of chunks, each with how far it is behind the one that attention heads look at most, with
    the chunk's score counted too; empty where no chunk was read for its rank."""
    if not any(chunk in found.attended for chunk in chunks):
        return ()
    scores = {entry.chunk: entry.score for entry in found.ranked}
    best = max(scores[chunk] for chunk in chunks)
    looks: list[list[tuple[Span, float]]] = []
    for chunk, text in zip(chunks, texts, strict=True):
        passages = [*split_passages(text, longest=PASSAGE)]
        gains = [0.0] * len(passages)
        if (attended := found.attended.get(chunk)) is not None:
            starts = [start for start, _ in session.plain_tokenizer.encode(text)[1]]
            gains = attended.of_runs(memory_tokens(passages, attended.shares.shape[1], starts))
        less = PER_LOG_ODDS * (scores[chunk] - best)
        looks.append([(span, gain + less) for span, gain in zip(passages, gains, strict=True)])
    most = max((value for own in looks for _, value in own), default=0.0)
    return tuple(tuple((span, value - most) for span, value in own) for own in looks)


def _passages(texts: Sequence[ScoredText]) -> list[str]:
    """The best passages of n texts: n of the first, one fewer of each that follows."""
    return [
        passage
        for number, text in enumerate(texts)
        for passage in _joined(text.text, text.best_few(len(texts) - number, SENTENCE))
    ]


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
