"""How well every chunk of a memory fits a question. Works on a session; prints nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mplus_cli.asking.events import Source
from mplus_cli.asking.narrowing import in_ordinary_letters, scope_of, search_note
from mplus_cli.asking.open_memory import OpenMemory
from mplus_cli.asking.prompting import measure
from mplus_cli.asking.question import Question, check
from mplus_cli.asking.retrieving import rank_chunks, retrieve
from mplus_cli.asking.scope import chunks_outside
from mplus_cli.asking.sources import gather_evidence
from mplus_cli.runtime.session import Session

if TYPE_CHECKING:
    from torch import Tensor

    from models.scan import ChunkScore


@dataclass(frozen=True, slots=True)
class Heat:
    """How well each chunk of a memory fits a question, 0 to 1."""

    question: str
    fits: tuple[float, ...]
    """Of every chunk by its number, from 0, the worst, to 1, the best; 0 too for one that is not in memory
    or that the question leaves out."""
    sources: tuple[Source, ...]
    """The best chunks, best first."""
    note: str | None = None
    """What a user should know of where the question was looked up."""


def measure_heat(session: Session, opened: OpenMemory, question: Question) -> Heat:
    """How well each chunk fits a question, by the scores that choose what an answer rests on.

    Chunks that the search passes over stay below those that it ranks.

    Raises:
        UsageError: there is no word, or too many of them.
    """
    import torch

    from models.scan import score_all

    check(question)
    asked = measure(session, question).question
    draft = measure(session, in_ordinary_letters(opened, asked))
    scope = scope_of(session, opened, draft.question)
    looked_up = scope.to_look_up
    found, words, part = retrieve(session, opened, replace(draft, question=looked_up))
    found = replace(found, ranked=rank_chunks(session, opened, draft, found))
    if found.queries:
        chunks = opened.memory.chunks
        outside = chunks_outside(opened.stored, looked_up.documents, chunks)
        if part and part.spans:
            outside = frozenset(range(chunks)).difference(part.spans)
        prior = dict(words.prior or {}) | dict.fromkeys(outside, float("-inf"))
        scores = score_all(session.model, opened.memory, found.queries, prior)
        scores = as_ranked(scores, found.ranked)
    else:  # layers chose tokens: chunks without any are not ranked
        scores = torch.zeros(opened.memory.chunks)
        for ranked in found.ranked:
            scores[ranked.chunk] = ranked.score
    there = scores.isfinite()
    low = float(scores[there].min()) if bool(there.any()) else 0.0
    spread = (float(scores[there].max()) - low if bool(there.any()) else 0.0) or 1.0
    fits = ((scores - low) / spread).where(there, torch.zeros(())).tolist()
    if found.ranked:
        fits[found.ranked[0].chunk] = 1.0  # also where nothing else is compared with it
    evidence = gather_evidence(session, opened, draft.question.text, found, part=part)
    note = search_note(scope, part)
    return Heat(asked.text, tuple(fits), evidence.sources(), note)


def as_ranked(scores: Tensor, ranked: Sequence[ChunkScore]) -> Tensor:
    """The scores (C,) of all chunks, with those of ranking in their place. The others are lowered as the last
    of the ranked ones was, and stay below it.

    Args:
        scores: as the scan gives them, before the best chunks are ranked again.
        ranked: best first.
    """
    if not ranked:
        return scores
    last = ranked[-1]
    new = (scores - (scores[last.chunk] - last.score)).clamp(max=last.score)
    for entry in ranked:
        new[entry.chunk] = entry.score
    return new
