"""Chooses the answer: of the spans of the text the one that is likeliest to be right, or none.

Takes a prompt that was read and the matches of the question's words; knows the model through a session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Literal

from models.prompts import REFUSAL, encode_plain
from mplus_cli.asking.confidence import (
    FEATURES,
    SECOND_FEATURES,
    Considered,
    Grounds,
    features,
)
from mplus_cli.asking.parts import Part
from mplus_cli.asking.prompting import Draft
from mplus_cli.asking.question import Question
from mplus_cli.asking.quoting import VERDICTS, quotable
from mplus_cli.asking.rereading import (
    READS,
    Fitting,
    heads_look_at,
    in_rounds,
    score_recalled,
)
from mplus_cli.asking.second_opinion import (
    ANSWERS,
    ask_second,
    best_judged,
    is_sure,
    judged_by_both,
)
from mplus_cli.asking.sources import SOURCES
from mplus_cli.asking.spans import TextSpan, says_something
from mplus_cli.asking.words import Words
from mplus_cli.english.answer_type import kind_of
from mplus_cli.runtime.session import Session

if TYPE_CHECKING:
    from models.generate import ReadPrompt
    from models.memory import Memory
    from models.recall import Found
    from models.spans import Candidate


SURELY = 1.0
"""How many nats refusing must be ahead for the second reader, whatever it is shown, before it is said that
the text does not tell. Of 325 questions that eight novels answer, 16 are refused with it (36 without); of 92
near misses 23 (28)."""

Form = Literal["span", "verdict", "spoken"]
"""The form of an answer: a span of the text; yes, no or a refusal; the reader's own words."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The answer that was chosen."""

    text: str
    tokens: int = 0
    reason: str = "stop"
    """As of `Answer`; `unsure`: a reader would answer, but is too likely to be wrong."""
    confidence: float | None = None
    """The probability that it is right; None for a refusal, and without a calibration."""
    is_doubtful: bool = False
    considered: tuple[tuple[str, float], ...] = ()
    """The answers that were considered, each with its share of all their odds."""


@dataclass(frozen=True, slots=True)
class Prompted:
    """A question that was looked up and put into a prompt."""

    session: Session
    memory: Memory
    draft: Draft
    words: Words
    found: Found
    prompt: Sequence[int]
    """Ids."""
    texts: Callable[[Sequence[int]], Sequence[str]]
    """Gives the texts of chunks by their numbers."""
    part: Part | None = None
    """What the question names of the documents: only there do answers come from."""


def answer_form(session: Session, question: Question) -> Form:
    """The form of a question's answer; sampled answers and those without `quote` are in the reader's own
    words."""
    if question.temperature or not question.quote:
        return "spoken"
    if not session.model.config.reading.quote_weight or session.spelling is None:
        return "spoken"
    return "verdict" if kind_of(question.text) == "verdict" else "span"


def likeliest_verdict(session: Session, prompt: ReadPrompt) -> str:
    """The likeliest of yes, no and the refusal behind a read prompt: by the first token, of the refusal
    by two."""
    from models.spans import chance_of_refusing

    logits, tokenizer = prompt.logits[-1], session.tokenizer
    chances = logits.log_softmax(dim=-1)
    said = {text: float(chances[encode_plain(tokenizer, text)[0]]) for text in VERDICTS}
    said[REFUSAL] = chance_of_refusing(
        session.model, prompt.cache, logits, encode_plain(tokenizer, REFUSAL)[:2]
    )
    return max(said, key=said.__getitem__)


def consider(
    prompted: Prompted, behind: ReadPrompt, longest: int
) -> tuple[list[Considered], float]:
    """The candidate answers, likeliest first, and the log-probability of refusing.

    Args:
        behind: the prompt, read.
        longest: the most tokens of an answer.
    """
    from models.spans import likeliest_spans

    session, question = prompted.session, prompted.draft.question
    words = prompted.words
    shown = {entry.chunk for entry in behind.recalled.ranked[:SOURCES]}
    quoted = [chunk for chunk in behind.found.present(prompted.memory) if chunk in shown]
    held = prompted.texts(quoted)
    allowed: Sequence[str] = held
    if prompted.part and prompted.part.spans:
        spans = map(prompted.part.within, quoted)
        allowed = [text[slice(*span)] for text, span in zip(held, spans, strict=True)]
    source = quotable(session, allowed, always=())
    assert source is not None, "only where a span is wanted"

    def is_answer(ids: Sequence[int]) -> bool:
        return says_something(question.text, session.tokenizer.decode(list(ids)))

    found, refusing = likeliest_spans(
        session.model,
        behind.cache,
        behind.logits[-1],
        TextSpan(source, is_answer),
        stop_ids=session.loaded.stop_ids,
        refusal=encode_plain(session.tokenizer, REFUSAL)[:2],
        longest=longest,
    )
    if words.calibration is None:
        return [_considered(session, one, None, refusing) for one in found], refusing
    if words.calibration.has_second:
        quoted = [entry.chunk for entry in behind.recalled.ranked[:READS]]
        held = prompted.texts(quoted)
    grounds = _grounds(prompted, behind, quoted, held)
    answers = [_considered(session, one, grounds, refusing) for one in found]
    if words.calibration.has_second:
        answers = _with_second(prompted, behind, grounds, answers, refusing, longest)
    return answers, refusing


