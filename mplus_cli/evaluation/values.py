"""The values of an experiment: questions, what was said, records of both, and the events of a run.

Knows no model and no file. Tokens are text tokens unless a name says otherwise.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from mplus_cli.evaluation import metrics

ANY = "any"
"""The setting of an answer that does not depend on what was read."""
UNREAD = "unread"
"""The setting of a question whose passage was never read."""


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
    """Tokens of its answer at most; None: as many as for all."""


@dataclass(frozen=True, slots=True)
class Said:
    """What an arm answered."""

    answer: str
    ranked: tuple[int, ...]
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
    """What was read: `alone`, the tokens after the passage, `unread`, `document`, or `any`."""
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
    """Tokens read before the passage's chunk, or in all."""
    after: int | None
    """Tokens read after the passage's chunk."""
    prompt_tokens: int
    first_seconds: float
    seconds: float

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from the others of a run."""
        return self.id, self.arm, self.setting

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Record:
        """A record of a line of JSON; KeyError if a field is missing."""
        given = {field.name: values[field.name] for field in fields(cls)}
        return cls(**(given | {"answers": tuple(given["answers"])}))


def score(
    question: Question,
    said: Said,
    *,
    arm: str,
    setting: str,
    gold: frozenset[int] | None,
    before: int,
    after: int | None,
) -> Record:
    """Score what an arm said.

    Args:
        gold: the chunks that answer the question, where known.
    """
    golds, answer = question.answers, said.answer
    right = None if gold is None else [chunk in gold for chunk in said.ranked]
    return Record(
        id=question.id,
        arm=arm,
        setting=setting,
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
        rank=right.index(True) + 1 if right and True in right else None,
        before=before,
        after=after,
        prompt_tokens=said.prompt_tokens,
        first_seconds=round(said.first_seconds, 3),
        seconds=round(said.seconds, 3),
    )


@dataclass(frozen=True, slots=True)
class Cost:
    """What reading a stretch took: a line of `costs.jsonl`."""

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


@dataclass(frozen=True, slots=True)
class Working:
    """How far a part is."""

    what: str
    done: int
    total: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Noted:
    """A line that the user should see."""

    line: str


@dataclass(frozen=True, slots=True)
class Planned:
    """What a run is going to take, before it begins."""

    line: str


Event = Working | Noted | Planned | Record | Loss
