"""A second opinion on answers: of a reader that has no memory, and sees the best passages as text.

It says how likely the answers are that the reader of memory came to, and names its own: spans of the
passages that begin with the likeliest words. Two readers that agree are right more often than either is sure.
Reaches the model through a session.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from models.prompts import REFUSAL, encode_plain
from mplus_cli.asking.confidence import (
    FEATURES,
    SECOND_FEATURES,
    UNNAMED,
    Considered,
    Grounds,
    features,
)
from mplus_cli.asking.lexical import WORD, end_of
from mplus_cli.asking.spans import says_something
from mplus_cli.runtime.session import Session
from mplus_cli.runtime.tokens import PlainTokenizer

if TYPE_CHECKING:
    from models.judging import Followed

BEGINNINGS = 8
"""Words of the passages from which a span is followed."""
SPREAD = 0.5
"""To which power of the number of places with the same first token its chance is divided among them: else
"the" would take most of them. With it 24 of 37 right answers that are shown are named, without 20."""
AHEAD = 7
"""Tokens that it is followed."""
ANSWERS = 12
"""Answers of the reader of memory that are read, likeliest first."""
LONGEST_QUESTION = 1000
"""Characters of a question that are read, which is done twice: the end of a longer one, as what is asked
mostly stands there."""
SURE = 0.5
"""The share of the probability with which an answer is sure enough for no other passages to be read."""
MOST = 10.0
"""Nats that one answer is ahead of another, at most."""
_AHEAD = 60
"""Characters that these tokens are taken from."""
_BEGINS = re.compile(r"[\"'“$£€]?\w[\w'’.-]*")
_ARTICLE = re.compile(r"^(?:the|an?) ")


@dataclass(frozen=True, slots=True)
class Judged:
    """An answer as the reader of text sees it."""

    text: str
    tokens: int
    nats: float
    """Its log-probability."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the reader of text says to a question."""

    given: tuple[Judged, ...]
    """The answers that it was asked about, in their order."""
    own: tuple[Judged, ...]
    """Spans of the passages."""
    refusing: float
    """The log-probability of refusing."""


def ask_second(
    session: Session,
    question: str,
    rounds: Sequence[Sequence[str]],
    answers: Sequence[str],
    longest: int = AHEAD,
) -> list[Opinion]:
    """The second opinion of each round, which knows nothing of the others.

    Args:
        rounds: the passages of the text that each is shown.
        answers: of the reader of memory, likeliest first.
        longest: the most tokens of an answer of its own.
    """
    from models.judging import follow, read_prompts

    reader = session.text_reader()
    short = end_of(question, max(0, len(question) - LONGEST_QUESTION))
    asked = ["\n\n".join((short, *passages, short)) for passages in rounds]
    ids = [session.loaded.prompt.render(session.tokenizer, one)[0] for one in asked]
    given = [encode_plain(session.tokenizer, answer) for answer in answers[:ANSWERS]]
    refusal = encode_plain(session.tokenizer, REFUSAL)[:2]
    spare = sum(map(len, given)) + len(refusal) + BEGINNINGS * AHEAD
    prompts = read_prompts(reader, ids, spare=spare)
    begun = [
        likeliest_beginnings(session, passages, prompt.chances.tolist(), min(longest, AHEAD))
        for passages, prompt in zip(rounds, prompts, strict=True)
    ]
    continuations = [[*given, refusal, *(ids for ids, _ in each)] for each in begun]
    followed = follow(reader, prompts, continuations, sorted(session.loaded.stop_ids))
    opinions = []
    for each, found in zip(begun, followed, strict=True):
        judged = [
            Judged(text, len(one.ids), sum(one.nats) + one.ends[-1])
            for text, one in zip(answers[: len(given)], found, strict=False)
        ]
        own = []
        for (_, text), one in zip(each, found[len(given) + 1 :], strict=True):
            spans = list(_spans(session, question, text, one))
            own += [max(spans, key=lambda span: span.nats)] if spans else []
        opinions.append(Opinion(tuple(judged), tuple(own), sum(found[len(given)].nats)))
    return opinions


