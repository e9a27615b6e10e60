"""The values of an experiment: what is asked where, what was said, its score, and the events of a run.

Knows no model and no file. Tokens are text tokens unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mplus_cli.evaluation import metrics

ALONE = "alone"
"""The setting of a question asked when the chunk with its passage is all that was read."""
ANY = "any"
"""The setting of an answer that does not depend on what was read."""
DOCUMENT = "document"
"""The setting of a question asked at the end of its document."""
UNREAD = "unread"
"""The setting, and the kind, of a question whose passage was never read."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question with what is known of its answer."""

    id: str
    kind: str
    """The source it is counted under: `passages`, `facts`, or a data set's name."""
    text: str
    answers: tuple[str, ...]
    metric: str = "hit"
    """The data set's own metric, of `metrics.METRICS`."""
    passage: str | None = None
    """The text that answers it, where known."""
    pages: tuple[int, int] | None = None
    """The pages that answer it, where known."""
    new_tokens: int | None = None
    """The longest answer in tokens; None: as for all questions."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A question, and when it is asked."""

    question: Question
    setting: str
    """`alone`, the tokens read after the passage, `unread`, `document`, or `any`."""
    chunks: int
    """How many chunks have been read by then."""
    gold: frozenset[int] | None
    """The chunks that answer it; None: not known."""
    before: int
    """Tokens read before the passage's chunk, or in all."""
    after: int | None = None
    """Tokens read after the passage's chunk, where it was read."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A text that is read once, and what is asked about it on the way."""

    title: str
    chunks: Sequence[tuple[int, ...]]
    """Ids."""
    texts: Sequence[str]
    """The text of each chunk."""
    asks: Sequence[Ask] = ()
    """In the order in which they fall due."""


@dataclass(frozen=True, slots=True)
class Said:
    """What an arm answered."""

    answer: str
    ranked: Sequence[int]
    """The chunks it drew on, best first, where it ranks chunks."""
    present: frozenset[int] | None
    """The chunks that were there to answer from; None where that means nothing."""
    prompt_tokens: int
    first_seconds: float
    """From the question to the first token."""
    seconds: float


@dataclass(frozen=True, slots=True)
class Record:
    """One answer, scored: a line of `answers.jsonl`."""

    id: str
    arm: str
    setting: str
    kind: str
    question: str
    answers: tuple[str, ...]
    answer: str
    hit: float
    exact: float
    f1: float
    metric: str
    score: float
    refused: bool
    found: bool | None
    """Whether a right chunk was recalled or in short-term memory (or what BM25 chose)."""
    rank: int | None
    """The rank of the first right chunk, from 1."""
    before: int
    after: int | None
    prompt_tokens: int
    first_seconds: float
    seconds: float

    @property
    def key(self) -> tuple[str, str, str]:
        """What identifies it in a run."""
        return self.id, self.arm, self.setting


def score(arm: str, ask: Ask, said: Said) -> Record:
    """Score what an arm said."""
    question, gold, answer = ask.question, ask.gold, said.answer
    golds = question.answers
    right = [place for place, chunk in enumerate(said.ranked, 1) if gold and chunk in gold]
    return Record(
        id=question.id,
        arm=arm,
        setting=ask.setting,
        kind=question.kind,
        question=question.text,
        answers=golds,
        answer=answer,
        hit=metrics.hit(answer, golds),
        exact=metrics.exact(answer, golds),
        f1=round(metrics.f1(answer, golds), 6),
        metric=question.metric,
        score=round(metrics.METRICS[question.metric](answer, golds), 6),
        refused=metrics.refused(answer),
        found=None if gold is None or said.present is None else bool(gold & said.present),
        rank=right[0] if right else None,
        before=ask.before,
        after=ask.after,
        prompt_tokens=said.prompt_tokens,
        first_seconds=round(said.first_seconds, 3),
        seconds=round(said.seconds, 3),
    )


@dataclass(frozen=True, slots=True)
class Cost:
    """What reading a stretch up to a commit took: a line of `costs.jsonl`."""

    reader: str
    tokens: int
    seconds: float
    disk_bytes: int
    """On disk at its end."""
    ram_bytes: int
    """Peak resident memory during it, less that before reading began."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Next-token loss of a chunk under an arm: a line of `losses.jsonl`."""

    arm: str
    document: str
    chunk: int
    tokens: int
    nats: float
    """The mean of the chunk's tokens."""

    @property
    def key(self) -> tuple[str, str, int]:
        """What identifies it in a run."""
        return self.document, self.arm, self.chunk


class Working(NamedTuple):
    """How far a part is."""

    what: str
    done: int
    total: int
    detail: str = ""


class Noted(NamedTuple):
    """A line that the user should see."""

    line: str
    is_warning: bool = True


Event = Working | Noted | Record | Loss
