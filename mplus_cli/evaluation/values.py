"""The values of an experiment: what is asked and when, the reply, its score, and the events of a run.

Plain values: no model, no I/O. Tokens are text tokens unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from models import matching
from models.prompts import REFUSAL

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
    passage: str | None = None
    """The text that answers it, where known."""
    pages: tuple[int, int] | None = None
    """The pages that answer it, where known."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A question, and when it is asked."""

    question: Question
    setting: str
    """The number of tokens read after the passage, `unread`, `document`, or `any`."""
    chunks: int
    """How many chunks have been read by then."""
    gold: frozenset[int] | None
    """The chunks that answer it; None: not known."""
    before: int
    """Tokens read before the passage's chunk, or in all."""
    after: int | None = None
    """Tokens read after the passage's chunk, where it was read."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A text that is read once, and the probes along it."""

    title: str
    chunks: Sequence[tuple[int, ...]]
    """Token ids."""
    texts: Sequence[str]
    """The text of each chunk."""
    probes: Sequence[Probe] = ()
    """In the order in which they fall due."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What an arm answered."""

    answer: str
    ranked: Sequence[int]
    """The chunks it drew on, best first, where it ranks chunks."""
    present: frozenset[int] | None
    """The chunks in its context; None where that means nothing."""
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
    refused: bool
    found: bool | None
    """Whether a right chunk was in the context: recalled, in short-term memory, or chosen by BM25."""
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


def score(arm: str, probe: Probe, reply: Reply) -> Record:
    """Score an arm's reply."""
    question, gold, golds = probe.question, probe.gold, probe.question.answers
    right = [place for place, chunk in enumerate(reply.ranked, 1) if gold and chunk in gold]
    return Record(
        id=question.id,
        arm=arm,
        setting=probe.setting,
        kind=question.kind,
        question=question.text,
        answers=golds,
        answer=reply.answer,
        hit=float(matching.hit(reply.answer, golds)),
        exact=float(matching.exact(reply.answer, golds)),
        f1=round(matching.f1(reply.answer, golds), 6),
        refused=matching.normalise(REFUSAL) in matching.normalise(reply.answer),
        found=None if gold is None or reply.present is None else bool(gold & reply.present),
        rank=right[0] if right else None,
        before=probe.before,
        after=probe.after,
        prompt_tokens=reply.prompt_tokens,
        first_seconds=round(reply.first_seconds, 3),
        seconds=round(reply.seconds, 3),
    )


@dataclass(frozen=True, slots=True)
class Cost:
    """What reading up to a commit took: a line of `costs.jsonl`."""

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
    """The mean over the chunk's tokens."""

    @property
    def key(self) -> tuple[str, str, int]:
        """What identifies it in a run."""
        return self.document, self.arm, self.chunk


class Progress(NamedTuple):
    """How far a part of the run has come."""

    what: str
    done: int
    total: int
    detail: str = ""


class Notice(NamedTuple):
    """A line that the user should see."""

    line: str
    is_warning: bool = True


Event = Progress | Notice | Record | Loss