def _considered(
    session: Session, span: Candidate, grounds: Grounds | None, refusing: float
) -> Considered:
    text, tokens = session.tokenizer.decode(list(span.ids)).strip(), len(span.ids)
    known = features(grounds, text, span.nats, tokens, refusing) if grounds else ()
    return Considered(text, tokens, span.nats, known)


def _with_second(
    prompted: Prompted,
    behind: ReadPrompt,
    grounds: Grounds,
    answers: Sequence[Considered],
    refusing: float,
    longest: int,
) -> list[Considered]:
    """The answers of both readers. The second is shown more passages until it is sure of an answer; arguments
    as for `consider` and `judged_by_both`."""
    session, question = prompted.session, prompted.draft.question.text
    best = behind.recalled.ranked[:READS]
    chunks = [entry.chunk for entry in best]
    recalled = score_recalled(
        session, prompted.memory, question, behind.found, chunks, grounds.texts
    )
    if (part := prompted.part) and part.spans:
        recalled = [
            text.only(part.within(chunk)) for text, chunk in zip(recalled, chunks, strict=True)
        ]
    fitting = [
        Fitting(text, match, entry.score)
        for text, match, entry in zip(recalled, grounds.matches, best, strict=True)
    ]
    session.end_steps()
    named, judged = [one.text for one in answers], list[Considered]()
    rounds = in_rounds(fitting, [(one.text, one.nats) for one in answers[:ANSWERS]])
    for together in _read_together(rounds, session.model.generate.keep):
        for opinion in ask_second(session, question, together, named, longest):
            judged = best_judged(judged, judged_by_both(grounds, answers, opinion, refusing))
            if is_sure(judged):
                return judged
    return judged


def _read_together(rounds: Iterable[list[str]], keep: bool) -> Iterator[list[list[str]]]:
    """Rounds that are read in one pass: each by itself; where merged weights are not kept, all that come
    after the first, which is mostly the last."""
    left = iter(rounds)
    yield from ([passages] for passages in (left if keep else islice(left, 1)))
    if others := list(left):
        yield others


def choose(prompted: Prompted, behind: ReadPrompt, longest: int) -> Chosen:
    """The answer to a question; arguments as for `consider`."""
    answers, refusing = consider(prompted, behind, longest)
    question, calibration = prompted.draft.question, prompted.words.calibration
    if calibration is None:
        if not answers or answers[0].nats < refusing:
            return Chosen(REFUSAL, reason="refused")
        return Chosen(answers[0].text, answers[0].tokens)
    odds = [calibration.odds(answer.features) for answer in answers]
    shares = tuple((one.text, part / sum(odds)) for one, part in zip(answers, odds, strict=True))
    number, chance = calibration.likeliest(answers) if answers else (0, 0.0)
    if not answers or chance < (calibration.doubt if question.strict else calibration.refuse):
        is_found = answers and (chance >= calibration.refuse or _would_answer(answers, refusing))
        reason = "unsure" if is_found else "refused"
        return Chosen(REFUSAL, reason=reason, considered=shares)
    best = answers[number]
    doubtful = chance < calibration.doubt
    return Chosen(
        *(best.text, best.tokens),
        confidence=round(chance, 3),
        is_doubtful=doubtful,
        considered=shares,
    )


def _would_answer(answers: Sequence[Considered], refusing: float) -> bool:
    """Whether a reader would rather answer than refuse: only where none would, the text does not say."""
    at = len(FEATURES) + SECOND_FEATURES.index("text_refusing")
    second = any(one.features[at] <= SURELY for one in answers if len(one.features) > at)
    return second or answers[0].nats >= refusing


def _grounds(
    prompted: Prompted, prompt: ReadPrompt, quoted: Sequence[int], held: Sequence[str]
) -> Grounds:
    """The grounds for answers from the chunks `quoted`, whose texts are `held`."""
    words = prompted.words
    ranked, prior, matches = prompt.recalled.ranked, words.prior or {}, words.matches
    # Ties go to the older chunk, as in ranking.
    by_retriever = max(
        ranked, key=lambda one: (one.score - prior[one.chunk], -one.chunk), default=None
    )
    by_words = max(ranked, key=lambda one: (matches[one.chunk].bm25, -one.chunk), default=None)
    lead = ranked[0].score - ranked[2].score if len(ranked) > 2 else float("inf")
    own = tuple(matches[chunk] for chunk in quoted)
    looks = heads_look_at(prompted.session, prompt.found, quoted, held)
    question = prompted.draft.question.text
    return Grounds(question, tuple(held), own, lead, by_retriever == by_words, looks)
