"""How well every chunk of a memory fits a question. Works on a session; prints nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mplus_cli.asking.events import Source
from mplus_cli.asking.narrowing import in_ordinary_letters, scope_of, search_note
from mplus_cli.asking.open_memory import OpenMemory
from mplus_cli.asking.prompting import measure
from mplus_cli.asking.question import Question, check
from mplus_cli.asking.retrieving import rank_chunks, retrieve
from mplus_cli.asking.sources import gather_evidence
from mplus_cli.runtime.session import Session


@dataclass(frozen=True, slots=True)
class Heat:
    """How well each chunk of a memory fits a question, 0 to 1."""

    question: str
    fits: tuple[float, ...]
    """Of every chunk by its number, from 0, the worst, to 1, the best; 0 where it is in memory no more."""
    sources: tuple[Source, ...]
    """The best chunks, best first."""
    note: str | None = None
    """What a user should know of where the question was looked up."""


def measure_heat(session: Session, opened: OpenMemory, question: Question) -> Heat:
    """How well each chunk fits a question, by the scores that choose what an answer rests on.

    Raises:
        UsageError: there is no word, or too many of them.
    """
    import torch

    from models.scan import score_all

    check(question)
    asked = measure(session, question).question
    draft = measure(session, in_ordinary_letters(opened, asked))
    scope = scope_of(session, opened, draft.question)
    found, words, part = retrieve(session, opened, replace(draft, question=scope.to_look_up))
    found = replace(found, ranked=rank_chunks(session, opened, draft, found))
    if found.queries:
        scores = score_all(session.model, opened.memory, found.queries, words.prior)
    else:  # layers chose tokens: chunks without any are not ranked
        scores = torch.zeros(opened.memory.chunks)
        for ranked in found.ranked:
            scores[ranked.chunk] = ranked.score
    there = scores.isfinite()
    low = float(scores[there].min()) if bool(there.any()) else 0.0
    spread = (float(scores[there].max()) - low if bool(there.any()) else 0.0) or 1.0
    fits = ((scores - low) / spread).where(there, torch.zeros(())).tolist()
    evidence = gather_evidence(session, opened, draft.question.text, found, part=part)
    note = search_note(scope, part)
    return Heat(asked.text, tuple(fits), evidence.sources(), note)