def judged_by_both(
    grounds: Grounds, answers: Sequence[Considered], opinion: Opinion, refusing: float
) -> list[Considered]:
    """The answers of both readers with `SECOND_FEATURES` too: those of the reader of memory, then others.

    Args:
        answers: of the reader of memory, likeliest first.
        refusing: the log-probability of refusing to that reader.
    """
    judged: dict[str, Judged] = {}
    for one in (*opinion.given, *opinion.own):
        key = alike(one.text)
        if key not in judged or judged[key].nats < one.nats:
            judged[key] = one
    named = {alike(answer.text) for answer in answers[:ANSWERS]}
    found = list(answers[:ANSWERS])
    for one in opinion.own:
        if (key := alike(one.text)) and key not in named:
            named.add(key)
            nats = UNNAMED * (one.tokens + 1)
            known = features(grounds, one.text, nats, one.tokens, refusing)
            found.append(Considered(one.text, one.tokens, nats, known))
    best = max(judged.values(), key=lambda one: one.nats, default=None)
    if best is None:
        return []
    agreed = alike(answers[0].text) if answers else None
    all_nats = [opinion.refusing, *(one.nats for one in judged.values())]
    whole = sum(math.exp(nats) for nats in all_nats)
    ahead = max(-MOST, min(opinion.refusing - best.nats, MOST))
    return [
        replace(
            answer,
            features=(
                *answer.features,
                held.nats / (held.tokens + 1),
                max(held.nats - best.nats, -MOST),
                ahead,
                float(alike(answer.text) == agreed == alike(best.text)),
                math.exp(held.nats) / whole if whole else 0.0,
            ),
        )
        for answer in found
        for held in [judged[alike(answer.text)]]
    ]


def best_judged(one: Sequence[Considered], other: Sequence[Considered]) -> list[Considered]:
    """The answers of two rounds, each as the round saw it in which it has more of the probability."""
    best: dict[str, Considered] = {}
    for answer in (*one, *other):
        held = best.setdefault(alike(answer.text), answer)
        if _share(answer) > _share(held):
            best[alike(answer.text)] = answer
    return list(best.values())


def is_sure(judged: Sequence[Considered]) -> bool:
    """Whether one of the answers has so much of the probability that no more passages are read."""
    return any(_share(answer) >= SURE for answer in judged)


def _share(answer: Considered) -> float:
    return answer.features[len(FEATURES) + SECOND_FEATURES.index("text_share")]


def alike(answer: str) -> str:
    """What answers that say the same have in common: their words, without a leading article."""
    return _ARTICLE.sub("", " ".join(WORD.findall(answer.lower())))


def likeliest_beginnings(
    session: Session, passages: Sequence[str], chances: Sequence[float], longest: int
) -> list[tuple[tuple[int, ...], str]]:
    """The likeliest places where a span may begin: the ids there, and the text from there on.

    Args:
        chances: of each token of the vocabulary to be the first, in nats.
        longest: the most ids.
    """
    found: dict[tuple[int, ...], str] = {}
    tokenizer = PlainTokenizer(session.tokenizer)
    for passage in passages:
        for word in _BEGINS.finditer(passage):
            text = passage[word.start() :]
            ids = tokenizer.encode(text[:_AHEAD])[0][:longest]
            found.setdefault(tuple(ids), text)
    places = Counter(ids[0] for ids in found)
    ranked = sorted(
        found.items(),
        key=lambda entry: SPREAD * math.log(places[entry[0][0]]) - chances[entry[0][0]],
    )
    return ranked[:BEGINNINGS]


def _spans(session: Session, question: str, text: str, followed: Followed) -> Iterator[Judged]:
    """The answers that begin a text, as it was followed."""
    nats = 0.0
    for count, (chance, end) in enumerate(zip(followed.nats, followed.ends, strict=True), start=1):
        nats += chance
        said = session.tokenizer.decode(list(followed.ids[:count]))
        is_whole = text.startswith(said) and not text[len(said) : len(said) + 1].isalnum()
        if is_whole and says_something(question, said):
            yield Judged(said.strip().strip(",;:."), count, nats + end)
